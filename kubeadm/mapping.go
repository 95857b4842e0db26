package kubeadm

import (
	"fmt"
	"maps"
	"strings"

	"github.com/quorate-dev/quorate"
)

// fieldMapping ties one field of Config to its locations in the documents of every
// version of the API. Read from left to right it renders, from right to left it
// reads back: what one direction knows, so does the other.
type fieldMapping struct {
	// field is the path in Config, as problems name it.
	field string
	// get gives the field's value in its common form, false if it is not set.
	get func(*Config) (any, bool)
	// put sets the field from its common form.
	put func(*Config, any) error
	at  []location
}

// location is where versions of the API have a field.
type location struct {
	first, last api
	// docs that may hold it.
	docs docSet
	path string
	conversion
	// minor of Kubernetes from which kubeadm reads it, if it came within an API.
	minor int
	// implied says that another field's location tells this one too.
	implied bool
}

// at is a location in one or more versions.
func at(first, last api, in docSet, path string) location {
	return location{first: first, last: last, docs: in, path: path}
}

// implied is a field that is told by another one's location.
func implied(first, last api, in docSet) location {
	return location{first: first, last: last, docs: in, implied: true}
}

func (p location) as(c conversion) location { p.conversion = c; return p }
func (p location) fromMinor(m int) location { p.minor = m; return p }
func (p location) holds(a api) bool         { return a >= p.first && a <= p.last }

// mappingOf ties the field that ptr finds; nil means that its parent is absent.
func mappingOf[T any](field string, f valueCodec[T], ptr func(*Config) *T, locations ...location) fieldMapping {
	return fieldMapping{
		field: field,
		at:    locations,
		get: func(c *Config) (any, bool) {
			p := ptr(c)
			if p == nil || !f.set(*p) {
				return nil, false
			}
			return f.enc(*p), true
		},
		put: func(c *Config, v any) error {
			value, err := f.dec(v)
			if err != nil {
				return err
			}
			p := ptr(c)
			if p == nil {
				return misread("no such field here")
			}
			*p = value
			return nil
		},
	}
}

// documents of one file, by where they are.
type documents map[docSet]map[string]any

// roles of a Config: the documents that its file has.
func (c Config) roles() docSet {
	if c.Join != nil {
		return inJoin
	}
	return inInit | inCluster | inKubelet | inKubeProxy
}

// encode writes every field that is set to its location, or to the problems if the
// version has none for it.
func encode(c *Config, a api, p *quorate.Problems) documents {
	out := documents{}
	for _, l := range fieldMappings {
		v, set := l.get(c)
		if !set {
			continue
		}
		where, why := l.location(c, a)
		if where.implied {
			continue
		}
		if why == "" && where.to != nil {
			v, why = where.to(v, c.Version.Minor)
		}
		if why != "" {
			p.Refuse(l.field, "kubeadm of Kubernetes %s (%s) cannot express it: %s", c.Version, a, why)
			continue
		}
		if v != omitted {
			out.set(where.only(c.roles(), a), where.path, v)
		}
	}
	return out
}

// only is the one document of a location that a file has, or the place beside the file.
func (p location) only(roles docSet, a api) docSet {
	for _, d := range fileOrder {
		if p.docs&roles&d == 0 {
			continue
		}
		if d == inCluster && a <= v1alpha2 {
			return inInit // one document there
		}
		return d
	}
	return p.docs & (inFlag | inDropIn)
}

// location finds where a version has the field, or says why it has it nowhere.
func (l fieldMapping) location(c *Config, a api) (location, string) {
	roles := c.roles() | inFlag | inDropIn
	later := 0
	for _, p := range l.at {
		switch {
		case p.docs&roles == 0:
		case p.holds(a) && c.Version.Minor >= p.minor:
			return p, ""
		case p.first > a || p.minor > c.Version.Minor:
			if from := max(apis[p.first].write, p.minor); later == 0 || from < later {
				later = from
			}
		}
	}
	if later > 0 {
		return location{}, fmt.Sprintf("leave it out, or target Kubernetes v1.%d or later", later)
	}
	return location{}, "it is not there any more: leave it out"
}

// set puts a value; without a path it is the whole document.
func (d documents) set(in docSet, path string, v any) {
	if whole, ok := v.(map[string]any); ok && path == "" {
		d[in] = maps.Clone(whole)
		return
	}
	if d[in] == nil {
		d[in] = map[string]any{}
	}
	m := d[in]
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		below, ok := m[name].(map[string]any)
		if !ok {
			below = map[string]any{}
			m[name] = below
		}
		m = below
	}
	m[names[len(names)-1]] = v
}

// take removes and gives the value at a path, and what becomes empty by that.
func take(m map[string]any, path string) (any, bool) {
	name, rest, deeper := strings.Cut(path, ".")
	v, found := m[name]
	if !found {
		return nil, false
	}
	if !deeper {
		delete(m, name)
		return v, true
	}
	below, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	v, found = take(below, rest)
	if found && len(below) == 0 {
		delete(m, name)
	}
	return v, found
}
