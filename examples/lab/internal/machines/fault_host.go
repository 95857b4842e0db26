package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// filler is the file that FillDisk fills the disk of etcd's data with.
const filler = ".filler"

// FillDisk leaves no byte on the disk of a host's etcd. The lab must have been
// booted with Spec.EtcdDisk: else that disk is the machine's.
func (l *Lab) FillDisk(ctx context.Context, host string) (Heal, error) {
	if _, err := l.host(host); err != nil {
		return nil, err
	}
	if l.state.Spec.EtcdDisk == 0 {
		return nil, fmt.Errorf("%s: etcd's data has no disk of its own to fill: boot the lab with Spec.EtcdDisk", host)
	}
	file := filepath.Join(l.hostPath(host, "etcd"), filler)
	remove := func(context.Context) error {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := fill(ctx, file); err != nil {
		return nil, errors.Join(fmt.Errorf("fill the disk of %s: %w", host, err), remove(ctx))
	}
	return l.healable("the full disk of "+host, remove), nil
}

// fill writes a file until the file system takes no more.
func fill(ctx context.Context, file string) (err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for size := 1 << 20; size >= 512; size /= 8 {
		block := make([]byte, size)
		for err = nil; err == nil; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if _, err = f.Write(block); err == nil {
				err = f.Sync() // what is only in memory takes no room yet
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return nil
}

// dateWrapper comes before the real one in the path of root's sessions.
const dateWrapper = "/usr/local/bin/date"

// SetClock sets a host's clock off by an offset, as far as containers allow:
// hosts share the machine's kernel and so its clock. Only date, in commands that
// come over SSH, prints another time. It proves what looks at a host's date, and
// nothing about what etcd, TLS or leases would do.
func (l *Lab) SetClock(ctx context.Context, host string, offset time.Duration) (Heal, error) {
	script := fmt.Sprintf("#!/bin/sh\nexec /usr/bin/date -d '%+d seconds' \"$@\"\n", int64(offset.Seconds()))
	write := "cat >" + dateWrapper + " && chmod 755 " + dateWrapper
	if err := l.insideInput(ctx, host, script, write); err != nil {
		return nil, fmt.Errorf("set the clock of %s: %w", host, err)
	}
	return l.healable("the clock of "+host, func(ctx context.Context) error {
		return l.inside(ctx, host, "rm -f "+dateWrapper)
	}), nil
}

// StopSSH stops the host's sshd from listening: connections are refused. What
// is connected stays.
func (l *Lab) StopSSH(ctx context.Context, host string) (Heal, error) {
	if err := l.inside(ctx, host, "systemctl stop ssh.service"); err != nil {
		return nil, fmt.Errorf("stop sshd on %s: %w", host, err)
	}
	return l.healable("sshd of "+host, func(ctx context.Context) error {
		if err := l.inside(ctx, host, "systemctl start ssh.service"); err != nil {
			return err
		}
		h, err := l.host(host)
		if err != nil {
			return err
		}
		return l.waitSSH(ctx, h)
	}), nil
}

// KillSSH kills every session of a host's sshd, in the middle of whatever it
// runs. New connections are served.
func (l *Lab) KillSSH(ctx context.Context, host string) error {
	const kill = `main=$(systemctl show -p MainPID --value ssh.service) && [ "$main" != 0 ] || exit 1
pkill -KILL -P "$main"
[ $? -le 1 ]`
	if err := l.inside(ctx, host, kill); err != nil {
		return fmt.Errorf("kill the sessions on %s: %w", host, err)
	}
	return nil
}

// inside runs a shell script in a host, whether or not its sshd serves.
func (l *Lab) inside(ctx context.Context, host, script string) error {
	return l.insideInput(ctx, host, "", script)
}

func (l *Lab) insideInput(ctx context.Context, host, input, script string) error {
	h, err := l.host(host)
	if err != nil {
		return err
	}
	l.mu.Lock()
	first := h.Init
	l.mu.Unlock()
	if !first.alive() {
		return fmt.Errorf("%s is off", host)
	}
	return runInput(ctx, input, "nsenter", "--target", strconv.Itoa(first.PID), "--all", "/bin/sh", "-c", script)
}
