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

// Look reads what runs on a host.
type Look struct {
	plan.NothingToUndo
	Node string
}

// Check finds nothing: the verdict does.
func (a Look) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Ask(ctx, runningQuery())
	if err != nil {
		return nil, err
	}
	seenIn(h).host(a.Node, parseReport(out))
	return nil, nil
}

// Apply is never called: Check finds nothing.
func (Look) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Describe returns what is read.
func (a Look) Describe() plan.Description {
	return plan.Description{Kind: "quorate/running", Inputs: []quorate.Content{plan.InputText(runningQuery().Argv...)}}
}

// Prefetch returns the script.
func (Look) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{runningQuery()}}
}

// AskAPI reads what the API says, from one control plane after another until one answers.
type AskAPI struct {
	plan.NothingToUndo
	// Node is the control plane, and List how its API server is read (kube.ListNodes).
	Node string
	List []string
}

// Check finds nothing: the verdict does. An API server that does not answer is no error:
// it may be what the run is to bring back.
func (a AskAPI) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	s := seenIn(h)
	if s.asked() || !s.of(a.Node).has(hostpath.AdminConf) {
		return nil, nil
	}
	out, err := h.Run(ctx, a.List...)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		h.Report("the API server of %s does not say how the cluster is set: its hosts' files alone are compared", a.Node)
		return nil, nil //nolint:nilerr // see above
	}
	s.answered(parseSettings(out))
	return nil, nil
}

// Apply is never called: Check finds nothing.
func (AskAPI) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Describe returns what is read.
func (a AskAPI) Describe() plan.Description {
	return plan.Description{Kind: "quorate/settings", Inputs: []quorate.Content{plan.InputText(a.List...)}}
}

// Prefetch returns the question.
func (a AskAPI) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{{Argv: a.List, Needs: hostpath.AdminConf}}}
}

// Verdict compares what was read with the description. It reads nothing more.
type Verdict struct {
	plan.NothingToUndo
	Described Described
}

// Check returns a *DriftError with every field that differs and that the run does not bring
// about, and reports that kubeadm-config cannot be read.
func (a Verdict) Check(_ context.Context, h *plan.Host) (plan.Diff, error) {
	s := seenIn(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.api != nil && s.api.cluster == nil {
		h.Report("the ConfigMap kubeadm-config is not compared: %s", s.api.why)
	}
	var refused []Difference
	for _, d := range a.Described.compare(s.reports, s.api) {
		if d.Class == ByOther || d.Class == Fixed {
			refused = append(refused, d)
		}
	}
	if len(refused) > 0 {
		return nil, &DriftError{Differences: refused}
	}
	return nil, nil
}

// Apply is never called: Check finds nothing or fails.
func (Verdict) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Describe returns that it is one: what it compares follows from what other steps bring
// about.
func (Verdict) Describe() plan.Description { return plan.Description{Kind: "quorate/drift"} }
