package survey

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
)

// HostReport is what a host has answered to RunningQuery.
type HostReport struct {
	// Differences of the host's files and processes, those of Reconfigure alone.
	Differences []Difference
	// Unfinished are what a reconfiguration keeps on the host until it has come to its end.
	Unfinished []string
}

// HostDifferences compares a host's answer to RunningQuery with the description, and with what
// the API said earlier in the run: an argument that kubeadm-config has and the description has
// not must go. Of what Regenerated was called for, kubeadm alone decides what else is in it.
func (d Described) HostDifferences(h *plan.Host, node quorate.Node, out []byte) HostReport {
	s := seenIn(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &comparison{d: d}
	if s.api != nil && s.api.cluster != nil {
		c.stored = s.api.cluster.Init
	}
	c.regenerated = func(component string) bool { return s.regenerated[node.Name+"/"+component] }
	r := parseReport(out)
	c.host(node, r)
	report := HostReport{Differences: byReconfigure(c.found)}
	for _, path := range r.there {
		if strings.HasPrefix(path, hostpath.Aside+"/") {
			report.Unfinished = append(report.Unfinished, path)
		}
	}
	return report
}

// Regenerated records that kubeadm has written a component's manifest from the description in
// this run: what the description does not name is kubeadm's own there.
func Regenerated(h *plan.Host, node, component string) {
	s := seenIn(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.regenerated == nil {
		s.regenerated = map[string]bool{}
	}
	s.regenerated[node+"/"+component] = true
}

// APIDifferences compares the answer of an API server to kube.ListNodes, those of Reconfigure
// alone. The error is that of a kubeadm-config that cannot be read.
func (d Described) APIDifferences(out []byte) ([]Difference, error) {
	api := parseSettings(out)
	if api.cluster == nil {
		return nil, fmt.Errorf("ConfigMap kubeadm-config in kube-system: %s", api.why)
	}
	return byReconfigure(d.compare(nil, &api)), nil
}

// unmade refuses a cluster that no API server speaks for, and control planes that no run has made.
func (d Described) unmade(h *plan.Host, s *seen) error {
	var findings []plan.Finding
	if s.api == nil {
		findings = append(findings, plan.Finding{
			Found: "no API server of this cluster answers", Do: "bring one back (Survey says what is wrong with them), then run again: settings are changed on a cluster that runs",
		})
	}
	for _, n := range d.Cluster.ControlPlanes() {
		if r, seen := s.reports[n.Name]; s.api != nil && seen && r.mark != "done" {
			findings = append(findings, plan.Finding{Found: n.Name + " is no control plane of this cluster yet", Do: "run the plan that creates the cluster first"})
		}
	}
	if len(findings) == 0 {
		return nil
	}
	return &plan.HostError{Host: h.Name, Findings: findings}
}

// byReconfigure leaves those that PlanReconfigure brings about.
func byReconfigure(all []Difference) []Difference {
	return slices.DeleteFunc(all, func(d Difference) bool { return !d.reconfigured() })
}

func (d Difference) reconfigured() bool {
	f, _ := FieldOf(d.Path)
	return d.Class == ByOther && f.By == Reconfigure
}
