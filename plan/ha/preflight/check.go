package preflight

import (
	"slices"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
)

// Check is one thing that hosts are checked for. Its judgement is a pure function
// of facts.
type Check struct {
	// Name by which findings and ha.Config.IgnorePreflight know it.
	Name plan.Check
	// Severities that its findings may have.
	Severities []quorate.Severity
	// Lenient: what is refused on a new host is a warning on one that is the
	// cluster's already, since it kept nothing from coming into being.
	Lenient bool
	// Finds says what it finds.
	Finds string
	// Notes say what it can know and what not, empty if there is nothing to add.
	Notes string

	needs []fact
	judge func(view) []plan.Finding
}

// Needs returns the names of the facts that the check rests on, in the order in which
// hosts report them: those that a host reads of itself, and those that it tries.
func (c Check) Needs() (read, tried []string) {
	for _, k := range c.needs {
		if _, ok := factReaders[k]; ok {
			read = append(read, string(k))
		} else {
			tried = append(tried, string(k))
		}
	}
	return read, tried
}

// Checks returns every check there is, in the order in which reports have them.
func Checks() []Check {
	return slices.Concat(hostChecks(), systemChecks(), runtimeChecks(), leftoverChecks(), manyChecks(), networkChecks(), vipChecks(), []Check{disk})
}

// Names returns the names of Checks.
func Names() []plan.Check {
	var names []plan.Check
	for _, c := range Checks() {
		names = append(names, c.Name)
	}
	return names
}

// view is what judgements see: the description, and what hosts have reported.
type view struct {
	Judge
	// hosts are those that could be read, in the description's order.
	hosts []hostFacts
	// probes, by node, are of those that tried their surroundings.
	probes map[string]probed
}

// complete reports whether every host of the description was read.
func (v view) complete() bool { return len(v.hosts) == len(v.Cluster.Nodes) }

// findings has every check judge.
func (v view) findings() []plan.Finding {
	var found []plan.Finding
	for _, c := range Checks() {
		if _, tried := c.Needs(); v.ignored(c.Name) && len(tried) > 0 {
			continue // what only ignored checks need was not tried
		}
		for _, f := range c.judge(v) {
			f.Check = c.Name
			found = append(found, safe(f))
		}
	}
	return found
}

// longest bounds a text of a finding, in characters: what a host reports has no
// bound of its own that a reader would want.
const longest = 2000

// safe is a finding that a terminal, a page and a log may show: what was found is
// quoted of hosts.
func safe(f plan.Finding) plan.Finding {
	f.Check = plan.Check(line(string(f.Check)))
	f.Found, f.Do = line(f.Found), line(f.Do)
	f.Hosts = slices.Clone(f.Hosts)
	for i, h := range f.Hosts {
		f.Hosts[i] = line(h)
	}
	return f
}

func line(s string) string { return termsafe.Line(termsafe.Cut(s, longest, " ...")) }

// finding is one about hosts.
func finding(s quorate.Severity, found, do string, hosts ...string) plan.Finding {
	return plan.Finding{Severity: s, Hosts: hosts, Found: found, Do: do}
}

// each makes a judgement of all hosts out of one of a single host.
func each(judge func(v view, h hostFacts) []plan.Finding) func(view) []plan.Finding {
	return func(v view) []plan.Finding {
		var found []plan.Finding
		for _, h := range v.hosts {
			for _, f := range judge(v, h) {
				f.Hosts = []string{h.node.Name}
				found = append(found, f)
			}
		}
		return found
	}
}

// one is a judgement's answer where there is one thing to say.
func one(s quorate.Severity, found, do string) []plan.Finding {
	return []plan.Finding{finding(s, found, do)}
}

// start is Refused for what keeps a node from coming into being, which is no reason
// to stop at one that is there.
func (v view) start(h hostFacts) quorate.Severity {
	if kubernetes, _ := v.ours(h.node, h.facts); kubernetes {
		return quorate.Warned
	}
	return quorate.Refused
}

// probedHosts calls with every host that tried its surroundings.
func (v view) probedHosts(do func(h hostFacts, p probed)) {
	for _, h := range v.hosts {
		if p, tried := v.probes[h.node.Name]; tried {
			do(h, p)
		}
	}
}
