package machines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Fault is something that goes wrong with a host, by its name.
type Fault string

// The faults, with what the lab does for each. Methods of the Lab of the same
// meaning take parameters where these have fixed ones.
const (
	// LostPower is PowerCut; it heals by Boot.
	LostPower Fault = "power-cut"
	// Rebooted is an orderly shutdown and a boot: nothing to heal.
	Rebooted Fault = "reboot"
	// CablePulled is Unplug; it heals by Plug.
	CablePulled Fault = "cable-pulled"
	// Partitioned is Partition: the other hosts are gone, the machine is not.
	Partitioned Fault = "partition"
	// PeersBlocked is DropPorts of etcd's peers, 2380, to and from the host.
	PeersBlocked Fault = "etcd-peers-blocked"
	// PacketLoss is Impair with a loss of 5 %.
	PacketLoss Fault = "packet-loss"
	// Latency is Impair with 500 ms on every round trip.
	Latency Fault = "latency"
	// DiskFull is FillDisk. The lab needs Spec.EtcdDisk.
	DiskFull Fault = "disk-full"
	// ClockOff is SetClock by an hour; see there what it cannot do.
	ClockOff Fault = "clock-off"
	// SSHRefused is StopSSH: connections to sshd are refused.
	SSHRefused Fault = "ssh-refused"
	// SSHKilled is KillSSH: what runs over SSH loses its connection, once.
	SSHKilled Fault = "ssh-killed"
)

// etcdPeerPort is where members of etcd talk to each other, by its defaults.
const etcdPeerPort = 2380

// Faults returns every fault there is.
func Faults() []Fault {
	return []Fault{
		LostPower, Rebooted, CablePulled, Partitioned, PeersBlocked, PacketLoss,
		Latency, DiskFull, ClockOff, SSHRefused, SSHKilled,
	}
}

// Heal takes a fault away. It does nothing the second time it succeeded, and
// may be called again when it failed.
type Heal func(context.Context) error

// Inject makes a fault happen to a host. HealAll heals what has not been yet.
func (l *Lab) Inject(ctx context.Context, f Fault, host string) (Heal, error) {
	switch f {
	case LostPower:
		return l.LosePower(ctx, host)
	case Rebooted:
		return nothing, l.Reboot(ctx, host)
	case CablePulled:
		return l.PullCable(ctx, host)
	case Partitioned:
		return l.Partition(ctx, host)
	case PeersBlocked:
		return l.DropPorts(ctx, host, "", etcdPeerPort)
	case PacketLoss:
		return l.Impair(ctx, host, Impairment{Loss: 0.05})
	case Latency:
		return l.Impair(ctx, host, Impairment{Latency: 500 * time.Millisecond})
	case DiskFull:
		return l.FillDisk(ctx, host)
	case ClockOff:
		return l.SetClock(ctx, host, time.Hour)
	case SSHRefused:
		return l.StopSSH(ctx, host)
	case SSHKilled:
		return nothing, l.KillSSH(ctx, host)
	}
	return nil, fmt.Errorf("no fault %q: there are %v", f, Faults())
}

func nothing(context.Context) error { return nil }

// HealAll heals what this Lab has injected and nobody has healed, last first. It
// goes on after an error and returns them all.
func (l *Lab) HealAll(ctx context.Context) error {
	l.mu.Lock()
	open := slices.Clone(l.open)
	l.mu.Unlock()
	var errs []error
	for _, f := range slices.Backward(open) {
		errs = append(errs, f.heal(ctx))
	}
	return errors.Join(errs...)
}

// openFault is a fault that has not been healed.
type openFault struct {
	mu   sync.Mutex // one heals at a time
	lab  *Lab
	what string
	undo func(context.Context) error
}

// healable keeps what undoes a fault, for its Heal and for HealAll.
func (l *Lab) healable(what string, undo func(context.Context) error) Heal {
	f := &openFault{lab: l, what: what, undo: undo}
	l.mu.Lock()
	l.open = append(l.open, f)
	l.mu.Unlock()
	return f.heal
}

func (f *openFault) heal(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.undo == nil {
		return nil
	}
	if err := f.undo(ctx); err != nil {
		return fmt.Errorf("heal %s: %w", f.what, err)
	}
	f.undo = nil
	f.lab.mu.Lock()
	defer f.lab.mu.Unlock()
	f.lab.open = slices.DeleteFunc(f.lab.open, func(o *openFault) bool { return o == f })
	return nil
}

// LosePower is PowerCut with a Heal that boots the host again.
func (l *Lab) LosePower(ctx context.Context, host string) (Heal, error) {
	if err := l.PowerCut(ctx, host); err != nil {
		return nil, err
	}
	return l.healable("the power cut of "+host, func(ctx context.Context) error { return l.Boot(ctx, host) }), nil
}

// PullCable is Unplug with a Heal that plugs the cable in again.
func (l *Lab) PullCable(ctx context.Context, host string) (Heal, error) {
	if err := l.Unplug(ctx, host); err != nil {
		return nil, err
	}
	return l.healable("the pulled cable of "+host, func(ctx context.Context) error { return l.Plug(ctx, host) }), nil
}
