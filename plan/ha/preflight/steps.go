package preflight

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// The checks. docs/preflight.md has them in a table, with their severities and
// what they look at.
const (
	Reachable    plan.Check = "reachable"
	Root         plan.Check = "root"
	Init         plan.Check = "init"
	Commands     plan.Check = "commands"
	Address      plan.Check = "address"
	Interface    plan.Check = "interface"
	Hostname     plan.Check = "hostname"
	Clock        plan.Check = "clock"
	MachineID    plan.Check = "machine-id"
	ProductUUID  plan.Check = "product-uuid"
	Port         plan.Check = "port"
	Memory       plan.Check = "memory"
	Swap         plan.Check = "swap"
	Sysctl       plan.Check = "sysctl"
	Runtime      plan.Check = "runtime"
	Cgroup       plan.Check = "cgroup"
	CgroupDriver plan.Check = "cgroup-driver"
	Leftovers    plan.Check = "leftovers"
	VIP          plan.Check = "vip"
	VRID         plan.Check = "vrid"
	Path         plan.Check = "path"
	Disk         plan.Check = "disk"
)

// Checks returns every check there is, in the order in which reports have them.
func Checks() []plan.Check {
	return []plan.Check{
		Reachable, Root, Init, Commands, Address, Interface, Hostname,
		Memory, Swap, Sysctl, Runtime, Cgroup, CgroupDriver, Leftovers, Port,
		Clock, MachineID, ProductUUID, Path, VIP, VRID, Disk,
	}
}

// Look is the step that reads a host.
func (j *Judge) Look(n quorate.Node) plan.Step {
	return plan.Step{
		ID: plan.ID("preflight/" + n.Name), Title: "look at the host", Host: n.Name,
		Timeout: time.Minute, Action: lookAt{judge: j, node: n},
	}
}

// survey is what the preflight of one run has seen. It is the one thing that steps
// of a recipe hand on, and only from check to check: every run reads all of it
// anew before it is judged, and nothing is applied by it. The zero survey is
// empty.
type survey struct {
	mu    sync.Mutex
	facts map[string]hostFacts
	// strangers are the hosts that are not the cluster's yet.
	strangers map[string]bool
	probes    map[string]probed
}

func surveyOf(h *plan.Host) *survey { return plan.SharedValue[survey](h.Shared()) }

// saw keeps what a host told of itself, and forgets what it told before.
func (s *survey) saw(h hostFacts, stranger bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.facts == nil {
		s.facts, s.strangers, s.probes = map[string]hostFacts{}, map[string]bool{}, map[string]probed{}
	}
	s.facts[h.node.Name] = h
	delete(s.probes, h.node.Name)
	if delete(s.strangers, h.node.Name); stranger {
		s.strangers[h.node.Name] = true
	}
}

// worthALook returns a host's facts, and whether it is to look around.
func (s *survey) worthALook(node string) (hostFacts, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, seen := s.facts[node]
	return h, seen && len(s.strangers) > 0
}

func (s *survey) lookedAround(node string, found probed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probes[node] = found
}

// all returns what is known of nodes, in their order.
func (s *survey) all(nodes []quorate.Node) ([]hostFacts, map[string]probed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []hostFacts
	for _, n := range nodes {
		if h, there := s.facts[n.Name]; there {
			all = append(all, h)
		}
	}
	return all, maps.Clone(s.probes)
}

// lookAt reads what a host tells of itself. Its Check is all there is to it.
type lookAt struct {
	plan.NothingToUndo
	judge *Judge
	node  quorate.Node
}

// Check finds nothing: the verdict does.
func (a lookAt) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	found := hostFacts{node: a.node, sent: time.Now()}
	out, err := h.Ask(ctx, a.judge.factsQuery(a.node))
	if err != nil {
		return nil, err
	}
	if at, ok := h.PrefetchedAt(); ok {
		found.sent = at // when the host was asked for it, with all the rest
	}
	found.received, found.facts = time.Now(), parseFacts(out)
	kubernetes, _ := a.judge.ours(a.node, found.facts)
	surveyOf(h).saw(found, !kubernetes)
	return nil, nil
}

// Apply is never called: Check finds nothing.
func (lookAt) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Describe returns what is asked for.
func (a lookAt) Describe() plan.Description {
	return plan.Description{Kind: "quorate/preflight-facts", Inputs: []quorate.Content{plan.InputText(a.judge.factsQuery(a.node).Argv...)}}
}

// LookAround tries what is around a host, unless every host is this cluster's.
type LookAround struct {
	plan.NothingToUndo
	Judge *Judge
	Node  quorate.Node
}

// Check finds nothing: the verdict does.
func (a LookAround) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	facts, worth := surveyOf(h).worthALook(a.Node.Name)
	if !worth {
		return nil, nil
	}
	found, err := a.Judge.probe(facts, false, func(q transport.Query) ([]byte, error) { return h.Ask(ctx, q) })
	if err != nil {
		return nil, err
	}
	surveyOf(h).lookedAround(a.Node.Name, found)
	return nil, nil
}

// Apply is never called: Check finds nothing.
func (LookAround) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Describe returns the node: what is tried follows from the description of all.
func (a LookAround) Describe() plan.Description {
	return plan.Description{Kind: "quorate/preflight-probes", Inputs: []quorate.Content{plan.InputText(a.Node.Name)}}
}

// Verdict judges what was seen of nodes. It reads nothing more.
type Verdict struct {
	plan.NothingToUndo
	Judge *Judge
	Nodes []quorate.Node
}

// Check returns every error of every host at once in a *PreflightError, and reports
// the rest.
func (a Verdict) Check(_ context.Context, h *plan.Host) (plan.Diff, error) {
	report, seen := a.report(surveyOf(h))
	if seen < len(a.Nodes) {
		return nil, fmt.Errorf("%d of %d hosts have been looked at in this run", seen, len(a.Nodes))
	}
	for _, f := range report.Findings {
		if f.Severity != quorate.Refused {
			h.Report("%s: %s", f.Severity, f)
		}
	}
	return nil, report.Err()
}

// report judges the hosts that were seen, and tells how many they were.
func (a Verdict) report(s *survey) (Report, int) {
	all, probes := s.all(a.Nodes)
	var report Report
	report.add(*a.Judge, a.Judge.findings(all, probes)...)
	return report, len(all)
}

// JudgeUnreached is for a run in which some hosts could not be read.
func (a Verdict) JudgeUnreached(seen *plan.Shared) error {
	report, _ := a.report(plan.SharedValue[survey](seen))
	return report.Err()
}

// Apply is never called: Check finds nothing or fails.
func (Verdict) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Describe returns what is ignored.
func (a Verdict) Describe() plan.Description {
	ignored := []string{"ignored"}
	for _, c := range a.Judge.Ignore {
		ignored = append(ignored, string(c))
	}
	return plan.Description{Kind: "quorate/preflight-verdict", Inputs: []quorate.Content{plan.InputText(ignored...)}}
}

// vipInterface is the interface that carries the VIP on a node, empty if none does.
func vipInterface(c quorate.Cluster, n quorate.Node) string {
	if c.Endpoint.External || n.Role != quorate.ControlPlane {
		return ""
	}
	if n.Interface != "" {
		return n.Interface
	}
	return c.Endpoint.VIP.Interface
}

// vipAddress is the VIP, invalid where there is none.
func vipAddress(c quorate.Cluster) netip.Addr {
	if c.Endpoint.External {
		return netip.Addr{}
	}
	return c.Endpoint.Address()
}

// Prefetch returns the script.
func (a lookAt) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{a.judge.factsQuery(a.node)}}
}
