package preflight

import (
	"cmp"
	"context"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/guard"
	"github.com/quorate-dev/quorate/transport"
)

// Config says how a preflight looks at hosts.
type Config struct {
	// Transport reaches the hosts. Required.
	Transport transport.Transport
	// Disk also measures how long the disk of etcd's data takes to write, on
	// control planes without data: half a megabyte is written and removed again,
	// in a command more. Without it nothing is written at all.
	Disk bool
	// Timeout bounds the reading, and the probing, of one host. Default 1 minute.
	Timeout time.Duration
	// Parallel bounds the hosts that are asked at the same moment, as
	// plan.Runner's does.
	Parallel int
	// Now is the operator's clock; several goroutines call it at once. Default
	// time.Now.
	Now func() time.Time
}

// Run checks nodes, by the same steps as a recipe's on a plan.Runner. A host that
// does not answer is a finding, and hides nothing of the others. The error is an
// *quorate.InvalidError of a Config without Transport, or ctx's.
func Run(ctx context.Context, cfg Config, j Judge, nodes []quorate.Node) (*Report, error) {
	if cfg.Transport == nil {
		var problems quorate.Problems
		problems.Refuse("transport", "missing: the one that reaches the hosts")
		return nil, problems.Err("preflight")
	}
	if cfg.Now != nil {
		j.Now = cfg.Now
	}
	report := &Report{}
	p, err := plan.New(j.steps(nodes, options{timeout: cmp.Or(cfg.Timeout, defaultTimeout), disk: cfg.Disk, report: report})...)
	if err != nil {
		return nil, err
	}
	runner := plan.Runner{Transport: lenient{cfg.Transport}, Parallel: cfg.Parallel, DryRun: true, ReadAhead: -1}
	_, err = runner.Run(ctx, p)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return report, nil
}

// lenient connects to hosts that cannot be reached too: what is asked of them fails.
type lenient struct{ transport.Transport }

func (l lenient) Dial(ctx context.Context, host string) (transport.Conn, error) {
	conn, err := guard.Dial(ctx, l.Transport, host)
	if err == nil {
		return conn, nil
	}
	return unreachable{err}, nil //nolint:nilerr // every command of the connection returns it
}

// unreachable is the connection to a host that there is none to.
type unreachable struct{ err error }

func (u unreachable) Run(context.Context, transport.Cmd) error { return u.err }
func (u unreachable) Close() error                             { return nil }
