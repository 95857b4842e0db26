package plan

import (
	"context"
	_ "embed"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport"
)

// Removal stops the units and takes away the files and their stamp.
func (d Deploy) Removal() Remove {
	r := Remove{units: unitNames(d.Units), Paths: pathsOfFiles(d.Files)}
	if stamp, ok := d.stamp(); ok {
		r.Paths = append(r.Paths, stamp.Path)
	}
	return r
}

// Remove stops units, keeps some files aside and removes others.
type Remove struct {
	units []string
	// wait, if not empty, is a URL that must tell "ok" once the units have stopped.
	Wait  string
	Keep  []Move
	Paths []string // files, and directories with all that is in them
	Dirs  []string // directories that go if they are empty
}

// Move moves a file or a directory.
type Move struct{ From, To string }

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
	for _, u := range r.units {
		args = append(args, "unit", u)
	}
	for _, a := range r.Keep {
		args = append(args, "path", a.From)
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
		i := slices.IndexFunc(r.Keep, func(a Move) bool { return a.From == name })
		switch {
		case kind == "unit":
			diff = append(diff, Change{Verb: "stop", Subject: "unit " + name, Disruptive: true, Data: unitChange{name, "stop"}})
		case i >= 0:
			diff = append(diff, Change{Verb: "keep", Subject: name, Detail: "as " + r.Keep[i].To})
		default:
			diff = append(diff, Change{Verb: "remove", Subject: name})
		}
	}
	return diff, nil
}

// Apply does all of it, in one round trip.
func (r Remove) Apply(ctx context.Context, h *Host, _ Diff) error {
	var args []string
	for _, u := range r.units {
		args = append(args, "unit", u, "")
	}
	if r.Wait != "" {
		args = append(args, "wait", r.Wait, "")
	}
	for _, a := range r.Keep {
		args = append(args, "keep", a.From, a.To)
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

// Describe gives the units and the paths.
func (r Remove) Describe() Description {
	d := Description{Kind: "quorate/remove", Inputs: []quorate.Content{InputText(r.units...), InputText(r.Paths...), InputText(r.Dirs...), InputText(r.Wait)}}
	for _, a := range r.Keep {
		d.Inputs = append(d.Inputs, InputText(a.From, a.To))
	}
	return d
}

// Commands stops the units.
func (r Remove) Commands(_ context.Context, _ *Host, d Diff) ([]Command, error) {
	var out []Command
	stopped := DataOf[unitChange](d)
	for _, u := range r.units {
		if slices.Contains(stopped, unitChange{u, "stop"}) {
			out = append(out, Command{Argv: []string{"systemctl", "stop", u}}, Command{Argv: []string{"systemctl", "disable", u}})
		}
	}
	return out, nil
}

// Prefetch gives the script.
func (r Remove) Prefetch() Prefetch {
	return Prefetch{Queries: []transport.Query{Script(leftScript, nil, r.leftArgs()...)}}
}
