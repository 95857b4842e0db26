package kubeadm

import "github.com/quorate-dev/quorate"

// flagSet is the arguments that a component takes, hidden ones included: the
// component exits at any other, and kubeadm lets them all pass. help and
// version, which end a component, are left out.
type flagSet struct {
	component string
	flags     map[string]lifetime
}

// has reports whether a component of that version takes an argument.
func (f flagSet) has(name string, v quorate.Version) bool {
	life, known := f.flags[name]
	return known && life.holds(v)
}

// check says why a component of that version does not take an argument, "" if
// it does.
func (f flagSet) check(name string, v quorate.Version) string {
	life, known := f.flags[name]
	switch {
	case f.component == "", known && life.holds(v):
		return ""
	case known:
		return f.component + " " + v.String() + " does not have this argument, " + life.String() + ": leave it out"
	}
	return f.component + " has no such argument, and would not start"
}
