package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/plan/ha/sshtargets"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
	"github.com/quorate-dev/quorate/transport/ssh"
)

// drillFlags are those of "lab drill".
type drillFlags struct {
	scenarios, out string
	preview        bool
}

// reportFile is a drill's report, as JSON, and beside it as a page.
const reportFile = "drill"

// labBreaker breaks by SSH what can be broken so, and has the machine's power
// switches.
type labBreaker struct {
	*drill.SSHBreaker
	lab *machines.Lab
}

// Faults leave a full disk out where it would be the machine's own.
func (b labBreaker) Faults() []drill.Fault {
	var faults []drill.Fault
	for _, f := range b.SSHBreaker.Faults() {
		if f != drill.FillDisk || b.lab.Spec().EtcdDisk > 0 {
			faults = append(faults, f)
		}
	}
	return faults
}

// Break shuts a host down and boots it for a reboot: a container that restarts
// by itself is another process, which the lab would not know.
func (b labBreaker) Break(ctx context.Context, br drill.Break) error {
	if br.Fault == drill.Reboot {
		return b.lab.Reboot(ctx, br.Host.Name)
	}
	return b.SSHBreaker.Break(ctx, br)
}

// PowerOff and PowerOn make it a drill.PowerBreaker.
func (b labBreaker) PowerOff(ctx context.Context, h drill.Host) error {
	return b.lab.PowerCut(ctx, h.Name)
}

// PowerOn returns when sshd answers.
func (b labBreaker) PowerOn(ctx context.Context, h drill.Host) error { return b.lab.Boot(ctx, h.Name) }

// drillConfig is what an installer would set for its own cluster, with the
// lab's power switches.
func drillConfig(l *machines.Lab) (drill.Config, *ssh.Transport, error) {
	c, err := operator.ReadCluster(filepath.Join(l.Dir(), clusterFile))
	if err != nil {
		return drill.Config{}, nil, err
	}
	kubeconfig, err := os.ReadFile(filepath.Join(l.Dir(), kubeconfigFile))
	if err != nil {
		return drill.Config{}, nil, err
	}
	hosts, err := sshtargets.New(c, ssh.Config{
		Auth:     ssh.Auth{KeyFiles: []string{l.KeyFile()}},
		HostKeys: ssh.HostKeys{KnownHostsFiles: []string{l.KnownHostsFile()}},
		// A host without power is noticed soon.
		KeepAlive: time.Second, DialTimeout: 3 * time.Second,
	})
	if err != nil {
		return drill.Config{}, nil, err
	}
	cfg, err := drill.ForCluster(c, hosts, quorate.Sensitive(kubeconfig))
	if err != nil {
		return drill.Config{}, nil, errors.Join(err, hosts.Close())
	}
	overSSH, ok := cfg.Breaker.(*drill.SSHBreaker)
	if !ok {
		return drill.Config{}, nil, errors.Join(fmt.Errorf("the default breaker is a %T", cfg.Breaker), hosts.Close())
	}
	b := labBreaker{overSSH, l}
	cfg.Breaker, cfg.Power = b, b
	return cfg, hosts, nil
}

// drillLab is the verb.
func drillLab(ctx context.Context, c command, out io.Writer) error {
	l, err := machines.Open(c.dir)
	if err != nil {
		return err
	}
	cfg, hosts, err := drillConfig(l)
	if err != nil {
		return err
	}
	defer func() { _ = hosts.Close() }() // every connection has been used up
	if c.drill.scenarios != "" {
		cfg.Scenarios = drill.Scenarios(strings.Split(c.drill.scenarios, ",")...)
	}
	if c.drill.preview {
		plan, err := drill.Preview(cfg)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(out, plan)
		return err
	}
	cfg.Observe = showDrill(out)
	report, err := drill.Run(ctx, cfg)
	if report == nil {
		return err
	}
	dir := c.drill.out
	if dir == "" {
		dir = l.Dir()
	}
	if err := errors.Join(err, saveReport(context.WithoutCancel(ctx), dir, report)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "\n%s: %s\n", report.Verdict, filepath.Join(dir, reportFile+".json")); err != nil {
		return err
	}
	if report.Verdict != drill.Passed {
		return fmt.Errorf("the drill's verdict is %q", report.Verdict)
	}
	return nil
}

// saveReport writes the report as JSON and, beside it, as a page.
func saveReport(ctx context.Context, dir string, report *drill.Report) error {
	text, err := report.JSON()
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := report.HTML(&page); err != nil {
		return err
	}
	for suffix, content := range map[string][]byte{".json": text, ".html": page.Bytes()} {
		if err := statedir.WriteFile(ctx, filepath.Join(dir, reportFile+suffix), quorate.Public(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// showDrill writes a drill's events, a line each, and each scenario's figures.
func showDrill(out io.Writer) func(drill.Event) {
	began := time.Now()
	return func(e drill.Event) {
		line := fmt.Sprintf("%7.1fs  %-20s", e.Time.Sub(began).Seconds(), e.Kind)
		for _, word := range []string{e.Scenario, e.Host, e.Message} {
			if word != "" {
				line += "  " + word
			}
		}
		if e.Err != nil {
			line += "  " + e.Err.Error()
		}
		_, _ = fmt.Fprintln(out, line) // nobody looks any more
		if e.Result != nil {
			_, _ = fmt.Fprint(out, figures(e.Result))
		}
	}
}

// figures are a result's, for people.
func figures(r *drill.Result) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "          "+format+"\n", args...) }
	line("writes: %d sent, %d acknowledged, %d lost; longest gap %.2fs, in all %.2fs", r.Writes.Requests, r.Writes.Acknowledged,
		len(r.Lost), r.Writes.Longest.Seconds(), r.Writes.Total.Seconds())
	line("reads through the endpoint: %d sent, %d answered; longest gap %.2fs", r.Reads.Requests, r.Reads.Acknowledged, r.Reads.Longest.Seconds())
	line("two owners of the VIP at once: %d times; elections: %d; without quorum: %d times", len(r.DoubleOwners), r.Etcd.Elections(), len(r.Etcd.NoQuorum))
	for _, g := range r.Etcd.NoQuorum {
		line("no quorum for %.2fs: %s", g.Length().Seconds(), g.Error)
	}
	for _, host := range slices.Sorted(maps.Keys(r.Refused)) {
		line("%s, cut off: %d writes tried, %d acknowledged", host, r.Refused[host].Requests, r.Refused[host].Acknowledged)
	}
	for _, o := range r.Owners {
		line("VIP: %s from %+.2fs to %+.2fs", o.Host, o.From.Sub(r.BrokeAt).Seconds(), o.To.Sub(r.BrokeAt).Seconds())
	}
	line("healed %.2fs after the break; redundant again %.2fs after that", r.HealedAt.Sub(r.BrokeAt).Seconds(), r.TimeToRedundancy().Seconds())
	for _, text := range r.Violations {
		line("VIOLATED: %s", text)
	}
	for _, text := range r.Exceeded {
		line("exceeded: %s", text)
	}
	for _, text := range r.Notes {
		line("note: %s", text)
	}
	return b.String()
}
