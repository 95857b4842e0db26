// Package byhand brings up a highly available cluster the way a careful
// engineer does it by hand, over ssh and without Quorate, and takes the time of
// each part. It is what Quorate's own time is held against.
package byhand

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/examples/lab/internal/payload"
)

//go:embed byhand.sh
var script string

// Config of one run. Every field but Log is required.
type Config struct {
	Lab *machines.Lab
	// Kubernetes version, as in v1.37.2.
	Kubernetes string
	// CgroupDriver of the kubelet: "cgroupfs" or "systemd".
	CgroupDriver string
	// IgnorePreflightErrors of kubeadm.
	IgnorePreflightErrors []string
	// Log takes what the commands write. Optional.
	Log io.Writer
}

// Phase is one part of the procedure and the time it took.
type Phase struct {
	Name string
	Took time.Duration
}

// Total is the time of all phases until every node was Ready. CoreDNS, which
// follows, is not part of it.
func Total(phases []Phase) time.Duration {
	var sum time.Duration
	for _, p := range phases {
		if p.Name != corednsPhase {
			sum += p.Took
		}
	}
	return sum
}

const corednsPhase = "coredns ready"

// Run brings up the cluster on freshly booted hosts. The error names the phase
// and holds the end of what the commands wrote.
func Run(ctx context.Context, c Config) ([]Phase, error) {
	// Not by standard input: ssh would read the rest of it.
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Env = environment(c)
	var tail bytes.Buffer
	cmd.Stderr = &tail
	if c.Log != nil {
		cmd.Stderr = io.MultiWriter(&tail, c.Log)
	}
	// Connections that ssh keeps open hold on to standard error.
	cmd.WaitDelay = 5 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	phases, phase := readPhases(stdout, time.Now)
	err = cmd.Wait()
	if err == nil && phase != "" {
		err = errors.New("the script ended early")
	}
	if err != nil {
		text := tail.String()
		return phases, fmt.Errorf("by hand, phase %q: %w: %s", phase, err, text[max(0, len(text)-4000):])
	}
	return phases, nil
}

// readPhases takes the time between the lines that start a phase. current is
// the one that did not end, empty if all did.
func readPhases(r io.Reader, now func() time.Time) (phases []Phase, current string) {
	var start time.Time
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, ok := strings.CutPrefix(lines.Text(), "phase ")
		if !ok {
			continue
		}
		at := now()
		if current != "" {
			phases = append(phases, Phase{Name: current, Took: at.Sub(start)})
		}
		if name == "done" {
			return phases, ""
		}
		current, start = name, at
	}
	return phases, current
}

func environment(c Config) []string {
	nodes := map[machines.Role][]string{}
	for _, h := range c.Lab.Hosts() {
		nodes[h.Role] = append(nodes[h.Role], h.Name+"="+h.Address.String())
	}
	spec := c.Lab.Spec()
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/nonexistent", // ssh is to read nobody's configuration
		"CONTROL_PLANES=" + strings.Join(nodes[machines.ControlPlane], " "),
		"WORKERS=" + strings.Join(nodes[machines.Worker], " "),
		"VIP=" + spec.VIP().String(),
		fmt.Sprintf("PREFIX_LENGTH=%d", spec.Network.Bits()),
		"POD_RANGE=" + spec.Pods.String(),
		"KEY=" + c.Lab.KeyFile(),
		"KNOWN_HOSTS=" + c.Lab.KnownHostsFile(),
		"VERSION=" + c.Kubernetes,
		"IMAGES=" + payload.ImageDir,
		"CGROUP_DRIVER=" + c.CgroupDriver,
		"IGNORED=" + strings.Join(c.IgnorePreflightErrors, ","),
	}
}
