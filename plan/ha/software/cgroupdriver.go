package software

import (
	"context"
	"fmt"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/transport"
)

// cgroupDriver refuses a host whose container runtime manages cgroups by
// another driver than its kubelet will: pods then start, and do not come back
// after a reboot.
type cgroupDriver struct{ runtime, want string }

// checkCgroupDriver returns false where no check is needed, as the kubelet takes the
// driver from the runtime from 1.34 on (KubeletCgroupDriverFromCRI, KEP 4033), or where
// Quorate does not know the runtime.
func checkCgroupDriver(c quorate.Cluster) (Preparation, bool) {
	r := hostsetup.RuntimeOf(c)
	if r.Unit == "" || c.Version.Has(quorate.CgroupDriverFromRuntime) {
		return Preparation{}, false
	}
	return Preparation{
		Name: "cgroup-driver", Title: "compare the cgroup drivers of runtime and kubelet",
		Action: cgroupDriver{runtime: r.Program(), want: hostsetup.CgroupDriver(c)},
	}, true
}

// Check compares the two drivers, and says what to change if they differ.
func (d cgroupDriver) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Ask(ctx, hostsetup.CgroupDriverQuery(d.runtime))
	if err != nil {
		return nil, err
	}
	if have := keyval.Parse(out)["driver"]; have != d.want {
		return nil, &plan.HostError{Host: h.Name, Findings: []plan.Finding{{
			Found: fmt.Sprintf("%s manages cgroups by %s, the kubelet will by %s", d.runtime, have, d.want),
			Do:    fmt.Sprintf("set %s to %s in the runtime's configuration, or kubeadm.kubelet.cgroupDriver to %s", d.runtime, d.want, have),
		}}}
	}
	return nil, nil
}

// Apply is never called: Check finds either nothing or an error.
func (cgroupDriver) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Prefetch returns the script.
func (d cgroupDriver) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{hostsetup.CgroupDriverQuery(d.runtime)}}
}

// Describe returns the runtime and the driver that is wanted.
func (d cgroupDriver) Describe() plan.Description {
	return plan.Description{Kind: "quorate/cgroup-driver", Inputs: []quorate.Content{plan.InputText(d.runtime, d.want)}}
}
