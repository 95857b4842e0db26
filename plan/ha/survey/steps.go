package survey

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
	"github.com/quorate-dev/quorate/plan/ha/internal/readonly"
	"github.com/quorate-dev/quorate/transport"
)

// DriftError reports that a running cluster has other values of fields than the
// description, and that the run does not bring them about. Nothing has been done to any
// host.
type DriftError struct{ Differences []Difference }

func (e *DriftError) Error() string {
	var b strings.Builder
	b.WriteString("the cluster runs otherwise than described, and this run would not bring it about; no host was changed:")
	for _, one := range merged(e.Differences) {
		b.WriteString("\n  " + strings.ReplaceAll(one, "\n", "\n  "))
	}
	return termsafe.Indented(b.String())
}

// merged has one text for all that is of the same values: one setting is in three
// stores, and may follow from several fields.
func merged(all []Difference) []string {
	type values struct{ described, running, do string }
	type group struct{ paths, places []string }
	groups := map[values]*group{}
	var order []values
	for _, d := range all {
		v := values{d.Described, d.Running, d.Do}
		if groups[v] == nil {
			groups[v], order = &group{}, append(order, v)
		}
		g := groups[v]
		if !slices.Contains(g.paths, d.Path) {
			g.paths = append(g.paths, d.Path)
		}
		if place := d.place(); !slices.Contains(g.places, place) {
			g.places = append(g.places, place)
		}
	}
	var out []string
	for _, v := range order {
		g := groups[v]
		out = append(out, message(strings.Join(g.paths, ", "), strings.Join(g.places, "; "), v.described, v.running, v.do))
	}
	return out
}

// DescribeEvent returns the fields.
func (e *DriftError) DescribeEvent() events.Error {
	out := events.Error{Kind: events.KindDrift}
	for _, d := range e.Differences {
		out.Problems = append(out.Problems, quorate.Problem{Path: d.Path, Severity: quorate.Refused, Message: strings.TrimPrefix(d.String(), d.Path+" ")})
	}
	return out
}

// seen is what the steps of one run have read.
type seen struct {
	mu      sync.Mutex
	reports map[string]report
	api     *settings
	// regenerated are the files that kubeadm has written in this run, as NODE/WHAT.
	regenerated map[string]bool
}

func seenIn(h *plan.Host) *seen { return plan.SharedValue[seen](h.Shared()) }

func (s *seen) host(name string, r report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reports == nil {
		s.reports = map[string]report{}
	}
	s.reports[name] = r
}

func (s *seen) of(name string) report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reports[name]
}

func (s *seen) answered(api settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.api = &api
}

func (s *seen) asked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.api != nil
}

// Running reads what runs on a host: the verdict judges it.
func (d Described) Running(node string) plan.Action {
	q := RunningQuery()
	return readonly.Action{Kind: "quorate/running", Inputs: q.Argv, Queries: []transport.Query{q}, Look: func(ctx context.Context, h *plan.Host) error {
		out, err := h.Ask(ctx, q)
		if err == nil {
			seenIn(h).host(node, parseReport(out))
		}
		return err
	}}
}

// Settings reads what the API says, from one control plane after another until one answers.
// An API server that does not answer is no error: it may be what the run is to bring back.
func (d Described) Settings(node string) plan.Action {
	q := d.settingsQuery(node)
	return readonly.Action{Kind: "quorate/settings", Inputs: q.Argv, Queries: []transport.Query{q}, Look: func(ctx context.Context, h *plan.Host) error {
		s := seenIn(h)
		if s.asked() || !s.of(node).has(hostpath.AdminConf) {
			return nil
		}
		out, err := h.Ask(ctx, q)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			h.Report("the API server of %s does not say how the cluster is set: its hosts' files alone are compared", node)
			return nil //nolint:nilerr // see above
		}
		s.answered(parseSettings(out))
		return nil
	}}
}

// settingsQuery asks the API server of a control plane itself.
func (d Described) settingsQuery(node string) transport.Query {
	return transport.Query{Argv: kube.ListNodes(d.APIServers[node], d.Cluster.Version), Needs: hostpath.AdminConf}
}

// Verdict compares what was read with the description, and reads nothing more. It fails with
// a *DriftError with every field that differs and that the run does not bring about, and
// reports that kubeadm-config cannot be read. The run is of a verb: Reconfigure, or empty for the
// one that creates clusters.
func (d Described) Verdict(by string) plan.Action {
	return readonly.Action{Kind: "quorate/drift", Inputs: []string{by}, Look: func(_ context.Context, h *plan.Host) error {
		s := seenIn(h)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.api != nil && s.api.cluster == nil {
			h.Report("the ConfigMap kubeadm-config is not compared: %s", s.api.why)
		}
		if by == Reconfigure {
			if err := d.unmade(h, s); err != nil {
				return err
			}
		}
		var refused []Difference
		for _, one := range d.compare(s.reports, s.api) {
			switch {
			case by == Reconfigure && one.reconfigured():
			case one.Class == ByOther || one.Class == Fixed:
				refused = append(refused, one)
			case by == Reconfigure && one.Class == ByRun:
				h.Report("%s is not brought about by this run: run the plan that creates the cluster afterwards", one.Path)
			}
		}
		if len(refused) > 0 {
			return &DriftError{Differences: refused}
		}
		return nil
	}}
}
