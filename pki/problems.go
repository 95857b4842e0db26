package pki

import (
	"fmt"
	"regexp"

	"github.com/quorate-dev/quorate"
)

// problems are those that would make wrong certificates; the cluster's Validate
// knows the others.
func problems(c quorate.Cluster, cfg Config) quorate.Problems {
	var p quorate.Problems
	seen := map[string]int{}
	for i, n := range c.Nodes {
		if n.Role != quorate.ControlPlane {
			continue
		}
		path := indexed("nodes", i)
		if !nodeName.MatchString(n.Name) || len(n.Name) > 253 {
			p.Refuse(path+".name", "%q is no RFC 1123 subdomain", n.Name)
		} else if first, twice := seen[n.Name]; twice {
			p.Refuse(path+".name", "%q is also the name of nodes[%d]", n.Name, first)
		}
		seen[n.Name] = i
		if len(n.Addresses) == 0 {
			p.Refuse(path+".addresses", "an etcd member needs an address")
		}
		for j, a := range n.Addresses {
			if !a.IsValid() || a.Zone() != "" || a.IsUnspecified() {
				p.Refuse(indexed(path+".addresses", j), "%q cannot be in a certificate: want an address without a zone", a)
			}
		}
	}
	if len(seen) == 0 {
		p.Refuse("nodes", "there is no control plane")
	}
	for _, problem := range append(cfg.problems(), cfg.Keys.eraProblems(c)...) {
		problem.Path = "pki." + problem.Path
		p = append(p, problem)
	}
	return p
}

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// nodeName is an RFC 1123 subdomain, which is also a safe name of a directory.
var nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
