package software

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/transport"
)

// cgroupDriver refuses a host whose container runtime manages cgroups by
// another driver than its kubelet will: pods then start, and do not come back
// after a reboot.
type cgroupDriver struct{ runtime, want string }

// checkCgroupDriver is needed where the kubelet does not ask the runtime by
// itself, as it does from 1.34 on (KubeletCgroupDriverFromCRI, KEP 4033), and
// where the runtime is one that Quorate can ask.
func checkCgroupDriver(c quorate.Cluster) (Preparation, bool) {
	r := RuntimeOf(c)
	if r.Unit == "" || c.Version.Has(quorate.CgroupDriverFromRuntime) {
		return Preparation{}, false
	}
	want := KubeletCgroupDriver(c)
	return Preparation{
		Name: "cgroup-driver", Title: "compare the cgroup drivers of runtime and kubelet",
		Action: cgroupDriver{runtime: strings.TrimSuffix(r.Unit, ".service"), want: want},
	}, true
}

// KubeletCgroupDriver is what the kubelet is told: systemd, unless the description
// says otherwise.
func KubeletCgroupDriver(c quorate.Cluster) string {
	if given, ok := c.Kubeadm.Kubelet["cgroupDriver"].(string); ok {
		return given
	}
	return "systemd"
}

// cgroupDriverScript asks the runtime.
//
//go:embed scripts/cgroupdriver.sh
var cgroupDriverScript string

// AskCgroupDriver asks a runtime, docker, containerd or crio, for its cgroup driver:
// the answer is a line driver=systemd or driver=cgroupfs.
func AskCgroupDriver(runtime string) transport.Query {
	return plan.Script(cgroupDriverScript, map[string]string{"RUNTIME": runtime})
}

// Check compares, and says which of the two to change.
func (d cgroupDriver) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Ask(ctx, AskCgroupDriver(d.runtime))
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
	return plan.Prefetch{Queries: []transport.Query{AskCgroupDriver(d.runtime)}}
}

// Describe returns the runtime and the driver that is wanted.
func (d cgroupDriver) Describe() plan.Description {
	return plan.Description{Kind: "quorate/cgroup-driver", Inputs: []quorate.Content{plan.InputText(d.runtime, d.want)}}
}
