package drill

import (
	"fmt"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Plan is what a drill will do, known without asking any host.
type Plan struct {
	Endpoint  string    `json:"endpoint"`
	Hosts     []string  `json:"hosts"`
	Namespace string    `json:"namespace"`
	Rate      float64   `json:"rate"`
	Scenarios []Planned `json:"scenarios"`
	// Skipped are the scenarios that cannot be run here.
	Skipped []Skipped `json:"skipped,omitempty"`
	// Holds are the guarantees of every scenario. One that is broken ends the
	// drill.
	Holds []string `json:"holds"`
	// Refuses is what has to be so before anything is broken, and between
	// scenarios.
	Refuses []string `json:"refuses"`
}

// Planned is one scenario of a Plan.
type Planned struct {
	Name   string `json:"name"`
	Fault  Fault  `json:"fault"`
	Target Target `json:"target"`
	// Break and Heal say in words what is done, to whom.
	Break string `json:"break"`
	Heal  string `json:"heal"`
	// Down is how long a host stays broken, and Limit after what time the break
	// heals by itself; zero for power, which only the one who cut it restores.
	Down  time.Duration `json:"down"`
	Limit time.Duration `json:"limit,omitempty"`
	// Holds are its own guarantees besides the Plan's.
	Holds []string `json:"holds,omitempty"`
}

// Preview is the dry run: what Run would break, heal and expect. It reaches no
// host, so who holds the VIP and who leads etcd is not among it. The error is
// that of a Config that Run would not take, a *quorate.InvalidError.
func Preview(cfg Config) (Plan, error) {
	p, err := cfg.prepare()
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{
		Endpoint: p.API.Endpoint, Namespace: p.Namespace, Rate: p.Rate, Skipped: p.skipped, Holds: alwaysHold(),
		Refuses: []string{
			"every API server answers /readyz",
			fmt.Sprintf("all %d members of etcd answer a linearizable read", len(p.Hosts)),
			"the breaker finds on the hosts what it needs",
			fmt.Sprintf("namespace %s is not there, or an earlier drill's", p.Namespace),
		},
	}
	if p.VIP.IsValid() {
		plan.Refuses = append(plan.Refuses, "keepalived runs on every host and one host holds the VIP "+p.VIP.String())
	}
	for _, h := range p.Hosts {
		plan.Hosts = append(plan.Hosts, h.Name)
	}
	for _, s := range p.Scenarios {
		_, healed := s.Fault.words()
		who := s.who(len(p.Hosts))
		planned := Planned{
			Name: s.Name, Fault: s.Fault, Target: s.Target, Down: s.Down,
			Break: s.title(who), Heal: fmt.Sprintf(healed, "the host"), Holds: s.holds(p.Thresholds),
		}
		if s.Fault != PowerOff && s.Fault != Reboot {
			planned.Limit = s.limit()
		}
		plan.Scenarios = append(plan.Scenarios, planned)
	}
	return plan, nil
}

// String is the plan for people. What is not printable is escaped.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "The drill breaks %s on purpose while it writes %g times a second to namespace %s at %s.\n",
		strings.Join(p.Hosts, ", "), p.Rate, p.Namespace, p.Endpoint)
	b.WriteString("\nNothing is broken unless\n")
	for _, r := range p.Refuses {
		fmt.Fprintf(&b, "  - %s\n", r)
	}
	b.WriteString("\nAll the time these must hold, or the drill heals and ends:\n")
	for _, h := range p.Holds {
		fmt.Fprintf(&b, "  - %s\n", h)
	}
	for i, s := range p.Scenarios {
		fmt.Fprintf(&b, "\n%d. %s: %s\n   for %s, then: %s\n", i+1, s.Name, s.Break, s.Down, s.Heal)
		if s.Limit > 0 {
			fmt.Fprintf(&b, "   heals by itself after %s\n", s.Limit)
		}
		for _, h := range s.Holds {
			fmt.Fprintf(&b, "   and must hold: %s\n", h)
		}
	}
	for _, s := range p.Skipped {
		fmt.Fprintf(&b, "\nnot run: %s: %s\n", s.Name, s.Why)
	}
	return termsafe.Text(b.String())
}
