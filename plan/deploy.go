package plan

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/transport"
)

// Deploy is an Action that puts files on a host and keeps systemd units
// running with them.
type Deploy struct {
	// Name is unique among the deployments on a host; it names the stamp. Required
	// when there are units.
	Name  string
	Files []quorate.File
	// Units are brought up in order after the files are in place. A unit that
	// runs is restarted when the files are not those it was last started with.
	Units []Unit
	// made is what the units make by themselves: when a first start is undone it is
	// put aside, as PATH.kept.
	Creates []string
	// Reloads and Ignores, if set, report of a content that units were started with that they come to
	// run as with the File by a reload (systemctl reload), or do so already: it is written, and nothing
	// is restarted for it. They do no I/O.
	Reloads, Ignores func(f quorate.File, onHost []byte) bool
}

// effect is what a changed file takes of units that run.
type effect int

const (
	restart effect = iota
	reload
	noEffect
)

// maxEffect bounds a file that Reloads and Ignores are asked about.
const maxEffect = 1 << 20

// Unit is a systemd unit that a Deploy keeps.
type Unit struct {
	// Name with its suffix: "web.service".
	Name string
	// EnableOnly enables the unit for the next boot and leaves starting it to
	// someone else.
	EnableOnly bool
	// NoBlock does not wait for a first start to complete. One whose
	// start completes only once enough others have started must not be waited for.
	NoBlock bool
}

// stamp is, for a Deploy with units, the hash of the files that its units were last
// started with: so a run that ended between writing and restarting is made good by
// the next, which a comparison of files alone could not see.
func (d Deploy) stamp() (quorate.File, bool) { return d.stampWith(nil) }

// stampWith is the stamp as if some files, by their paths, had the contents with other hashes.
func (d Deploy) stampWith(others map[string][sha256.Size]byte) (quorate.File, bool) {
	if len(d.Units) == 0 || len(d.Files) == 0 {
		return quorate.File{}, false
	}
	h := sha256.New()
	for _, f := range d.Files {
		sum, other := others[f.Path]
		if !other {
			sum = f.Content.SHA256()
		}
		_, _ = fmt.Fprintf(h, "%s %o %s %s %x\n", f.Path, f.Mode.Perm(), f.Owner, f.Group, sum)
	}
	return quorate.File{
		Path:    path.Join(hostpath.State, d.Name+".sha256"),
		Mode:    0o600,
		Content: quorate.Public([]byte(hex.EncodeToString(h.Sum(nil)) + "\n")),
	}, true
}

// Check compares the files by mode, owner and hash, and the units by state, in
// two round trips.
func (d Deploy) Check(ctx context.Context, h *Host) (Diff, error) {
	diff, err := h.DiffFiles(ctx, d.Files...)
	if err != nil || len(d.Units) == 0 {
		return diff, err
	}
	effect, others, err := d.effect(ctx, h, diff)
	if err != nil {
		return nil, err
	}
	units, err := d.unitDiff(ctx, h, effect, others)
	return append(diff, units...), err
}

// effect returns what the changed files take of units that run, and the hashes of those on the host that
// need no restart. Of a diff without changed contents it is noEffect.
func (d Deploy) effect(ctx context.Context, h *Host, diff Diff) (effect, map[string][sha256.Size]byte, error) {
	if !contentDiffers(diff) {
		return noEffect, nil, nil
	}
	if d.Reloads == nil && d.Ignores == nil {
		return restart, nil, nil
	}
	least, others := noEffect, map[string][sha256.Size]byte{}
	for i, c := range diff {
		change, ok := c.Data.(fileChange)
		if !ok || !change.content {
			continue
		}
		at := slices.IndexFunc(d.Files, func(f quorate.File) bool { return f.Path == change.path })
		if change.other || at < 0 {
			return restart, nil, nil
		}
		found, err := h.ReadAll(ctx, maxEffect, change.path)
		if err != nil {
			return restart, nil, err
		}
		e := reload
		switch {
		case d.Ignores != nil && d.Ignores(d.Files[at], found[0].Bytes()):
			e = noEffect
		case d.Reloads == nil || !d.Reloads(d.Files[at], found[0].Bytes()):
			return restart, nil, nil
		}
		least, others[change.path] = min(least, e), sha256.Sum256(found[0].Bytes())
		change.effect = e
		diff[i].Data = change
	}
	return least, others, nil
}

// DiffFiles returns which files differ from those on the host, by hash, mode and
// owner, in one round trip.
func (h *Host) DiffFiles(ctx context.Context, files ...quorate.File) (Diff, error) {
	if len(files) == 0 {
		return nil, nil
	}
	found, err := h.Stat(ctx, pathsOfFiles(files)...)
	if err != nil {
		return nil, err
	}
	var diff Diff
	for i, f := range files {
		if c, differs := compare(f, found[i]); differs {
			diff = append(diff, c)
		}
	}
	return diff, nil
}

func compare(want quorate.File, found transport.FileInfo) (Change, bool) {
	return CompareFile(transport.File{
		Path: want.Path, Mode: fileMode(want), Owner: orRoot(want.Owner), Group: orRoot(want.Group),
	}, want.Content.SHA256(), found)
}

// CompareFile compares by the hash of the content that is wanted.
func CompareFile(want transport.File, sum [sha256.Size]byte, found transport.FileInfo) (Change, bool) {
	if !found.Exists {
		return Change{Verb: "create", Subject: want.Path, Data: fileChange{path: want.Path, content: true, other: true}}, true
	}
	var how []string
	change := fileChange{path: want.Path, content: found.Dir || found.SHA256 != sum, other: found.Dir || found.Size > maxEffect}
	if found.Dir {
		how = append(how, "is a directory")
	} else if change.content {
		how = append(how, "content")
	}
	if found.Mode.Perm() != want.Mode {
		how = append(how, fmt.Sprintf("mode %04o, want %04o", found.Mode.Perm(), want.Mode))
	}
	if found.Owner != want.Owner {
		how = append(how, fmt.Sprintf("owner %s, want %s", found.Owner, want.Owner))
	}
	if found.Group != want.Group {
		how = append(how, fmt.Sprintf("group %s, want %s", found.Group, want.Group))
	}
	return Change{Verb: "update", Subject: want.Path, Detail: strings.Join(how, ", "), Data: change}, len(how) > 0
}

func fileMode(f quorate.File) fs.FileMode {
	if f.Mode == 0 {
		return 0o600
	}
	return f.Mode.Perm()
}

func orRoot(name string) string {
	if name == "" {
		return "root"
	}
	return name
}

// WriteFiles is Write for what renderers make: a mode of 0 means 0600, no owner
// or group root.
func (h *Host) WriteFiles(ctx context.Context, files ...quorate.File) error {
	return h.Write(ctx, asTransport(files)...)
}

// asTransport turns artifacts' files into what transports write.
func asTransport(files []quorate.File) []transport.File {
	out := make([]transport.File, 0, len(files))
	for _, f := range files {
		out = append(out, transport.File{
			Path: f.Path, Mode: fileMode(f), Owner: orRoot(f.Owner), Group: orRoot(f.Group),
			Data: transport.Bytes(f.Content.Bytes()),
		})
	}
	return out
}

// fileChange is what a check has found of a file. Without content, who reads the
// file finds what is described: a mode or an owner is put right beside a unit that
// runs.
type fileChange struct {
	path    string
	content bool
	// other says that nothing is there that Reloads and Ignores could judge.
	other  bool
	effect effect
}

// contentDiffers reports whether units that read the files would find something
// else.
func contentDiffers(diff Diff) bool {
	return slices.ContainsFunc(DataOf[fileChange](diff), func(c fileChange) bool { return c.content })
}

// unitDiff reads the stamp and the units' states. Files that drifted make what
// the stamp says doubtful: whoever changed them may have restarted the unit. Where those that
// drifted need no restart, the stamp has to say that the units were started with them.
func (d Deploy) unitDiff(ctx context.Context, h *Host, effect effect, others map[string][sha256.Size]byte) (Diff, error) {
	states, err := unitStates(ctx, h, d.Units)
	if err != nil {
		return nil, err
	}
	var stamped Diff
	if stamp, ok := d.stamp(); ok {
		if stamped, err = h.DiffFiles(ctx, stamp); err != nil {
			return nil, err
		}
	}
	started := len(stamped) == 0
	if stamp, ok := d.stampWith(others); ok && !started && len(others) > 0 {
		as, err := h.DiffFiles(ctx, stamp)
		if err != nil {
			return nil, err
		}
		started = len(as) == 0
	}
	if !started {
		effect = restart
	}
	var diff Diff
	for _, u := range d.Units {
		diff = append(diff, u.diff(states[u.Name], effect)...)
	}
	if len(stamped) > 0 && len(diff) == 0 && len(others) == 0 {
		diff = append(diff, stamped...)
	}
	return diff, nil
}

// unitState is what systemctl show says of a unit.
type unitState struct{ load, active, enabled string }

// unitChange is what is to be done to a unit, as scripts/units.sh has it.
type unitChange struct{ unit, do string }

func (u Unit) diff(s unitState, effect effect) Diff {
	var diff Diff
	outdated := effect == restart
	subject := "unit " + u.Name
	if s.enabled != "enabled" && s.enabled != "static" && s.enabled != "generated" {
		diff = append(diff, Change{Verb: "enable", Subject: subject, Data: unitChange{u.Name, "enable"}})
	}
	switch {
	case u.EnableOnly:
	case s.active == "activating" && u.NoBlock && !outdated:
	case s.active != "active":
		start := "start"
		if u.NoBlock {
			start = "start-no-block"
		}
		diff = append(diff, Change{Verb: "start", Subject: subject, Detail: s.active, Data: unitChange{u.Name, start}})
	case effect == reload:
		diff = append(diff, Change{Verb: "reload", Subject: subject, Detail: "runs with other files", Data: unitChange{u.Name, "reload"}})
	case outdated:
		diff = append(diff, Change{Verb: "restart", Subject: subject, Detail: "runs with other files", Disruptive: true, Data: unitChange{u.Name, "restart"}})
	}
	return diff
}

func showUnits(names []string) []string {
	return append([]string{"systemctl", "show", "--property=Id,LoadState,ActiveState,UnitFileState"}, names...)
}

func unitStates(ctx context.Context, h *Host, units []Unit) (map[string]unitState, error) {
	if states, ok := h.answers.Load().states(); ok {
		return states, nil
	}
	out, err := h.Run(ctx, showUnits(unitNames(units))...)
	if err != nil {
		return nil, err
	}
	return parseUnits(out), nil
}

func unitNames(units []Unit) []string {
	names := make([]string, 0, len(units))
	for _, u := range units {
		names = append(names, u.Name)
	}
	return names
}

func parseUnits(out []byte) map[string]unitState {
	states := map[string]unitState{}
	for block := range strings.SplitSeq(string(out), "\n\n") {
		f := keyval.Parse([]byte(block))
		states[f["Id"]] = unitState{load: f["LoadState"], active: f["ActiveState"], enabled: f["UnitFileState"]}
	}
	return states
}

// Apply writes the files that differ, brings the units up, and stamps.
func (d Deploy) Apply(ctx context.Context, h *Host, diff Diff) error {
	files, quiet := d.differing(diff), d.quiet(diff)
	if len(files) > 0 {
		// The stamp goes first: a run that ends before the restart must not leave
		// the right files beside a stamp that says that the units run with them. Where nothing is
		// restarted the new one holds for the old files too.
		if stamp, ok := d.stamp(); ok && contentDiffers(diff) {
			if !quiet {
				stamp.Content = quorate.Public([]byte("outdated\n"))
			}
			files = append([]quorate.File{stamp}, files...)
		}
		if err := h.WriteFiles(ctx, files...); err != nil {
			return err
		}
	}
	if len(d.Units) == 0 {
		return nil
	}
	if quiet {
		if _, err := h.Run(ctx, "systemctl", "daemon-reload"); err != nil {
			return err
		}
	}
	if err := d.applyUnits(ctx, h, diff); err != nil {
		return err
	}
	stamp, ok := d.stamp()
	if !ok {
		return nil
	}
	return h.WriteFiles(ctx, stamp)
}

// quiet reports whether contents change and no unit is restarted or reloaded for it.
func (d Deploy) quiet(diff Diff) bool {
	acts := slices.ContainsFunc(DataOf[unitChange](diff), func(c unitChange) bool { return c.do == "restart" || c.do == "reload" })
	changes := slices.DeleteFunc(DataOf[fileChange](diff), func(c fileChange) bool { return !c.content })
	return len(d.Units) > 0 && !acts && len(changes) > 0 && !slices.ContainsFunc(changes, func(c fileChange) bool { return c.effect != noEffect })
}

func (d Deploy) differing(diff Diff) []quorate.File {
	changes := DataOf[fileChange](diff)
	return slices.DeleteFunc(slices.Clone(d.Files), func(f quorate.File) bool {
		return !slices.ContainsFunc(changes, func(c fileChange) bool { return c.path == f.Path })
	})
}

// applyUnits reads the states again, since writing the files has changed
// what is outdated.
func (d Deploy) applyUnits(ctx context.Context, h *Host, found Diff) error {
	diff, err := d.unitDiff(ctx, h, noEffect, nil)
	if err != nil {
		return err
	}
	for i, c := range diff { // what has found that a reload is enough has seen the old files
		change, ok := c.Data.(unitChange)
		if reload := (unitChange{change.unit, "reload"}); ok && change.do == "restart" && slices.Contains(DataOf[unitChange](found), reload) {
			diff[i].Data = reload
		}
	}
	touched, args := d.unitArgs(diff)
	if len(touched) == 0 {
		return nil
	}
	if _, err := h.Script(ctx, unitScript, nil, args...); err != nil {
		return unitFailure(ctx, h, touched, err)
	}
	return nil
}

// unitArgs returns the units that differ, and the arguments of unitScript.
func (d Deploy) unitArgs(diff Diff) (touched, args []string) {
	var enable, start []string
	for _, c := range DataOf[unitChange](diff) {
		touched = append(touched, c.unit)
		if c.do == "enable" {
			enable = append(enable, c.do, c.unit)
		} else {
			start = append(start, c.do, c.unit)
		}
	}
	if len(touched) == 0 {
		return nil, nil
	}
	return touched, slices.Concat(enable, []string{"daemon-reload", ""}, start)
}

// unitScript brings up units in one round trip and with one reload: systemctl
// enable would reload for each unit, which takes half a second on a busy host.
// Its arguments are pairs of a verb, which may have an option, and a unit.
//
//go:embed scripts/units.sh
var unitScript string

// unitFailure adds what the journal says about units that would not start.
func unitFailure(ctx context.Context, h *Host, units []string, cause error) error {
	var exit *transport.ExitError
	if !errors.As(cause, &exit) {
		return cause
	}
	argv := append([]string{"systemctl", "status", "--no-pager", "--full", "--lines=15"}, units...)
	status, _ := h.Run(ctx, argv...) // its exit status is the units' state, its output what is wanted
	return fmt.Errorf("%w\n%s", cause, strings.TrimSpace(string(status)))
}

func pathsOfFiles(files []quorate.File) []string {
	out := make([]string, 0, len(files))
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

// Describe returns the files and the units.
func (d Deploy) Describe() Description {
	out := Description{Kind: "quorate/deploy", Files: d.Files}
	for _, u := range d.Units {
		out.Inputs = append(out.Inputs, InputText(u.Name, fmt.Sprint(u.EnableOnly), fmt.Sprint(u.NoBlock)))
	}
	return out
}

// Commands returns the calls of systemctl.
func (d Deploy) Commands(_ context.Context, _ *Host, diff Diff) ([]Command, error) {
	_, args := d.unitArgs(diff)
	var out []Command
	for pair := range slices.Chunk(args, 2) {
		argv := []string{"systemctl", pair[0], pair[1]}
		switch pair[0] {
		case "enable":
			argv = []string{"systemctl", "--no-reload", "enable", pair[1]}
		case "start-no-block":
			argv = []string{"systemctl", "start", "--no-block", pair[1]}
		case "daemon-reload":
			argv = argv[:2]
		}
		out = append(out, Command{Argv: argv})
	}
	return out, nil
}

// What the recipe's checks read. Each names what its Check, beside the Action's
// other methods, reads from the host.

// Prefetch returns the files, the stamp, and the units.
func (d Deploy) Prefetch() Prefetch {
	var r Prefetch
	for _, f := range d.Files {
		r.Files = append(r.Files, f.Path)
	}
	if len(d.Units) == 0 {
		return r
	}
	if stamp, ok := d.stamp(); ok {
		r.Files = append(r.Files, stamp.Path)
	}
	r.units = unitNames(d.Units)
	return r
}

// undoArgs are the arguments of keepFiles and putBack for a Deploy.
func (d Deploy) undoArgs() []string {
	var args []string
	for _, u := range d.Units {
		args = append(args, "unit", u.Name)
	}
	for _, p := range d.Creates {
		args = append(args, "made", p)
	}
	if stamp, ok := d.stamp(); ok {
		args = append(args, "file", stamp.Path)
	}
	for _, f := range d.Files {
		args = append(args, "file", f.Path)
	}
	return args
}

// Backup copies the present files and notes the units' states.
func (d Deploy) Backup(ctx context.Context, h *Host, _ Diff, dir string) error {
	var args []string
	for _, a := range slices.Collect(slices.Chunk(d.undoArgs(), 2)) {
		if a[0] == "made" { // not copied, but it keeps its number
			a[1] = "/nonexistent"
		}
		args = append(args, a...)
	}
	_, err := h.Script(ctx, keepFiles, map[string]string{"DIR": dir}, args...)
	return err
}

// Undo puts them back: files with their bytes, modes and owners, units running and
// enabled as they were. What had not been there is removed.
func (d Deploy) Undo(ctx context.Context, h *Host, dir string) error {
	_, err := h.Script(ctx, putBack, map[string]string{"DIR": dir}, d.undoArgs()...)
	return err
}

// Removal returns what removes a deployment: its units, its files and their stamp.
func (d Deploy) Removal() Remove {
	r := Remove{Units: unitNames(d.Units), Paths: pathsOfFiles(d.Files)}
	if stamp, ok := d.stamp(); ok {
		r.Paths = append(r.Paths, stamp.Path)
	}
	return r
}
