package machines_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/cachedir"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
)

// realHosts skips a test unless real hosts are wanted and possible here.
func realHosts(t *testing.T) (cache string) {
	t.Helper()
	if os.Getenv("QUORATE_E2E") == "" {
		t.Skip("boots real hosts: set QUORATE_E2E=1 to run it")
	}
	if err := machines.CheckMachine(); err != nil {
		t.Fatal(err) // they were requested
	}
	cache, err := cachedir.Default()
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

func ssh(t *testing.T, l *machines.Lab, h machines.Host, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
		"-o", "UserKnownHostsFile="+l.KnownHostsFile(), "-i", l.KeyFile(), "root@"+h.Address.String(), command)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %s: %v: %s", h.Name, command, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// TestE2EHosts boots two hosts, power-cuts one, boots it again, pulls its cable,
// and proves that nothing of it is left afterwards.
func TestE2EHosts(t *testing.T) {
	cache := realHosts(t)
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	if _, err := machines.InstallPackages(ctx); err != nil {
		t.Fatal(err)
	}
	root, err := machines.RootFS(ctx, cache)
	if err != nil {
		t.Fatal(err)
	}
	// On the cache's disk: t.TempDir may be a tmpfs without room.
	base, err := os.MkdirTemp(cache, "test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // nothing but the link is left once the lab is down
		if err := errors.Join(os.Remove(filepath.Join(base, "link")), os.Remove(base)); err != nil {
			t.Error(err)
		}
	})
	if base, err = filepath.EvalSymlinks(base); err != nil {
		t.Fatal(err)
	}
	// The kernel's names of mounts have no links in them.
	if err := os.Symlink(base, filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "link", "lab")
	instances := read(t, "/proc/sys/fs/inotify/max_user_instances")
	spec := machines.Spec{ControlPlanes: 1, Workers: 1, Bridge: "labtest0"}
	start := time.Now()
	l, err := machines.Up(ctx, machines.Config{Spec: spec, Dir: dir, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := machines.Down(context.WithoutCancel(ctx), dir); err != nil {
			t.Error(err)
		}
	})
	t.Logf("two hosts booted in %s", time.Since(start))

	cp, worker := l.Hosts()[0], l.Hosts()[1]
	if got := ssh(t, l, cp, "hostname; cat /proc/sys/net/ipv4/ip_forward; touch /root/kept; sync"); got != "cp-1\n1" {
		t.Errorf("hostname and ip_forward: %q", got)
	}
	if got := ssh(t, l, cp, "ping -c1 -W2 worker-1 >/dev/null && echo ok"); got != "ok" {
		t.Errorf("cp-1 does not reach worker-1 by name: %q", got)
	}
	if a, b := ssh(t, l, cp, "cat /etc/machine-id"), ssh(t, l, worker, "cat /etc/machine-id"); a == b || len(a) != 32 {
		t.Errorf("machine ids %q and %q: want two of 32 digits", a, b)
	}
	if got := ssh(t, l, cp, "systemctl list-units --failed --no-legend --plain"); got != "" {
		t.Errorf("failed units: %s", got)
	}

	if err := l.PowerCut(ctx, cp.Name); err != nil {
		t.Fatal(err)
	}
	if l.Running(cp.Name) || !l.Running(worker.Name) {
		t.Error("after the power cut of cp-1: want it off and worker-1 on")
	}
	start = time.Now()
	if err := l.Boot(ctx, cp.Name); err != nil {
		t.Fatal(err)
	}
	t.Logf("booted again in %s", time.Since(start))
	ssh(t, l, cp, "test -e /root/kept")

	if err := l.Unplug(ctx, cp.Name); err != nil {
		t.Fatal(err)
	}
	if got := ssh(t, l, worker, "ping -c1 -W1 cp-1 >/dev/null || echo cut"); got != "cut" {
		t.Errorf("unplugged cp-1 still answers: %q", got)
	}
	if err := l.Plug(ctx, cp.Name); err != nil {
		t.Fatal(err)
	}
	if got := ssh(t, l, worker, "ping -c3 -W2 cp-1 >/dev/null && echo ok"); got != "ok" {
		t.Errorf("cp-1 does not answer after its cable is back: %q", got)
	}

	// A later process finds the lab by its directory alone.
	found, err := machines.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.Down(ctx); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{dir, "/sys/class/net/labtest0", "/sys/class/net/vb-cp-1"} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s is left behind", gone)
		}
	}
	if mounts := read(t, "/proc/self/mountinfo"); strings.Contains(mounts, base) {
		t.Errorf("mounts are left behind:\n%s", mounts)
	}
	if got := read(t, "/proc/sys/fs/inotify/max_user_instances"); got != instances {
		t.Errorf("inotify limit is %s, was %s", got, instances)
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "lab-labtest0" {
			t.Errorf("cgroup %s is left behind", path)
		}
		return nil
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
