package plan

import (
	"context"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
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
const leftScript = `# what is left here?
while [ $# -gt 0 ]; do
	case "$1" in
	unit)
		case "$(systemctl is-active "$2" 2>/dev/null)" in
		active | activating | reloading | deactivating) echo "unit $2" ;;
		*) case "$(systemctl is-enabled "$2" 2>/dev/null)" in enabled*) echo "unit $2" ;; esac ;;
		esac
		;;
	*) if [ -e "$2" ] || [ -L "$2" ]; then echo "path $2"; fi ;;
	esac
	shift 2
done
`

// removeScript does it, by triples of a verb and what it is done to.
const removeScript = `# stop units and remove files
set -e
while [ $# -gt 0 ]; do
	case "$1" in
	unit)
		if systemctl show --property=LoadState "$2" | grep -q '^LoadState=loaded'; then
			systemctl stop "$2"
			systemctl --quiet disable "$2"
		fi
		;;
	wait)
		tries=100
		until curl --silent --insecure --connect-timeout 1 --max-time 2 "$2" 2>/dev/null | grep -q '^ok'; do
			tries=$((tries - 1))
			if [ "$tries" -eq 0 ]; then
				echo "no other host answers at $2" >&2
				exit 1
			fi
			sleep 0.2
		done
		;;
	keep)
		if [ -e "$2" ]; then
			mkdir -p -m 0700 "${3%/*}"
			rm -rf "$3"
			mv "$2" "$3"
		fi
		;;
	path) rm -rf "$2" ;;
	dir) rmdir "$2" 2>/dev/null || : ;;
	esac
	shift 3
done
systemctl daemon-reload
`

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
	out, err := h.Script(ctx, leftScript, r.leftArgs()...)
	if err != nil {
		return nil, err
	}
	var diff Diff
	for line := range strings.Lines(string(out)) {
		kind, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		i := slices.IndexFunc(r.Keep, func(a Move) bool { return a.From == name })
		switch {
		case kind == "unit":
			diff = append(diff, Change{Verb: "stop", Subject: "unit " + name, Disruptive: true})
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
	_, err := h.Script(ctx, removeScript, args...)
	return err
}

// Describe gives the units and the paths.
func (r Remove) Describe() Description {
	d := Description{Inputs: []quorate.Content{InputText(r.units...), InputText(r.Paths...), InputText(r.Dirs...), InputText(r.Wait)}}
	for _, a := range r.Keep {
		d.Inputs = append(d.Inputs, InputText(a.From, a.To))
	}
	return d
}

// Commands stops the units.
func (r Remove) Commands(_ context.Context, _ *Host, d Diff) ([]Command, error) {
	var out []Command
	for _, u := range r.units {
		if d.Touches("unit " + u) {
			out = append(out, NewCommand("systemctl", "stop", u), NewCommand("systemctl", "disable", u))
		}
	}
	return out, nil
}

// Reads gives the script.
func (r Remove) Reads() Reads { return ReadsOf(Script(leftScript, r.leftArgs()...)) }
