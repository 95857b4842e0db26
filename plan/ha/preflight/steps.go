package preflight

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/guard"
	"github.com/quorate-dev/quorate/plan/ha/internal/readonly"
	"github.com/quorate-dev/quorate/transport"
)

// The steps that all others wait at. Without them each node's would name every node.
const (
	// FactsStep comes after every host has been read.
	FactsStep plan.ID = "facts"
	// Step comes after all has been judged.
	Step plan.ID = "preflight"
)

// FactsID is the step that reads a host.
func FactsID(node string) plan.ID { return plan.ID("facts/" + node) }

// ProbeID is the step that has a host try its surroundings.
func ProbeID(node string) plan.ID { return plan.ID("probe/" + node) }

// Steps read nodes, have them try their surroundings unless all of them are this
// cluster's already, and judge all of it in Step, on the first of the nodes.
func (j Judge) Steps(nodes []quorate.Node) []plan.Step {
	return j.steps(nodes, options{timeout: defaultTimeout})
}

// FactsSteps are Steps for hosts whose surroundings do not matter.
func (j Judge) FactsSteps(nodes []quorate.Node) []plan.Step {
	read, last := j.read(nodes, options{timeout: defaultTimeout})
	return append(read, j.judged(nodes, options{}, last))
}

// defaultTimeout bounds the reading and the probing of one host.
const defaultTimeout = time.Minute

// options are what a preflight by itself does otherwise than one of a recipe.
type options struct {
	timeout time.Duration
	// disk has disks measured.
	disk bool
	// report takes what was found, hosts that are away among it: then nothing fails.
	report *Report
}

func (j Judge) read(nodes []quorate.Node, o options) (steps []plan.Step, ids []plan.ID) {
	for _, n := range nodes {
		ids = append(ids, FactsID(n.Name))
		steps = append(steps, plan.Step{
			ID: FactsID(n.Name), Title: "read what the host says of itself", Host: n.Name, Timeout: o.timeout,
			Action: readFacts{judge: j, node: n, lenient: o.report != nil}.action(),
		})
	}
	return steps, ids
}

func (j Judge) judged(nodes []quorate.Node, o options, after []plan.ID) plan.Step {
	return plan.Step{ID: Step, Title: "judge what was found", Host: nodes[0].Name, After: after, Action: verdict{judge: j, nodes: nodes, into: o.report}.action()}
}

func (j Judge) steps(nodes []quorate.Node, o options) []plan.Step {
	steps, ids := j.read(nodes, o)
	for i, n := range nodes {
		steps[i].Alone = n.Role == quorate.Worker // the cluster does without it
	}
	steps = append(steps, plan.Step{ID: FactsStep, Title: "every host has been read", Host: nodes[0].Name, After: ids, Action: readonly.Action{Kind: "quorate/milestone"}})
	ids = nil
	for _, n := range nodes {
		ids = append(ids, ProbeID(n.Name))
		steps = append(steps, plan.Step{
			ID: ProbeID(n.Name), Title: "try what is around the host", Host: n.Name, Timeout: o.timeout,
			After: []plan.ID{FactsID(n.Name), FactsStep}, Alone: n.Role == quorate.Worker, Action: probe{judge: j, node: n, disk: o.disk, lenient: o.report != nil}.action(),
		})
	}
	return append(steps, j.judged(nodes, o, ids))
}

// survey is what the preflight of one run has seen. It is the one thing that steps
// of a recipe hand on, and only from check to check: every run reads all of it
// before it is judged, and nothing is applied by it. The zero survey is empty.
type survey struct {
	mu    sync.Mutex
	facts map[string]hostFacts
	// strangers are the hosts that are not the cluster's yet.
	strangers map[string]bool
	probes    map[string]probed
}

func surveyOf(h *plan.Host) *survey { return plan.SharedValue[survey](h.Shared()) }

// saw keeps what a host reported of itself, and forgets what it reported before.
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

// toProbe returns a host's facts, and whether it is to try its surroundings.
func (s *survey) toProbe(node string) (hostFacts, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, seen := s.facts[node]
	return h, seen && h.away == nil && len(s.strangers) > 0
}

func (s *survey) tried(node string, found probed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probes[node] = found
}

// lost notes that a host could no longer be asked.
func (s *survey) lost(node string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.facts[node]
	h.away = err
	s.facts[node] = h
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

// readFacts reads what a host reports of itself.
type readFacts struct {
	judge Judge
	node  quorate.Node
	// lenient: a host that does not answer is a finding.
	lenient bool
}

func (a readFacts) action() plan.Action {
	q := a.judge.factsQuery(a.node)
	return readonly.Action{Kind: "quorate/preflight-facts", Inputs: q.Argv, Queries: []transport.Query{q}, Look: a.look}
}

func (a readFacts) look(ctx context.Context, h *plan.Host) error {
	found := hostFacts{node: a.node, sent: a.judge.now()}
	var out []byte
	err := guarded(a.lenient, func() (err error) {
		out, err = h.Ask(ctx, a.judge.factsQuery(a.node))
		return err
	})
	if err == nil {
		if at, ok := h.PrefetchedAt(); ok {
			found.sent = at // when the host was asked for it, with all the rest
		}
		found.received = a.judge.now()
		found.facts, err = parseFacts(ctx, out)
	}
	if err != nil && !a.lenient {
		return err
	}
	found.away = err
	kubernetes, _ := a.judge.ours(a.node, found.facts)
	surveyOf(h).saw(found, !kubernetes && err == nil)
	return nil
}

// probe has a host try its surroundings, unless every host is this cluster's.
type probe struct {
	judge   Judge
	node    quorate.Node
	disk    bool
	lenient bool
}

// action describes itself by the node: what is tried follows from the description of all.
func (a probe) action() plan.Action {
	return readonly.Action{Kind: "quorate/preflight-probes", Inputs: []string{a.node.Name}, Look: a.look}
}

func (a probe) look(ctx context.Context, h *plan.Host) error {
	facts, wanted := surveyOf(h).toProbe(a.node.Name)
	if !wanted {
		return nil
	}
	var found probed
	err := guarded(a.lenient, func() (err error) {
		found, err = a.try(ctx, h, facts)
		return err
	})
	if err != nil && a.lenient {
		surveyOf(h).lost(a.node.Name, err)
		return nil
	}
	if err != nil {
		return err
	}
	surveyOf(h).tried(a.node.Name, found)
	return nil
}

// guarded calls f; a panic in it is an error if hosts that do not answer are findings, and
// otherwise the Runner's to report.
func guarded(lenient bool, f func() error) error {
	if lenient {
		return guard.Do(f)
	}
	return f()
}

// try runs the script, and at the same time makes a connection through the host.
func (a probe) try(ctx context.Context, h *plan.Host, facts hostFacts) (probed, error) {
	var tunnel, lost error
	var connecting sync.WaitGroup
	if a.node.Role == quorate.ControlPlane && a.judge.wants(factTunnel) {
		connecting.Go(func() {
			// Beyond the Runner's goroutine nobody else recovers from a panic of the transport.
			var came error
			if fault := guard.Do(func() error { tunnel, came = a.tunnel(ctx, h); return nil }); fault != nil {
				came = fault
			}
			lost = came
		})
	}
	vars, targets := a.judge.probesVars(facts)
	sent := a.judge.now()
	out, err := h.Ask(ctx, plan.Script(probesScript, vars, targets...))
	received := a.judge.now()
	connecting.Wait()
	if err == nil {
		err = lost
	}
	if err != nil {
		return probed{}, err
	}
	found, err := parseProbes(ctx, out)
	if err != nil {
		return found, err
	}
	found.tunnel, found.sent, found.received = tunnel, sent, received
	if found.disk = a.disk && a.judge.measures(facts); found.disk {
		out, err := h.Ask(ctx, plan.Script(diskScript, map[string]string{"DISK_DIR": a.judge.dataDir(a.node)}))
		if err != nil {
			return found, err
		}
		measured, err := parseProbes(ctx, out)
		found.syncs = measured.syncs
		return found, err
	}
	return found, nil
}

// tunnel returns why no connection can be made through the host, or that it was lost.
func (a probe) tunnel(ctx context.Context, h *plan.Host) (refused, lost error) {
	err := h.CheckTunnels(ctx, "tcp", net.JoinHostPort(a.node.Address().String(), strconv.Itoa(a.judge.Cluster.Etcd.ClientPort)))
	var tunnel *transport.TunnelError
	if errors.As(err, &tunnel) {
		return err, nil
	}
	return nil, err
}

// probesVars are the variables of probesScript, and the addresses and ports that
// it tries: what only ignored checks need is not tried.
func (j Judge) probesVars(h hostFacts) (vars map[string]string, targets []string) {
	vars = map[string]string{"VIP": "", "VIP_PORT": "", "VIP_INTERFACE": "", "VRID": "0", "LISTEN_SECONDS": "0", "SPEAK_SECONDS": "0", "SPEAK_PYTHON": "", "SPEAK_PERL": "", "SPEAK_FROM": "", "SPEAK_TO": "", "RUNTIME": "", "ENDPOINT": ""}
	if iface := vipInterface(j.Cluster, h.node); iface != "" {
		vip := vipAddress(j.Cluster)
		vars["VIP_INTERFACE"], vars["VRID"] = iface, strconv.Itoa(j.Cluster.Endpoint.VIP.RouterID)
		if !h.facts.holds(vip) && j.wants(factVIP) {
			vars["VIP"], vars["VIP_PORT"] = vip.String(), strconv.Itoa(j.Cluster.Endpoint.Port)
		}
		if j.wants(factListened) {
			vars["LISTEN_SECONDS"] = strconv.Itoa(j.listenSeconds())
		}
		if peers := j.vrrpPeers(h.node); len(peers) > 0 && j.wants(factHeard) {
			vars["SPEAK_SECONDS"], vars["SPEAK_PYTHON"], vars["SPEAK_PERL"] = strconv.Itoa(j.listenSeconds()), vrrpPython, vrrpPerl
			vars["SPEAK_FROM"], vars["SPEAK_TO"] = j.vrrpAddress(h.node).String(), strings.Join(peers, " ")
		}
	}
	asks := slices.ContainsFunc([]fact{factDriver, factDisabled, factSandbox}, j.wants)
	if kubernetes, _ := j.ours(h.node, h.facts); !kubernetes && h.facts.runtime != "no" && asks {
		vars["RUNTIME"] = j.Driver
	}
	if j.Cluster.Endpoint.External && j.wants(factEndpoint) {
		vars["ENDPOINT"] = j.Cluster.Endpoint.Host
	}
	if !j.wants(factPath) {
		return vars, nil
	}
	for _, t := range j.targets(h.node) {
		targets = append(targets, t.Addr().String(), strconv.Itoa(int(t.Port())))
	}
	return vars, targets
}

// listenSeconds is how long to listen for VRRP: three of the others' intervals, if
// theirs is like this one, and for as long that hosts which begin one after another
// hear each other.
func (j Judge) listenSeconds() int {
	intervals := 3 * time.Duration(j.Cluster.Endpoint.VIP.AdvertInterval)
	return max(3, 1+int((intervals+time.Second-1)/time.Second))
}

// vrrpAddress is a node's own address of the VIP's family, invalid if it has none.
func (j Judge) vrrpAddress(n quorate.Node) netip.Addr {
	for _, a := range n.Addresses {
		if a.Is4() == vipAddress(j.Cluster).Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// vrrpPeers are where a control plane's advertisements go.
func (j Judge) vrrpPeers(n quorate.Node) []string {
	var peers []string
	for _, other := range j.Cluster.ControlPlanes() {
		if a := j.vrrpAddress(other); other.Name != n.Name && a.IsValid() {
			peers = append(peers, a.String())
		}
	}
	switch {
	case len(peers) == 0 || !j.vrrpAddress(n).IsValid():
		return nil
	case !j.Cluster.Endpoint.VIP.Multicast:
		return peers
	case vipAddress(j.Cluster).Is4():
		return []string{"224.0.0.18"}
	}
	return []string{"ff02::12"}
}

// measures reports whether a host has a disk to measure: one for etcd's data,
// without any yet.
func (j Judge) measures(h hostFacts) bool {
	return h.node.Role == quorate.ControlPlane && !slices.Contains(h.facts.left, j.dataDir(h.node)+"/member") && j.wants(factSync)
}

// verdict judges what was seen of nodes. It reads nothing more.
type verdict struct {
	judge Judge
	nodes []quorate.Node
	// into takes the report, if it is set.
	into *Report
}

// action describes itself by what is ignored.
func (a verdict) action() plan.Action {
	ignored := []string{"ignored"}
	for _, c := range a.judge.Ignore {
		ignored = append(ignored, string(c))
	}
	return readonly.Action{Kind: "quorate/preflight-verdict", Inputs: ignored, Look: a.look, Unreached: a.unreached}
}

// look returns every error of every host at once in an *Error, and reports the
// rest.
func (a verdict) look(_ context.Context, h *plan.Host) error {
	report, seen := a.report(surveyOf(h))
	if a.unseen(surveyOf(h)) {
		return fmt.Errorf("%d of %d hosts have been read in this run", seen, len(a.nodes))
	}
	if a.into != nil {
		*a.into = report
		return nil
	}
	for _, f := range report.Findings {
		if f.Severity != quorate.Refused {
			h.Report("%s: %s", f.Severity, f)
		}
	}
	return report.Err()
}

// report judges the hosts that were read, and returns how many are known of.
func (a verdict) report(s *survey) (Report, int) {
	all, probes := s.all(a.nodes)
	v := view{Judge: a.judge, probes: probes}
	var report Report
	for _, h := range all {
		report.Hosts = append(report.Hosts, h.node.Name)
		if h.away == nil {
			v.hosts = append(v.hosts, h)
			continue
		}
		f := finding(quorate.Refused, h.away.Error(), "make the host reachable and run again", h.node.Name)
		f.Check = Reachable
		report.add(a.judge, safe(f))
	}
	report.add(a.judge, v.findings()...)
	return report, len(all)
}

// unseen reports whether a control plane was not read. A worker that does not answer stops its
// own steps alone.
func (a verdict) unseen(s *survey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(a.nodes, func(n quorate.Node) bool {
		_, seen := s.facts[n.Name]
		return !seen && n.Role == quorate.ControlPlane
	})
}

// unreached is for a run in which some hosts could not be read.
func (a verdict) unreached(seen *plan.Shared) error {
	report, _ := a.report(plan.SharedValue[survey](seen))
	return report.Err()
}
