package plan

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate"
)

// Check names one check of a preflight.
type Check string

// The checks. docs/preflight.md has them in a table, with their severities and
// what they look at.
const (
	CheckReachable    Check = "reachable"
	CheckRoot         Check = "root"
	CheckInit         Check = "init"
	CheckCommands     Check = "commands"
	CheckAddress      Check = "address"
	CheckInterface    Check = "interface"
	CheckHostname     Check = "hostname"
	CheckClock        Check = "clock"
	CheckMachineID    Check = "machine-id"
	CheckProductUUID  Check = "product-uuid"
	CheckPort         Check = "port"
	CheckMemory       Check = "memory"
	CheckSwap         Check = "swap"
	CheckSysctl       Check = "sysctl"
	CheckRuntime      Check = "runtime"
	CheckCgroup       Check = "cgroup"
	CheckCgroupDriver Check = "cgroup-driver"
	CheckLeftovers    Check = "leftovers"
	CheckVIP          Check = "vip"
	CheckVRID         Check = "vrid"
	CheckPath         Check = "path"
	CheckDisk         Check = "disk"
)

// Checks gives every check there is, in the order in which reports have them.
func Checks() []Check {
	return []Check{
		CheckReachable, CheckRoot, CheckInit, CheckCommands, CheckAddress, CheckInterface, CheckHostname,
		CheckMemory, CheckSwap, CheckSysctl, CheckRuntime, CheckCgroup, CheckCgroupDriver, CheckLeftovers, CheckPort,
		CheckClock, CheckMachineID, CheckProductUUID, CheckPath, CheckVIP, CheckVRID, CheckDisk,
	}
}

// Severity of a Finding.
type Severity string

const (
	// SeverityError stops a run.
	SeverityError Severity = "error"
	// SeverityWarning is likely to be trouble later.
	SeverityWarning Severity = "warning"
	// SeverityInfo says what could not be checked: it is never a pass.
	SeverityInfo Severity = "info"
)

// Finding is one thing that a preflight has to say.
type Finding struct {
	Check    Check    `json:"check"`
	Severity Severity `json:"severity"`
	// Hosts that it is about, by their names in the description.
	Hosts []string `json:"hosts"`
	// Found is what was found, Do what to do about it.
	Found string `json:"found"`
	Do    string `json:"do"`
}

// String gives "cp-1 (swap): swap is on: swapoff -a ...".
func (f Finding) String() string {
	return fmt.Sprintf("%s (%s): %s: %s", strings.Join(f.Hosts, ", "), f.Check, f.Found, f.Do)
}

// preflightSteps are the recipe's first: every host is read, and hosts that are
// not this cluster's yet look around; then one step judges all of it, so that
// everything that is wrong anywhere is told at once. On a cluster that is as
// described that is one command for each host.
func (r *recipe) preflightSteps() []Step {
	j := r.judge()
	var steps []Step
	for _, n := range r.c.Nodes {
		steps = append(steps, j.look(n))
	}
	steps = append(steps, Step{
		ID: lookedStep, Title: "every host has been read", Host: r.first.Name, After: r.ids("preflight", r.c.Nodes), Action: milestone{},
	})
	for _, n := range r.c.Nodes {
		steps = append(steps, Step{
			ID: nodeID("surroundings", n), Title: "look around the host", Host: n.Name, Timeout: time.Minute,
			After: []ID{lookedStep}, Action: lookAround{judge: &j, node: n},
		})
	}
	return append(steps, Step{
		ID: preflightStep, Title: "judge what was found", Host: r.first.Name,
		After: r.ids("surroundings", r.c.Nodes), Action: verdict{judge: &j, nodes: r.c.Nodes},
	})
}

// The steps that all others wait at. Without them each node's would name every node.
const (
	lookedStep    ID = "looked"
	preflightStep ID = "preflight"
)

// milestone is for a step that only comes after others.
type milestone struct{}

// Check finds nothing.
func (milestone) Check(context.Context, *Host) (Diff, error) { return nil, nil }

// Apply is never called.
func (milestone) Apply(context.Context, *Host, Diff) error { return nil }

// look is the step that reads a host.
func (j *judge) look(n quorate.Node) Step {
	return Step{
		ID: nodeID("preflight", n), Title: "look at the host", Host: n.Name,
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

// worthALook gives a host's facts, and whether it is to look around.
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

// all gives what is known of nodes, in their order.
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
	judge *judge
	node  quorate.Node
}

// Check finds nothing: the verdict does.
func (a lookAt) Check(ctx context.Context, h *Host) (Diff, error) {
	found := hostFacts{node: a.node, sent: time.Now()}
	out, err := h.Script(ctx, preflightScript, a.judge.factsArgs(a.node)...)
	if err != nil {
		return nil, err
	}
	if f := h.foreseen.Load(); f != nil && f.wasUsed() {
		found.sent = h.ahead.at // when the host was asked for it, with all the rest
	}
	found.received, found.facts = time.Now(), parseFacts(out)
	kubernetes, _ := a.judge.ours(a.node, found.facts)
	h.survey.saw(found, !kubernetes)
	return nil, nil
}

// Apply is never called: Check finds nothing.
func (lookAt) Apply(context.Context, *Host, Diff) error { return nil }

// lookAround tries what is around a host, unless every host is this cluster's.
type lookAround struct {
	judge *judge
	node  quorate.Node
}

// Check finds nothing: the verdict does.
func (a lookAround) Check(ctx context.Context, h *Host) (Diff, error) {
	facts, worth := h.survey.worthALook(a.node.Name)
	if !worth {
		return nil, nil
	}
	found, err := a.judge.probe(facts, false, func(script string, args ...string) ([]byte, error) {
		return h.Script(ctx, script, args...)
	})
	if err != nil {
		return nil, err
	}
	h.survey.lookedAround(a.node.Name, found)
	return nil, nil
}

// Apply is never called: Check finds nothing.
func (lookAround) Apply(context.Context, *Host, Diff) error { return nil }

// verdict judges what was seen of nodes. It reads nothing more.
type verdict struct {
	judge *judge
	nodes []quorate.Node
}

// Check gives every error of every host at once in a *PreflightError, and reports
// the rest.
func (a verdict) Check(_ context.Context, h *Host) (Diff, error) {
	report, seen := a.report(h.survey)
	if seen < len(a.nodes) {
		return nil, fmt.Errorf("%d of %d hosts have been looked at in this run", seen, len(a.nodes))
	}
	for _, f := range report.Findings {
		if f.Severity != SeverityError {
			h.Report("%s: %s", f.Severity, f)
		}
	}
	return nil, report.Err()
}

// report judges the hosts that were seen, and tells how many they were.
func (a verdict) report(s *survey) (Report, int) {
	all, probes := s.all(a.nodes)
	var report Report
	report.add(*a.judge, a.judge.findings(all, probes)...)
	return report, len(all)
}

// judgeSeen is for a run in which some hosts could not be read.
func (a verdict) judgeSeen(s *survey) error {
	report, _ := a.report(s)
	return report.Err()
}

// Apply is never called: Check finds nothing or fails.
func (verdict) Apply(context.Context, *Host, Diff) error { return nil }

// Describe gives what is ignored.
func (a verdict) Describe() Description {
	ignored := []string{"ignored"}
	for _, c := range a.judge.ignore {
		ignored = append(ignored, string(c))
	}
	return Description{Inputs: []quorate.Content{input(ignored...)}}
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
