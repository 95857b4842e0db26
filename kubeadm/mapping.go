package kubeadm

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
)

// fieldMapping ties one field of Config to its locations in the documents of every
// version of the API. Read from left to right it renders, from right to left it
// reads back: what one direction knows, so does the other.
type fieldMapping struct {
	// field is the path in Config, as problems name it.
	field string
	// vital is a field without which the file would mean another kind of node.
	vital bool
	// get returns the field's value in its common form, false if it is not set.
	get func(*Config) (any, bool)
	// put sets the field from its common form.
	put func(*Config, any) error
	// absent, if set, reports that the object that the field is in is not there.
	absent func(*Config) bool
	at     []location
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
	// implied says that another field's location holds this one too.
	implied bool
	// presence is an object that counts by being there, whatever is in it.
	presence bool
	// readOnly is a location where the field is read and never written, writeOnly
	// one where another field's mapping reads it.
	readOnly, writeOnly bool
}

// at is a location in one or more versions.
func at(first, last api, in docSet, path string) location {
	return location{first: first, last: last, docs: in, path: path}
}

// implied is a field that another one's location holds.
func implied(first, last api, in docSet) location {
	return location{first: first, last: last, docs: in, implied: true}
}

func (p location) as(c conversion) location { p.conversion = c; return p }
func (p location) toWrite() location        { p.writeOnly = true; return p }
func (p location) toRead() location         { p.readOnly = true; return p }
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
			*ptr(c) = value
			return nil
		},
		absent: func(c *Config) bool { return ptr(c) == nil },
	}
}

// present ties an object that counts by being there. has reports whether the
// Config has it, and add adds it.
func present(field string, has func(*Config) bool, add func(*Config), locations ...location) fieldMapping {
	for i := range locations {
		locations[i].presence = true
	}
	return fieldMapping{
		field: field,
		at:    locations,
		get:   func(c *Config) (any, bool) { return map[string]any{}, has(c) },
		put: func(c *Config, v any) error {
			if _, object := v.(map[string]any); !object {
				return misread("an object")
			}
			add(c)
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

// encoding is a Config on its way into documents.
type encoding struct {
	config *Config
	api    api
	out    documents
	// refused are the fields that the version cannot express. In a foreign file
	// they are left out, and it is a warning.
	problems *quorate.Problems
	foreign  bool
}

// encode writes every field that is set to its location, or to the problems if the
// version has none for it.
func (e encoding) encode() {
	for _, l := range fieldMappings {
		if v, set := l.get(e.config); set {
			e.field(l, v)
		}
	}
	for _, d := range e.config.Others {
		e.other(d)
	}
}

func (e encoding) field(l fieldMapping, v any) {
	where, why := l.location(e.config, e.api)
	if where.implied {
		return
	}
	usable := why == ""
	if usable && where.to != nil {
		v, why = where.to(v, e.config.Version.Minor)
		usable = why == "" || where.partial
	}
	if why != "" {
		e.inexpressible(l, why, usable)
	}
	if v == omitted || !usable || why != "" && !e.foreign {
		return
	}
	d := where.only(e.config.roles(), e.api)
	if e.foreign && d&(inFlag|inDropIn) != 0 {
		e.elsewhere(l, where)
		return
	}
	e.out.set(d, where.path, v)
}

func (e encoding) inexpressible(l fieldMapping, why string, usable bool) {
	if e.foreign && !l.vital {
		what := "left out"
		if usable {
			what = "left out in part"
		}
		e.problems.Warn(l.field, "%s, kubeadm of Kubernetes %s (%s) cannot express it: %s", what, e.config.Version, e.api, strings.TrimSuffix(strings.TrimPrefix(why, "leave it out, or "), ": leave it out"))
		return
	}
	e.problems.Refuse(l.field, "kubeadm of Kubernetes %s (%s) cannot express it: %s", e.config.Version, e.api, why)
}

// elsewhere warns of what a file has no place for beside kubeadm's command line
// and the kubelet's unit, which are nobody's to write who has the file alone.
func (e encoding) elsewhere(l fieldMapping, where location) {
	if where.docs == inFlag {
		e.problems.Warn(l.field, "left out, kubeadm of Kubernetes %s (%s) takes it as its argument --%s", e.config.Version, e.api, where.path)
		return
	}
	e.problems.Warn(l.field, "left out, kubelets of Kubernetes %s take it from their unit, as KUBELET_EXTRA_ARGS", e.config.Version)
}

// other keeps a document of a kind that the version has.
func (e encoding) other(d Document) {
	at := "others[" + strconv.Quote(d.Kind) + "]"
	where := otherKinds[d.Kind]
	switch {
	case where == 0:
		e.problems.Refuse(at, "kubeadm has no documents of this kind: want ResetConfiguration or UpgradeConfiguration")
	case d.APIVersion != v1beta4.groupVersion():
		e.problems.Refuse(at, "is of %s: want %s", d.APIVersion, v1beta4.groupVersion())
	case e.api < v1beta4 && e.foreign:
		e.problems.Warn(at, "left out, kubeadm of Kubernetes %s (%s) has no such document", e.config.Version, e.api)
	case e.api < v1beta4:
		e.problems.Refuse(at, "kubeadm of Kubernetes %s (%s) has no such document: leave it out", e.config.Version, e.api)
	default:
		e.out[where] = maps.Clone(d.Fields)
		if e.out[where] == nil {
			e.out[where] = map[string]any{}
		}
	}
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
		case p.docs&roles == 0 || p.readOnly:
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

// peek returns the value at a path.
func peek(m map[string]any, path string) (any, bool) {
	name, rest, deeper := strings.Cut(path, ".")
	v, found := m[name]
	if !found || !deeper {
		return v, found
	}
	below, _ := v.(map[string]any)
	return peek(below, rest)
}

// take removes and returns the value at a path, and what becomes empty by that.
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
