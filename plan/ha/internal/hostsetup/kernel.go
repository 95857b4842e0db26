package hostsetup

import (
	"context"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/transport"
)

// Kernel sets the kernel parameters that the kubelet and pod networks need, now and at
// every boot.
type Kernel struct{ Settings []setting }

type setting struct{ Key, Value string }

// KernelOf returns the kernel settings that a cluster needs on each host.
func KernelOf(c quorate.Cluster) Kernel {
	var k Kernel
	for _, p := range c.Pods {
		if p.Addr().Is4() {
			k.Settings = append(k.Settings, setting{"net.ipv4.ip_forward", "1"})
		} else {
			k.Settings = append(k.Settings, setting{"net.ipv6.conf.all.forwarding", "1"})
		}
	}
	return k
}

// File is the file of settings that sysctl loads.
func (k Kernel) File() quorate.File {
	var b strings.Builder
	b.WriteString("# What Kubernetes nodes need to route pods' traffic.\n")
	for _, s := range k.Settings {
		b.WriteString(s.Key + " = " + s.Value + "\n")
	}
	return quorate.File{Path: hostpath.Sysctl, Mode: 0o644, Content: quorate.Public([]byte(b.String()))}
}

func (k Kernel) query() []string {
	argv := []string{"sysctl"}
	for _, s := range k.Settings {
		argv = append(argv, s.Key)
	}
	return argv
}

// Check compares the running kernel and the file.
func (k Kernel) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	diff, err := h.DiffFiles(ctx, k.File())
	if err != nil {
		return nil, err
	}
	out, err := h.Run(ctx, k.query()...)
	if err != nil {
		return nil, err
	}
	running := keyval.Parse([]byte(strings.ReplaceAll(string(out), " = ", "=")))
	for _, s := range k.Settings {
		if running[s.Key] != s.Value {
			diff = append(diff, plan.Change{Verb: "set", Subject: s.Key, Detail: running[s.Key] + ", want " + s.Value})
		}
	}
	return diff, nil
}

// Apply writes the file and loads it.
func (k Kernel) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	if err := h.WriteFiles(ctx, k.File()); err != nil {
		return err
	}
	_, err := h.Run(ctx, "sysctl", "--load="+hostpath.Sysctl)
	return err
}

// Prefetch returns the file and the running kernel's settings.
func (k Kernel) Prefetch() plan.Prefetch {
	r := plan.Prefetch{Queries: []transport.Query{{Argv: k.query()}}}
	r.Files = []string{hostpath.Sysctl}
	return r
}

func (k Kernel) deploy() plan.Deploy { return plan.Deploy{Files: []quorate.File{k.File()}} }

// Backup copies the file.
func (k Kernel) Backup(ctx context.Context, h *plan.Host, d plan.Diff, dir string) error {
	return k.deploy().Backup(ctx, h, d, dir)
}

// Undo puts the file back. What the kernel does stays until the next boot.
func (k Kernel) Undo(ctx context.Context, h *plan.Host, dir string) error {
	return k.deploy().Undo(ctx, h, dir)
}

// Describe returns the file of settings.
func (k Kernel) Describe() plan.Description {
	return plan.Description{Kind: "quorate/kernel", Files: []quorate.File{k.File()}}
}

// Commands loads it.
func (k Kernel) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: []string{"sysctl", "--load=" + hostpath.Sysctl}}}, nil
}
