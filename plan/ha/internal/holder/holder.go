// Package holder has the Actions that see, at the end of a run, that exactly one
// host holds the VIP and that the others reach it there.
package holder

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/addresses"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// Error reports that not exactly one host holds the VIP, or that a host sends its
// packets elsewhere. Whatever else the run did is done.
type Error struct {
	// VIP that it is about.
	VIP netip.Addr
	// Holders are the control planes that have the VIP among their addresses, in the
	// order of the description, each with the interface: "cp-1 (eth0)".
	Holders []string
	// Findings say what is wrong and what to do about it, at least one.
	Findings []plan.Finding
}

// Error has a line for each finding.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Findings))
	for _, f := range e.Findings {
		lines = append(lines, f.String())
	}
	return termsafe.Indented(fmt.Sprintf("VIP %s: %s", e.VIP, strings.Join(lines, "\n")))
}

// view is what one host sees of the VIP.
type view struct {
	// held are the interfaces that have the VIP.
	held []string
	// macs are the host's own.
	macs []string
	// answer is empty if the API server answered at the VIP, and else curl's
	// reason. A holder does not ask.
	answer string
	// neighbour is the MAC to which the host sends packets for the VIP, empty where
	// it knows none: beyond a router, for one.
	neighbour string
}

// settled reports whether somebody holds the VIP.
func (v view) settled() bool { return len(v.held) > 0 || v.answer == "" }

// silent is the reason of a curl that says none.
const silent = "no answer"

// maxLines bounds what is read of a host: no host has as many interfaces.
const maxLines = 4096

// parse reads what the script printed.
func parse(vip netip.Addr, out []byte) view {
	v := view{answer: silent}
	var own []addresses.Own
	lines := 0
	for line := range strings.Lines(string(out)) {
		if lines++; lines > maxLines {
			break
		}
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = termsafe.Line(value)
		switch key {
		case "address":
			if o, ok := addresses.Parse(value); ok {
				own = append(own, o)
			}
		case "mac":
			if !slices.Contains(v.macs, value) {
				v.macs = append(v.macs, value)
			}
		case "answer":
			if v.answer = cmp.Or(value, silent); value == "yes" {
				v.answer = ""
			}
		case "neighbour":
			v.neighbour = cmp.Or(v.neighbour, value)
		}
	}
	v.held = addresses.Devices(own, vip)
	return v
}

// views are what the hosts of one run see.
type views struct {
	mu  sync.Mutex
	all map[string]view
}

func (s *views) saw(node string, v view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]view{}
	}
	s.all[node] = v
}

//go:embed scripts/vipholder.sh
var scriptFile string

var script = addresses.Into(scriptFile)

// Look reads what one control plane sees of the VIP, and waits until somebody
// holds it.
type Look struct {
	plan.NothingToUndo
	VIP netip.Addr
	// URL of the API server at the VIP.
	URL string
}

func (l Look) query() transport.Query {
	q := plan.Script(script, map[string]string{"VIP": l.VIP.String(), "URL": l.URL, "CA": hostpath.KubernetesCA})
	q.Needs = hostpath.AdminConf
	return q
}

func (l Look) read(ctx context.Context, h *plan.Host) (view, error) {
	out, err := h.Ask(ctx, l.query())
	if err != nil {
		return view{}, err
	}
	v := parse(l.VIP, out)
	plan.SharedValue[views](h.Shared()).saw(h.Name, v)
	return v, nil
}

func (l Look) wait(v view) plan.Diff {
	if v.settled() {
		return nil
	}
	return plan.Diff{{Verb: "wait", Subject: "VIP " + l.VIP.String(), Detail: "no answer there: " + v.answer, Waits: true}}
}

// Check waits for nothing if the VIP is held here, or answers.
func (l Look) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	v, err := l.read(ctx, h)
	if err != nil {
		return nil, err
	}
	return l.wait(v), nil
}

const (
	// patience is how long the VIP may be without a holder. Three failed checks, an
	// election and the start of an API server end sooner.
	patience = 30 * time.Second
	// pause is the time between two looks.
	pause = time.Second
)

// Apply waits until Check would find nothing. That nobody holds the VIP is left to
// Verdict, which knows what every host sees.
func (l Look) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for poll.Wait(limited, pause) {
		if v, err := l.read(limited, h); err != nil || v.settled() {
			return err
		}
	}
	return ctx.Err()
}

// Describe returns the VIP.
func (l Look) Describe() plan.Description {
	return plan.Description{Kind: "quorate/vip-look", Inputs: []quorate.Content{plan.InputText(l.VIP.String(), l.URL)}}
}

// Prefetch returns the script.
func (l Look) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{l.query()}}
}

// Verdict judges what the control planes see. It reads nothing more.
type Verdict struct {
	plan.NothingToUndo
	VIP   netip.Addr
	Nodes []quorate.Node
}

// Check returns an *Error unless exactly one host holds the VIP and all others send
// their packets for it to that one.
func (a Verdict) Check(_ context.Context, h *plan.Host) (plan.Diff, error) {
	s := plan.SharedValue[views](h.Shared())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range a.Nodes {
		if _, seen := s.all[n.Name]; !seen {
			return nil, errors.New("not every control plane has been looked at in this run")
		}
	}
	err, notes := a.judge(s.all)
	for _, note := range notes {
		h.Report("%s: %s", note.Severity, note)
	}
	switch {
	case err == nil:
		return nil, nil
	case len(err.Holders) == 0: // as before the first run
		return plan.Diff{{Verb: "wait", Subject: "VIP " + a.VIP.String(), Detail: "no control plane holds it", Waits: true, Data: err}}, nil
	}
	return nil, err
}

// Apply reports that nobody holds the VIP: each host has waited for that already.
func (a Verdict) Apply(_ context.Context, _ *plan.Host, d plan.Diff) error {
	for _, err := range plan.DataOf[*Error](d) {
		return err
	}
	return nil
}

const dropped = "let VRRP (IP protocol 112) pass between all control planes, see docs/hosts.md, and look at keepalived's log there"

func (a Verdict) judge(seen map[string]view) (*Error, []plan.Finding) {
	e := &Error{VIP: a.VIP}
	var holders, others []string
	owner := map[string]string{}
	for _, n := range a.Nodes {
		v := seen[n.Name]
		for _, mac := range v.macs {
			owner[mac] = n.Name
		}
		if len(v.held) == 0 {
			others = append(others, n.Name)
			continue
		}
		holders = append(holders, n.Name)
		e.Holders = append(e.Holders, fmt.Sprintf("%s (%s)", n.Name, strings.Join(v.held, ", ")))
	}
	refuse := func(hosts []string, do, format string, args ...any) {
		e.Findings = append(e.Findings, plan.Finding{Severity: quorate.Refused, Hosts: hosts, Found: fmt.Sprintf(format, args...), Do: do})
	}
	var notes []plan.Finding
	switch len(holders) {
	case 0:
		refuse(others, "look at keepalived's log and at its check of the API server there; if the VIP moved just now, run again", "no control plane holds the VIP%s", a.reasons(seen))
		return e, nil
	case 1:
		if held := seen[holders[0]].held; len(held) > 1 {
			refuse(holders, "take it off the interface that is not keepalived's", "the VIP is on %d interfaces: %s", len(held), strings.Join(held, ", "))
		}
	default:
		refuse(holders, dropped, "%d hosts hold the VIP at once: %s", len(holders), strings.Join(e.Holders, ", "))
		return e, nil
	}
	for _, name := range others {
		v := seen[name]
		switch to := owner[v.neighbour]; {
		case v.answer != "":
			refuse([]string{name}, "let the host reach the VIP's holder there, see docs/hosts.md", "the VIP does not answer, although %s holds it: %s", holders[0], v.answer)
		case v.neighbour == "" || to == holders[0]:
		case to == "":
			// A cloud's network or a router may answer for it: no fault by itself.
			notes = append(notes, plan.Finding{
				Severity: quorate.Warned, Hosts: []string{name}, Found: fmt.Sprintf("sends packets for the VIP to %s, which is no control plane's address, although %s holds it", v.neighbour, holders[0]),
				Do: "see that no other host has the VIP, unless a router answers for it",
			})
		default:
			refuse([]string{name}, "see that the network passes on gratuitous ARP, or unsolicited neighbour advertisements", "sends packets for the VIP to %s, although %s holds it", to, holders[0])
		}
	}
	if len(e.Findings) == 0 {
		return nil, notes
	}
	return e, notes
}

// reasons says what the hosts heard when they searched for the VIP.
func (a Verdict) reasons(seen map[string]view) string {
	var all []string
	for _, n := range a.Nodes {
		if v := seen[n.Name]; v.answer != "" {
			all = append(all, n.Name+" heard "+v.answer)
		} else if v.neighbour != "" {
			all = append(all, n.Name+" has an answer from "+v.neighbour)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}

// Describe returns the VIP and the control planes.
func (a Verdict) Describe() plan.Description {
	names := []string{a.VIP.String()}
	for _, n := range a.Nodes {
		names = append(names, n.Name)
	}
	return plan.Description{Kind: "quorate/vip-holder", Inputs: []quorate.Content{plan.InputText(names...)}}
}
