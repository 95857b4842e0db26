package members

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
)

// QuorumError refuses to take a member out of etcd, because those that would be
// left could not act: fewer than a majority of them are healthy. Nothing has been
// changed.
type QuorumError struct {
	// Member that was to go.
	Member string
	// Restart says that it was to be restarted, and not to go.
	Restart bool
	// All says that its host is gone for good, and that everybody else has to be healthy before
	// it is removed: Majority is all of them.
	All bool
	// Voters would be left, of which Healthy, by name, answered; it takes
	// Majority of them to act. Voters is 0 if no member answered.
	Voters, Majority int
	Healthy          []string
	// Err joins what was wrong with the others, nil if they are simply too few.
	Err error
}

const quorumAdvice = "bring the other members back first, or reset the whole cluster"

// Error says what would be left, and what to do.
func (e *QuorumError) Error() string {
	var b strings.Builder
	switch {
	case e.Restart:
		fmt.Fprintf(&b, "etcd member %s is not restarted: of %d voters %d others are healthy (%s), and it takes %d to act meanwhile: "+
			"bring the other members back first", e.Member, e.Voters, len(e.Healthy), strings.Join(e.Healthy, ", "), e.Majority)
		if e.Err != nil {
			b.WriteString("\n" + e.Err.Error())
		}
		return termsafe.Indented(b.String())
	case e.All && e.Voters > 0:
		fmt.Fprintf(&b, "etcd member %s stays: of the %d that would be left %d are healthy (%s), and each of them has to be before one is removed for good",
			e.Member, e.Voters, len(e.Healthy), strings.Join(e.Healthy, ", "))
	case e.Voters == 0 && e.Err != nil:
		fmt.Fprintf(&b, "etcd member %s stays: no majority of etcd answers without it", e.Member)
	case e.Voters == 0:
		fmt.Fprintf(&b, "etcd member %s stays: it is the last", e.Member)
	default:
		fmt.Fprintf(&b, "etcd member %s stays: of the %d that would be left %d are healthy (%s), and it takes %d",
			e.Member, e.Voters, len(e.Healthy), strings.Join(e.Healthy, ", "), e.Majority)
	}
	b.WriteString(": " + quorumAdvice)
	if e.Err != nil {
		b.WriteString("\n" + e.Err.Error())
	}
	return termsafe.Indented(b.String())
}

// Unwrap returns what was wrong with the others.
func (e *QuorumError) Unwrap() error { return e.Err }

// DescribeEvent returns what was tried, and what to do.
func (e *QuorumError) DescribeEvent() events.Error {
	if e.Restart {
		return events.Error{Kind: events.KindQuorum, Tried: "restart etcd member " + e.Member, Do: "bring the other members back first"}
	}
	return events.Error{Kind: events.KindQuorum, Tried: "remove etcd member " + e.Member, Do: quorumAdvice}
}

// spares judges whether those that would be left can do without the members that
// go, one after another in this order.
func spares(s etcdclient.Status, going ...etcdclient.Member) error {
	gone := map[uint64]bool{}
	for _, m := range going {
		gone[m.ID] = true
		if m.Learner {
			continue
		}
		e := &QuorumError{Member: m.Name, Err: s.Err()}
		for _, v := range s.Members {
			if v.Learner || gone[v.ID] {
				continue
			}
			e.Voters++
			if slices.ContainsFunc(s.Endpoints, func(at etcdclient.EndpointStatus) bool { return at.Healthy && at.ID == v.ID }) {
				e.Healthy = append(e.Healthy, v.Name)
			}
		}
		e.Majority = e.Voters/2 + 1
		if e.Voters == 0 || len(e.Healthy) < e.Majority {
			return e
		}
	}
	return nil
}

// Survivors only looks: it refuses, before anything is done to a host, what would
// leave those that stay unable to act. Its host is one of them.
type Survivors struct {
	Others
	// going are the members that leave, in their order.
	Going []string
	// api is where the API server of this host reports its health.
	API string
	// vip says that keepalived has to run here.
	VIP bool
}

// survivorScript reads the API server and keepalived of this host.
//
//go:embed scripts/survivor.sh
var survivorScript string

// acts refuses a host whose API server, or keepalived where it is wanted, is not well.
func acts(ctx context.Context, h *plan.Host, api string, vip bool) error {
	out, err := h.Script(ctx, survivorScript, map[string]string{"API_HEALTH": api})
	if err != nil {
		return err
	}
	var faults []plan.Finding
	f := keyval.Parse(out)
	if f["api"] != "ok" {
		faults = append(faults, plan.Finding{
			Found: "the API server at " + api + " is not well, and it is to act for the cluster",
			Do:    "bring this control plane back, or choose another with Via",
		})
	}
	if vip && f["keepalived"] != "active" {
		faults = append(faults, plan.Finding{
			Found: fmt.Sprintf("keepalived is %s here, and the VIP would have nowhere to go", f["keepalived"]),
			Do:    "run the HA recipe first, or choose another control plane with Via",
		})
	}
	if len(faults) > 0 {
		return &plan.HostError{Host: h.Name, Findings: faults}
	}
	return nil
}

// Check returns a *QuorumError or a *HostError, and no Diff.
func (s Survivors) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	if err := acts(ctx, h, s.API, s.VIP && len(s.Going) > 0); err != nil {
		return nil, err
	}
	if len(s.Going) == 0 {
		return nil, nil
	}
	return nil, s.ask(h, true, func(client *etcdclient.Client) error {
		status, err := client.Status(ctx)
		if err != nil {
			return err
		}
		return s.judge(status)
	})
}

func (s Survivors) judge(status etcdclient.Status) error {
	if !status.Quorum() {
		return &QuorumError{Member: s.Going[0], Err: status.Err()}
	}
	var going []etcdclient.Member
	for _, name := range s.Going {
		one := s.Others
		one.Self = Peer{Name: name}
		for _, p := range s.Peers {
			if p.Name == name {
				one.Self = p
			}
		}
		if m, ok := one.find(status.Members); ok {
			going = append(going, m)
		}
	}
	return spares(status, going...)
}

// Apply is never called: Check finds either nothing or an error.
func (Survivors) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Describe returns the members.
func (s Survivors) Describe() plan.Description {
	d := s.describe("quorate/etcd-survivors")
	d.Inputs = append(d.Inputs, plan.InputText(s.Going...), plan.InputText(s.API, fmt.Sprint(s.VIP)))
	return d
}
