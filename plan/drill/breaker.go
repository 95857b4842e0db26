package drill

import (
	"context"
	"fmt"
	"time"
)

// Fault is one way to break one host.
type Fault string

// The faults.
const (
	// PowerOff cuts the power: nothing on the host takes leave of anybody.
	PowerOff Fault = "power-off"
	// Reboot restarts the host in good order. It comes back by itself.
	Reboot Fault = "reboot"
	// StopAPIServer, StopKeepalived and StopEtcd stop one service in good order.
	StopAPIServer  Fault = "stop-apiserver"
	StopKeepalived Fault = "stop-keepalived"
	StopEtcd       Fault = "stop-etcd"
	// Partition cuts the host off from all others, and from the clients. What
	// runs on it goes on and reaches itself.
	Partition Fault = "partition"
	// PartitionEtcd cuts off etcd's ports, those of clients and of peers.
	PartitionEtcd Fault = "partition-etcd"
	// FillDisk leaves no room in the file system that holds etcd's data.
	FillDisk Fault = "fill-disk"
)

// words says what a fault is, with the host's name for %s.
func (f Fault) words() (broken, healed string) {
	switch f {
	case PowerOff:
		return "cut the power of %s", "switch %s on; it boots by itself"
	case Reboot:
		return "reboot %s", "nothing: %s comes back by itself"
	case StopAPIServer:
		return "stop the API server of %s", "put the API server's manifest back on %s"
	case StopKeepalived:
		return "stop keepalived on %s", "start keepalived on %s"
	case StopEtcd:
		return "stop the etcd member of %s", "start the etcd member of %s"
	case Partition:
		return "cut %s off from every other host and from the clients", "let %s reach the network again"
	case PartitionEtcd:
		return "cut etcd's ports of %s off from every other host", "let etcd of %s reach the network again"
	case FillDisk:
		return "fill the disk that holds etcd's data on %s", "free the disk of %s and start its member if it ended"
	}
	return string(f) + " on %s", "heal " + string(f) + " on %s"
}

// Break is one fault on one host.
type Break struct {
	Fault Fault
	Host  Host
	// Limit is how long the break may last if nobody heals it.
	Limit time.Duration
}

// Breaker breaks hosts and heals them. SSHBreaker is one; a hypervisor, a switch
// or a cloud makes another. It is called for several hosts at once.
type Breaker interface {
	// Faults are those it knows, without PowerOff, which is a PowerBreaker's.
	Faults() []Fault
	// Break breaks a host and returns when it is broken: the service has
	// stopped, no packet passes. Reboot returns when the host is up again. After
	// an error the host may be broken or not, and is healed.
	//
	// A break must heal by itself after its Limit, or soon after, so that an
	// operator who dies leaves no broken cluster.
	Break(ctx context.Context, b Break) error
	// Heal undoes Break. On a host that is not broken it does nothing and
	// succeeds. It is tried again when it fails.
	Heal(ctx context.Context, b Break) error
}

// Checker is the ability of a Breaker to find out, by reading only, whether it could
// break a host in a way. It is called before anything is broken.
type Checker interface {
	Check(ctx context.Context, f Fault, h Host) error
}

// PowerBreaker cuts hosts' power. It is called for several hosts at once.
type PowerBreaker interface {
	// PowerOff returns when the host is off. It must not shut it down in order.
	PowerOff(ctx context.Context, h Host) error
	// PowerOn switches a host on and may return before it is up. On
	// one that is on it does nothing and succeeds. It is tried again when it
	// fails.
	PowerOn(ctx context.Context, h Host) error
}

// BreakError reports that a break, or healing it, did not work.
type BreakError struct {
	// Op is check, break or heal.
	Op    string
	Fault Fault
	Host  string
	Err   error
}

// Error says what was tried where, and what came back.
func (e *BreakError) Error() string {
	return visible(fmt.Sprintf("%s: %s %s: ", e.Host, e.Op, e.Fault)) + " " + said(e.Err)
}

// Unwrap returns the cause.
func (e *BreakError) Unwrap() error { return e.Err }
