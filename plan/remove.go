package plan

import (
	"context"
	_ "embed"
	"maps"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport"
)

// Remove is an Action that stops units, keeps some files aside and removes others:
// the opposite of Deploy.
type Remove struct {
	// Units, with their suffixes, are stopped and disabled before anything else.
	Units []string
	// Wait, if not empty, is a URL of HTTPS that must answer "ok" once the units have
	// stopped: of what takes over.
	Wait string
	// Aside is what is kept, files and directories: where each is moved to, by its
	// path. A directory that is made for it is root's alone; what was there is
	// replaced.
	Aside map[string]string
	// Paths are removed, directories with all that is in them.
	Paths []string
	// Dirs are directories that are removed if they are empty.
	Dirs []string
}

// aside returns the paths that are kept, in the order in which they are moved.
func (r Remove) aside() []string { return slices.Sorted(maps.Keys(r.Aside)) }

// leftScript prints each of its arguments that is left, a pair of a kind and a
// name.
//
//go:embed scripts/left.sh
var leftScript string

// removeScript does it, by triples of a verb and what it is done to.
//
//go:embed scripts/remove.sh
var removeScript string

func (r Remove) leftArgs() []string {
	var args []string
	for _, u := range r.Units {
		args = append(args, "unit", u)
	}
	for _, from := range r.aside() {
		args = append(args, "path", from)
	}
	for _, p := range r.Paths {
		args = append(args, "path", p)
	}
	return args
}

// Check says what is left.
func (r Remove) Check(ctx context.Context, h *Host) (Diff, error) {
	out, err := h.Script(ctx, leftScript, nil, r.leftArgs()...)
	if err != nil {
		return nil, err
	}
	var diff Diff
	for line := range strings.Lines(string(out)) {
		kind, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		to, kept := r.Aside[name]
		switch {
		case kind == "unit":
			diff = append(diff, Change{Verb: "stop", Subject: "unit " + name, Disruptive: true, Data: unitChange{name, "stop"}})
		case kept:
			diff = append(diff, Change{Verb: "keep", Subject: name, Detail: "as " + to})
		default:
			diff = append(diff, Change{Verb: "remove", Subject: name})
		}
	}
	return diff, nil
}

// Apply does all of it, in one round trip.
func (r Remove) Apply(ctx context.Context, h *Host, _ Diff) error {
	var args []string
	for _, u := range r.Units {
		args = append(args, "unit", u, "")
	}
	if r.Wait != "" {
		args = append(args, "wait", r.Wait, "")
	}
	for _, from := range r.aside() {
		args = append(args, "keep", from, r.Aside[from])
	}
	for _, p := range r.Paths {
		args = append(args, "path", p, "")
	}
	for _, d := range r.Dirs {
		args = append(args, "dir", d, "")
	}
	_, err := h.Script(ctx, removeScript, nil, args...)
	return err
}

// Describe returns the units and the paths.
func (r Remove) Describe() Description {
	d := Description{Kind: "quorate/remove", Inputs: []quorate.Content{InputText(r.Units...), InputText(r.Paths...), InputText(r.Dirs...), InputText(r.Wait)}}
	for _, from := range r.aside() {
		d.Inputs = append(d.Inputs, InputText(from, r.Aside[from]))
	}
	return d
}

// Commands stops the units.
func (r Remove) Commands(_ context.Context, _ *Host, d Diff) ([]Command, error) {
	var out []Command
	stopped := DataOf[unitChange](d)
	for _, u := range r.Units {
		if slices.Contains(stopped, unitChange{u, "stop"}) {
			out = append(out, Command{Argv: []string{"systemctl", "stop", u}}, Command{Argv: []string{"systemctl", "disable", u}})
		}
	}
	return out, nil
}

// Prefetch returns the script.
func (r Remove) Prefetch() Prefetch {
	return Prefetch{Queries: []transport.Query{Script(leftScript, nil, r.leftArgs()...)}}
}
