package survey

import (
	"slices"

	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

const unitPath = etcd.UnitPath

// addValue adds a host to those that have the same value.
func addValue(all []Value, value, host string) []Value {
	value = termsafe.Cut(termsafe.Line(value), shownValue, "...")
	if i := slices.IndexFunc(all, func(v Value) bool { return v.Value == value }); i >= 0 {
		all[i].Hosts = append(all[i].Hosts, host)
		return all
	}
	return append(all, Value{Value: value, Hosts: []string{host}})
}

// clean makes what came from the API fit to be shown.
func (s Setting) clean() Setting {
	s.Path, s.API = termsafe.Line(s.Path), termsafe.Cut(termsafe.Line(s.API), shownValue, "...")
	return s
}
