package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/strictjson"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/transport"
)

// PreviewSchema names the form of a Preview's JSON. A change that readers must
// know of gets another name; new fields do not.
const PreviewSchema = "quorate.dev/preview/v1"

// Preview is what a run would do, found without changing anything. It holds no
// secrets and nothing that they could be guessed from, so that it may be shown,
// mailed and kept. It is data: reading it from several goroutines is safe.
type Preview struct {
	// Schema is PreviewSchema.
	Schema string `json:"schema"`
	// Plan identifies the plan: two plans that would do something different,
	// or with other secrets, have two identities. Where no private key is among
	// a plan's secrets, these do not count: see Runner.Apply.
	Plan string `json:"plan"`
	// Steps in the plan's order.
	Steps []StepPreview `json:"steps"`
	// Totals counts the steps by outcome.
	Totals map[Outcome]int `json:"totals"`
	// Disruptive counts the steps that interrupt something that works.
	Disruptive int `json:"disruptive"`
	// RoundTrips by host are what the preview itself cost.
	RoundTrips map[string]int `json:"roundTrips"`
	// Digest is of all else in the preview, under the key of the plan's secrets if it has
	// one: whoever alters a preview that was saved, by whatever field, alters it.
	Digest string `json:"digest"`
	// Undescribed are the steps whose Actions do not say what they are made of. The
	// preview cannot be applied then: see Runner.Apply.
	Undescribed []ID `json:"undescribed,omitempty"`
}

// StepPreview is what one step would do.
type StepPreview struct {
	Step  ID     `json:"step"`
	Host  string `json:"host"`
	Title string `json:"title"`
	// After are the steps that it waits for.
	After []ID `json:"after,omitempty"`
	// Outcome is Unchanged, WouldChange or Unknown; Failed or NotReached if the
	// preview itself failed.
	Outcome Outcome `json:"outcome"`
	// Changes are the differences, with Text or Hidden.
	Changes Diff `json:"changes,omitempty"`
	// Commands would run, as far as the Action is a Commander.
	Commands []Command `json:"commands,omitempty"`
	// Disruptive: one of the changes interrupts something that works.
	Disruptive bool `json:"disruptive,omitempty"`
	// Awaits are those of After that would change something or are Unknown
	// themselves: once they are done, this step may find something else.
	Awaits []ID `json:"awaits,omitempty"`
	// Why says what the check of an Unknown or Failed step ran into.
	Why string `json:"why,omitempty"`
	// Digests identify what is on the host at the paths whose content is
	// hidden: the same as long as the content is, and not to be guessed from.
	Digests map[string]string `json:"digests,omitempty"`
}

// Preview finds what Run would do. It connects, runs every step's check, and
// reads the files that would be replaced, those of one step in one round trip;
// it changes nothing, whether DryRun is set or not. Observe gets the events of a dry
// run. The Preview is never nil; if a check failed, or ctx ended, the error is a
// *RunError, and the Preview shows what was found besides.
//
// Of a file it shows what is public on both sides: the content that would be
// written is not Sensitive, everyone on the host may read what is there,
// and neither holds PEM. What it shows of a host has the plan's secrets taken
// out (WithSecrets). A file of more than 64 KiB is not shown either.
func (r *Runner) Preview(ctx context.Context, p *Plan) (*Preview, error) {
	if err := r.problems(p); err != nil {
		return &Preview{Schema: PreviewSchema}, err
	}
	dry := *r
	dry.DryRun = true
	s := dry.scheduler(p)
	s.preview = &previewer{plan: p, digester: newDigester(p), steps: make([]StepPreview, p.Len())}
	sum, err := s.run(ctx)
	pv := &Preview{
		Schema: PreviewSchema, Plan: s.preview.digester.identity(p), Steps: s.preview.steps,
		Totals: sum.Outcomes, RoundTrips: sum.RoundTrips, Undescribed: p.undescribed(),
	}
	for i := range pv.Steps {
		sp := &pv.Steps[i]
		e := s.stepEvent(i, StepEnded)
		sp.Step, sp.Host, sp.Title, sp.After, sp.Outcome = e.Step, e.Host, e.Title, slices.Clone(p.steps[i].After), s.ended[i]
		for _, j := range p.after[i] {
			if s.ended[j] == WouldChange || s.ended[j] == Unknown {
				sp.Awaits = append(sp.Awaits, p.steps[j].ID)
			}
		}
		if sp.Disruptive = slices.ContainsFunc(sp.Changes, func(c Change) bool { return c.Disruptive }); sp.Disruptive {
			pv.Disruptive++
		}
	}
	for _, f := range s.failed {
		pv.Steps[p.index[f.Step]].Why = p.redact(fmt.Sprintf("%s: %v", f.Phase, f.Err))
	}
	pv.Digest = s.preview.digester.preview(pv)
	return pv, err
}

// previewer collects what a dry run finds. Each step's worker writes its own
// element of steps.
type previewer struct {
	plan     *Plan
	digester digester
	steps    []StepPreview
}

// begin forgets what an earlier attempt found.
func (p *previewer) begin(i int, h *Host) {
	if p != nil {
		p.steps[i] = StepPreview{}
		h.seen = &sightings{byPath: map[string]transport.FileInfo{}}
	}
}

func (p *previewer) unknown(i int, err error) {
	if p != nil {
		p.steps[i].Why = p.plan.redact(err.Error())
	}
}

// look finds out more about what a check has found.
func (p *previewer) look(ctx context.Context, i int, h *Host, found Diff) (Diff, error) {
	if p == nil {
		return found, nil
	}
	action, sp := p.plan.steps[i].Action, &p.steps[i]
	described := p.plan.described[i].Description
	written, err := h.DiffFiles(ctx, described.Unchecked...)
	if err != nil {
		return found, err
	}
	sp.Changes = slices.Concat(written, found)
	if err := p.show(ctx, h, sp, slices.Concat(described.Files, described.Unchecked)); err != nil {
		return found, err
	}
	if c, ok := action.(Commander); ok {
		if sp.Commands, err = c.Commands(ctx, h, found); err != nil {
			return found, err
		}
		for i, command := range sp.Commands {
			argv := make([]string, len(command.Argv))
			for j, word := range command.Argv {
				argv[j] = p.plan.redact(word)
			}
			sp.Commands[i] = Command{Argv: argv, Stdin: p.plan.redact(command.Stdin)}
		}
	}
	for i := range sp.Changes {
		sp.Changes[i].Data = nil // it was for Commands, and is not part of what is shown
	}
	return sp.Changes, nil
}

// shownLimit is the size of the largest file that is shown.
const shownLimit = 64 << 10

// show fills in the text of each change to a file, or why there is none.
func (p *previewer) show(ctx context.Context, h *Host, sp *StepPreview, files []quorate.File) error {
	type reading struct {
		change *Change
		file   quorate.File
	}
	var readings []reading
	var paths []string
	for i := range sp.Changes {
		c := &sp.Changes[i]
		at := slices.IndexFunc(files, func(f quorate.File) bool { return f.Path == c.Subject })
		if at < 0 {
			continue
		}
		f, found := files[at], h.seen.at(c.Subject)
		if found.Exists && found.SHA256 == f.Content.SHA256() {
			continue // only its mode or owner differs
		}
		c.Hidden = hiddenBy(f, found)
		switch {
		case c.Hidden != "":
			p.digest(sp, found)
		case !found.Exists:
			c.Text = p.plan.redact(unified("", string(f.Content.Bytes())))
		default:
			readings = append(readings, reading{c, f})
			paths = append(paths, c.Subject)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	all, err := h.ReadAll(ctx, shownLimit, paths...)
	if err != nil {
		return err
	}
	for i, r := range readings {
		b := all[i].Bytes()
		if r.change.Hidden = unshowable(b); r.change.Hidden != "" {
			p.digest(sp, h.seen.at(r.file.Path))
			continue
		}
		r.change.Text = p.plan.redact(unified(string(b), string(r.file.Content.Bytes())))
	}
	return nil
}

// digest notes what is there where nothing is shown.
func (p *previewer) digest(sp *StepPreview, found transport.FileInfo) {
	if !found.Exists || found.Dir {
		return
	}
	if digest := p.digester.digest(found.Path, found.SHA256); digest != "" {
		if sp.Digests == nil {
			sp.Digests = map[string]string{}
		}
		sp.Digests[found.Path] = digest
	}
}

// hiddenBy says why the replacement of a file is not shown, empty if what
// is there may be read and, unless that is found to be unfit, shown.
func hiddenBy(want quorate.File, found transport.FileInfo) string {
	switch {
	case want.Content.IsSensitive():
		return "secret"
	case found.Dir:
		return "a directory is there"
	case found.Exists && found.Mode&0o004 == 0:
		// It may be a secret of somebody else's.
		return fmt.Sprintf("what is there is not for everyone to read: mode %04o", found.Mode)
	case found.Size > shownLimit || want.Content.Len() > shownLimit:
		return fmt.Sprintf("more than %d KiB", shownLimit>>10)
	}
	return unshowable(want.Content.Bytes())
}

// unshowable says why a content is nothing to look at, empty if it is text.
func unshowable(b []byte) string {
	control := func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\n\r", r) }
	switch {
	case bytes.Contains(b, []byte("-----BEGIN ")):
		return "PEM" // base64 is of use to no reader, and may be a key
	case !utf8.Valid(b), bytes.ContainsFunc(b, control):
		return "binary"
	}
	return ""
}

// sightings are what Stat found while a step was looked at.
type sightings struct {
	mu     sync.Mutex
	byPath map[string]transport.FileInfo
}

func (s *sightings) add(infos []transport.FileInfo) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range infos {
		s.byPath[i.Path] = i
	}
}

func (s *sightings) at(path string) transport.FileInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byPath[path]
}

// Changed reports whether a run would change anything, as far as is known.
func (p *Preview) Changed() bool {
	return p != nil && (p.Totals[WouldChange] > 0 || p.Totals[Unknown] > 0)
}

// orEmpty is an empty preview in place of a nil one.
func (p *Preview) orEmpty() *Preview {
	if p == nil {
		return &Preview{}
	}
	return p
}

// Hosts returns the hosts in the order in which steps first name them.
func (p *Preview) Hosts() []string {
	var hosts []string
	seen := map[string]bool{}
	for _, s := range p.orEmpty().Steps {
		if !seen[s.Host] {
			seen[s.Host] = true
			hosts = append(hosts, s.Host)
		}
	}
	return hosts
}

// JSON returns the preview in the form that PreviewSchema names, indented, with a
// final newline: the fields as the types here name them. The same preview is always
// the same bytes. ParsePreview reads them.
func (p *Preview) JSON() []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	_ = out.Encode(p) // strings and numbers into memory: neither fails
	return termsafe.JSON(b.Bytes())
}

// PreviewSchemaError refuses JSON that is no preview, or one of another form.
type PreviewSchemaError struct {
	// Got is the schema that it names, empty if none.
	Got string
	// Err is what the decoder says, nil if only the schema is another.
	Err error
}

func (e *PreviewSchemaError) Error() string {
	if e.Err != nil {
		return "no preview: " + termsafe.Cut(termsafe.Line(e.Err.Error()), 400, "...")
	}
	return fmt.Sprintf("no preview: its schema is %q, not %q", termsafe.Cut(e.Got, 100, "..."), PreviewSchema)
}

// Unwrap returns what the decoder says.
func (e *PreviewSchemaError) Unwrap() error { return e.Err }

// ParsePreview reads what JSON returns. A failure is a *PreviewSchemaError: another
// schema, a name that is no field's or differs from one in case or is there twice, a field
// that JSON writes and that is not there, or one that it leaves out, an
// outcome that there is not. Only the order of fields and white space are free. Nothing in a preview is trusted, and nothing in it is ever
// run: Runner.Apply compares it with what it finds itself.
func ParsePreview(b []byte) (*Preview, error) {
	// The schema first: of another form, nothing else is to be complained of.
	var head struct {
		Schema string `json:"schema"`
	}
	if err := strictjson.Decode(b, &head, strictjson.Options{AllowUnknown: true}); err != nil {
		return nil, &PreviewSchemaError{Err: err}
	}
	if head.Schema != PreviewSchema {
		return nil, &PreviewSchemaError{Got: head.Schema}
	}
	var p Preview
	if err := strictjson.Decode(b, &p, strictjson.Options{}); err != nil {
		return nil, &PreviewSchemaError{Err: err}
	}
	for _, s := range p.Steps {
		if !slices.ContainsFunc(states(), func(known state) bool { return known.class == string(s.Outcome) && known.class != "disruptive" }) {
			return nil, &PreviewSchemaError{Err: fmt.Errorf("step %q: no outcome %q", s.Step, s.Outcome)}
		}
	}
	if slices.ContainsFunc(p.Steps, func(s StepPreview) bool { return s.Step == "" }) {
		return nil, &PreviewSchemaError{Err: errors.New("a step has no name")}
	}
	if where := unlike(untyped(b), untyped(p.JSON()), "the preview"); where != "" {
		return nil, &PreviewSchemaError{Err: errors.New(where + " was not written by Quorate: a field is missing, or is one that is left out there")}
	}
	return &p, nil
}

// untyped is JSON that has been read before, without types.
func untyped(b []byte) any {
	var v any
	in := json.NewDecoder(bytes.NewReader(b))
	in.UseNumber()
	_ = in.Decode(&v) // it is JSON
	return v
}

// unlike returns where two documents have other fields or values, empty if nowhere.
func unlike(a, b any, where string) string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return where
		}
		for _, name := range slices.Sorted(maps.Keys(a)) {
			if _, there := b[name]; !there {
				return where
			}
			if at := unlike(a[name], b[name], where+"."+name); at != "" {
				return at
			}
		}
		return ""
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return where
		}
		for i := range a {
			if at := unlike(a[i], b[i], fmt.Sprintf("%s[%d]", where, i)); at != "" {
				return at
			}
		}
		return ""
	}
	if a != b {
		return where
	}
	return ""
}
