package machines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bootTimeout is far above the ten seconds that four hosts take on two cores.
const bootTimeout = 3 * time.Minute

// Boot starts a host that is off and returns when sshd answers on it. A host
// that runs is left as it is.
func (l *Lab) Boot(ctx context.Context, name string) error {
	h, err := l.host(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bootTimeout,
		fmt.Errorf("no sshd on %s after %s, see %s", h.Address, bootTimeout, l.ConsoleFile(name)))
	defer cancel()
	if err := l.boot(ctx, h); err != nil {
		return fmt.Errorf("boot %s: %w", name, err)
	}
	return nil
}

func (l *Lab) boot(ctx context.Context, h *hostState) error {
	if l.isRunning(h) {
		return l.waitSSH(ctx, h)
	}
	// What a hard end left behind: a veth of the same name blocks the start.
	if err := errors.Join(h.Cgroups.killAll(ctx), deleteVeth(ctx, l.state.Spec.Bridge, h.Name)); err != nil {
		return err
	}
	if err := errors.Join(h.Cgroups.remove(ctx), h.Cgroups.create()); err != nil {
		return err
	}
	if err := l.mountHost(ctx, h); err != nil {
		return err
	}
	if err := l.start(ctx, h); err != nil {
		return err
	}
	return l.waitSSH(ctx, h)
}

// dataDirs are where a host's own overlay will not do: containerd lays
// overlays of its own, and the others want a real disk.
var dataDirs = map[string]string{
	"containerd": "/var/lib/containerd",
	"kubelet":    "/var/lib/kubelet",
	"etcd":       "/var/lib/quorate/etcd",
}

func (l *Lab) mountHost(ctx context.Context, h *hostState) error {
	for _, dir := range append(slices.Collect(maps.Keys(dataDirs)), "upper", "work", "root") {
		mode := fs.FileMode(0o755)
		if dir == "etcd" {
			mode = 0o700 // etcd warns otherwise
		}
		if err := os.MkdirAll(l.hostPath(h.Name, dir), mode); err != nil {
			return err
		}
	}
	if size := l.state.Spec.EtcdDisk; size > 0 {
		if err := mountDisk(ctx, l.hostPath(h.Name, "etcd.img"), l.hostPath(h.Name, "etcd"), size); err != nil {
			return err
		}
	}
	root := l.hostPath(h.Name, "root")
	if mounts, err := mountsBelow(root); err != nil || len(mounts) > 0 {
		return err // the overlay outlives a power cut, as a disk does
	}
	return mountOverlay(ctx, l.state.Layers, l.hostPath(h.Name, "upper"), l.hostPath(h.Name, "work"), root)
}

// start runs systemd-nspawn in a session of its own and records it.
func (l *Lab) start(ctx context.Context, h *hostState) error {
	console, err := os.OpenFile(l.ConsoleFile(h.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = console.Close() }()
	// The host outlives the ctx it is booted with.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", l.startArgs(h)...)
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"SYSTEMD_NSPAWN_API_VFS_WRITABLE=1",
		"SYSTEMD_NSPAWN_USE_CGNS=1",
	}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // reaps it; lasts as long as the host
	nspawn, err := findProcess(cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := l.record(h, nspawn, process{}); err != nil {
		return err
	}
	var first process
	err = poll(ctx, 10*time.Millisecond, func() (bool, error) {
		select {
		case err := <-ended:
			return false, fmt.Errorf("systemd-nspawn ended, see %s: %w", l.ConsoleFile(h.Name), cmp.Or(err, errEnded))
		default:
		}
		first = initOf(nspawn.PID)
		return first.alive(), nil
	})
	if err != nil {
		return err
	}
	return l.record(h, nspawn, first)
}

// errEnded is a supervisor that ended as if all were well.
var errEnded = errors.New("it reported no failure")

// enterCgroups moves itself into the groups before "--" and then becomes
// the command after it: with v1 there is no other way to start a process in
// a group of each hierarchy.
const enterCgroups = `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`

func (l *Lab) startArgs(h *hostState) []string {
	args := append([]string{"-c", enterCgroups, "sh"}, h.Cgroups...)
	args = append(args, "--", "systemd-nspawn", "--boot", "--register=no", "--keep-unit",
		"--resolv-conf=off", "--link-journal=no", "--timezone=off",
		"--network-bridge="+l.state.Spec.Bridge,
		"--directory="+l.hostPath(h.Name, "root"),
		"--machine="+h.Name,
		"--capability=all",
		"--system-call-filter=add_key keyctl bpf perf_event_open",
		"--bind=/dev/kmsg",
	)
	if _, err := os.Stat("/lib/modules"); err == nil {
		args = append(args, "--bind-ro=/lib/modules")
	}
	for _, dir := range slices.Sorted(maps.Keys(dataDirs)) {
		args = append(args, "--bind="+l.hostPath(h.Name, dir)+":"+dataDirs[dir])
	}
	for _, source := range slices.Sorted(maps.Keys(l.state.Binds)) {
		args = append(args, "--bind-ro="+source+":"+l.state.Binds[source])
	}
	return args
}

// initOf returns the container's first process once systemd runs there, the zero
// process before.
func initOf(nspawn int) process {
	children, err := os.ReadDir("/proc")
	if err != nil {
		return process{}
	}
	for _, c := range children {
		pid, err := strconv.Atoi(c.Name())
		if err != nil || parentOf(pid) != nspawn {
			continue
		}
		if name, err := os.ReadFile("/proc/" + c.Name() + "/comm"); err != nil || strings.TrimSpace(string(name)) != "systemd" {
			continue // still nspawn's own child on its way
		}
		if p, err := findProcess(pid); err == nil {
			return p
		}
	}
	return process{}
}

func parentOf(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

func (l *Lab) record(h *hostState, nspawn, first process) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.Nspawn, h.Init = nspawn, first
	return l.state.write(l.dir)
}

func (l *Lab) isRunning(h *hostState) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return h.Init.alive()
}

// waitSSH waits until sshd greets.
func (l *Lab) waitSSH(ctx context.Context, h *hostState) error {
	var dialer net.Dialer
	return poll(ctx, 100*time.Millisecond, func() (bool, error) {
		if !h.Nspawn.alive() {
			return false, fmt.Errorf("systemd-nspawn ended, see %s", l.ConsoleFile(h.Name))
		}
		try, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		conn, err := dialer.DialContext(try, "tcp", net.JoinHostPort(h.Address.String(), "22"))
		if err != nil {
			return false, nil
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		greeting := make([]byte, 4)
		_, err = conn.Read(greeting)
		return err == nil && string(greeting) == "SSH-", nil
	})
}

// Running reports whether a host is on.
func (l *Lab) Running(name string) bool {
	h, err := l.host(name)
	return err == nil && l.isRunning(h)
}

// PowerCut ends a host as a power failure does: its link is dead at once, so
// that the kernel, which here outlives the host, takes no leave of its peers and
// answers for none of its addresses; SIGKILL to its first process ends all the
// others. What the host wrote stays. It returns when the host is gone.
func (l *Lab) PowerCut(ctx context.Context, name string) error {
	h, err := l.host(name)
	if err != nil {
		return err
	}
	if err := l.powerCut(ctx, h); err != nil {
		return fmt.Errorf("cut the power of %s: %w", name, err)
	}
	return nil
}

func (l *Lab) powerCut(ctx context.Context, h *hostState) error {
	l.mu.Lock()
	first, nspawn := h.Init, h.Nspawn
	l.mu.Unlock()
	if err := deleteVeth(ctx, l.state.Spec.Bridge, h.Name); err != nil {
		return err
	}
	if err := errors.Join(first.kill(), nspawn.kill(), h.Cgroups.killAll(ctx)); err != nil {
		return err
	}
	if err := errors.Join(first.waitGone(ctx), nspawn.waitGone(ctx)); err != nil {
		return err
	}
	return l.record(h, process{}, process{})
}

// Reboot shuts a host down in good order and boots it. It returns when sshd
// answers again.
func (l *Lab) Reboot(ctx context.Context, name string) error {
	h, err := l.host(name)
	if err != nil {
		return err
	}
	// The answer to the command may be lost with the host.
	_, sshErr := l.SSH(ctx, name, "systemctl poweroff")
	l.mu.Lock()
	first, nspawn := h.Init, h.Nspawn
	l.mu.Unlock()
	down, cancel := context.WithTimeoutCause(ctx, bootTimeout, fmt.Errorf("%s did not shut down within %s", name, bootTimeout))
	defer cancel()
	if err := errors.Join(first.waitGone(down), nspawn.waitGone(down)); err != nil {
		return fmt.Errorf("reboot %s: %w", name, errors.Join(err, sshErr))
	}
	if err := l.record(h, process{}, process{}); err != nil {
		return err
	}
	return l.Boot(ctx, name)
}

// Unplug pulls a host's network cable: the link is down at both ends.
func (l *Lab) Unplug(ctx context.Context, name string) error { return l.setCable(ctx, name, "down") }

// Plug puts the cable back.
func (l *Lab) Plug(ctx context.Context, name string) error { return l.setCable(ctx, name, "up") }

func (l *Lab) setCable(ctx context.Context, name, to string) error {
	if _, err := l.host(name); err != nil {
		return err
	}
	_, err := run(ctx, "ip", "link", "set", vethOf(name), to)
	return err
}
