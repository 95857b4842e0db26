package software

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
	"github.com/quorate-dev/quorate/transport"
)

// Pushed brings programs and images to hosts that reach nothing but the SDK:
// the air gap.
type Pushed struct {
	// Files go to every node: programs, units, CNI configuration.
	Files []Payload
	// ControlPlaneFiles go to the control planes only.
	ControlPlaneFiles []Payload
	// Images are imported into containerd's k8s.io namespace on every node, by
	// ctr and the cluster's CRI socket.
	Images []ImageArchive
	// ControlPlaneImages are imported on the control planes only.
	ControlPlaneImages []ImageArchive
}

// Payload is a file too large for an Artifact. On the host it belongs to root.
type Payload struct {
	// Path on the host, absolute and clean.
	Path string
	// Mode holds the permission bits. Default 0755, which programs need.
	Mode fs.FileMode
	// SHA256 of the content, in hexadecimal. Required: a host whose file
	// has it is left alone. Content that does not match it is never put in place
	// and fails the step with a *HashError.
	SHA256 string
	// Open returns the content, again at each call.
	Open func() (io.ReadCloser, error)
}

// ImageArchive is an OCI or docker archive of images.
type ImageArchive struct {
	// Payload is sent to its Path to be imported, and removed afterwards.
	Payload
	// OnHost says that the archive is on the host already: it is imported from
	// Path and stays there; Open, SHA256 and Mode are not used.
	OnHost bool
	// Names of the images in it, as containerd lists them. Required: an archive is
	// imported unless the host has them all.
	Names []string
}

// HashError reports that what a Payload's Open returned does not have its SHA256. The
// host is unchanged.
type HashError struct {
	// Path on the host.
	Path string
	// Want and Got are SHA-256 in hexadecimal.
	Want, Got string
}

func (e *HashError) Error() string {
	return termsafe.Indented(fmt.Sprintf("what was to become %s has SHA-256 %s, not %s: nothing was put in place; send the right file, or correct the hash",
		e.Path, e.Got, e.Want))
}

// DescribeEvent returns the path and the hashes.
func (e *HashError) DescribeEvent() events.Error {
	return events.Error{
		Kind: events.KindHash, Tried: "put the file in place", Path: e.Path, Want: e.Want, Got: e.Got, Do: "send the right file, or correct the hash",
	}
}

// Prepare returns the transfers, the import and the check of the programs.
func (p Pushed) Prepare(c quorate.Cluster, n quorate.Node) ([]Preparation, error) {
	if err := p.problems(c).Err("pushed files"); err != nil {
		return nil, err
	}
	files, archives := p.Files, p.Images
	if n.Role == quorate.ControlPlane {
		files = slices.Concat(files, p.ControlPlaneFiles)
		archives = slices.Concat(archives, p.ControlPlaneImages)
	}
	var out []Preparation
	if len(files) > 0 {
		out = append(out, Preparation{Name: "files", Title: "push programs", Timeout: 15 * time.Minute, Action: push{files}})
	}
	out = append(append(out, checkPrograms(c, n)), runtime(c)...)
	if len(archives) > 0 {
		out = append(out, Preparation{Name: "images", Title: "import images", Timeout: 15 * time.Minute, Action: images{
			archives: archives, socket: strings.TrimPrefix(c.Kubeadm.CRISocket, "unix://"),
		}})
	}
	return out, nil
}

// problems finds what is wrong with all of it, whichever node it is for.
func (p Pushed) problems(c quorate.Cluster) quorate.Problems {
	var problems quorate.Problems
	seen := map[string]string{}
	each := func(field string, count int, check func(at string, i int)) {
		for i := range count {
			check(fmt.Sprintf("%s[%d]", field, i), i)
		}
	}
	files := func(field string, files []Payload) {
		each(field, len(files), func(at string, i int) { files[i].problems(&problems, at, seen) })
	}
	archives := func(field string, archives []ImageArchive) {
		each(field, len(archives), func(at string, i int) { archives[i].problems(&problems, at, seen) })
		if unit := hostsetup.RuntimeOf(c).Unit; len(archives) > 0 && (unit == "crio.service" || unit == "docker.service") {
			problems.Refuse(field, "images are imported by ctr, and %s is not containerd's: put them into the runtime's own store yourself", c.Kubeadm.CRISocket)
		}
	}
	files("files", p.Files)
	files("controlPlaneFiles", p.ControlPlaneFiles)
	archives("images", p.Images)
	archives("controlPlaneImages", p.ControlPlaneImages)
	return problems
}

// problems adds those of one file; seen has the field in which each path was first seen.
func (f Payload) problems(problems *quorate.Problems, at string, seen map[string]string) {
	f.pathProblems(problems, at, seen)
	if f.Mode&^fs.ModePerm != 0 {
		problems.Refuse(at+".mode", "%v: only permission bits can be set", f.Mode)
	}
	if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != sha256.Size {
		problems.Refuse(at+".sha256", "%q is no SHA-256 in hexadecimal", f.SHA256)
	}
	if f.Open == nil {
		problems.Refuse(at+".open", "missing: set the function that opens the content of %s", f.Path)
	}
}

func (f Payload) pathProblems(problems *quorate.Problems, at string, seen map[string]string) {
	if err := transport.ValidatePath(f.Path); err != nil {
		problems.Refuse(at+".path", "%v", err)
	} else if first, twice := seen[f.Path]; twice {
		problems.Refuse(at+".path", "%s is that of %s too", f.Path, first)
	} else {
		seen[f.Path] = at
	}
}

func (a ImageArchive) problems(problems *quorate.Problems, at string, seen map[string]string) {
	if a.OnHost {
		a.pathProblems(problems, at, seen)
	} else {
		a.Payload.problems(problems, at, seen)
	}
	if len(a.Names) == 0 {
		problems.Refuse(at+".names", "missing: list the images in %s", a.Path)
	}
}

// file is the payload as the host shall have it.
func (f Payload) file() transport.File {
	mode := f.Mode
	if mode == 0 {
		mode = 0o755
	}
	return transport.File{Path: f.Path, Mode: mode, Owner: "root", Group: "root"}
}

func (f Payload) sum() (sum [sha256.Size]byte) {
	_, _ = hex.Decode(sum[:], []byte(f.SHA256)) // checked by problems
	return sum
}

// push streams files that differ by their hash.
type push struct{ files []Payload }

// lacking is the path of a file that is not there as it should be.
type lacking string

// Check compares hashes, modes and owners in one round trip.
func (p push) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	paths := make([]string, 0, len(p.files))
	for _, f := range p.files {
		paths = append(paths, f.Path)
	}
	found, err := h.Stat(ctx, paths...)
	if err != nil {
		return nil, err
	}
	var diff plan.Diff
	for i, f := range p.files {
		if c, differs := plan.CompareFile(f.file(), f.sum(), found[i]); differs {
			c.Data = lacking(f.Path)
			diff = append(diff, c)
		}
	}
	return diff, nil
}

// Apply uploads them one after another: side by side would be no faster over one connection.
func (p push) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	found := plan.DataOf[lacking](d)
	for _, f := range p.files {
		if !slices.Contains(found, lacking(f.Path)) {
			continue
		}
		if err := f.upload(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

func (f Payload) upload(ctx context.Context, h *plan.Host) error {
	h.Report("sending %s", f.Path)
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("open what goes to %s: %w", f.Path, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	return h.Upload(ctx, f.file(), &verified{r: r, hash: sha256.New(), payload: f})
}

func (f Payload) input() quorate.Content {
	return plan.InputText(f.Path, f.file().Mode.String(), strings.ToLower(f.SHA256))
}

// verified returns what it reads, and fails at the end if it was the wrong
// content: a stream that does not end well is not put in place.
type verified struct {
	r       io.Reader
	hash    hash.Hash
	payload Payload
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	_, _ = v.hash.Write(p[:n]) // a hash never fails
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if got := hex.EncodeToString(v.hash.Sum(nil)); !strings.EqualFold(got, v.payload.SHA256) {
		return n, &HashError{Path: v.payload.Path, Want: v.payload.SHA256, Got: got}
	}
	return n, io.EOF
}

// images imports archives whose images containerd does not list.
type images struct {
	archives []ImageArchive
	socket   string
}

// imageWork is what there is to do about an archive, by its place: import it, or only
// remove what was sent.
type imageWork struct {
	archive int
	imports bool
}

// Check lists the images that containerd has, and looks for archives that an
// interrupted run has left.
func (im images) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	have, err := im.list(ctx, h)
	if err != nil {
		return nil, err
	}
	left, err := im.left(ctx, h)
	if err != nil {
		return nil, err
	}
	var diff plan.Diff
	for i, a := range im.archives {
		absent := slices.IndexFunc(a.Names, func(name string) bool { return !have[name] })
		switch {
		case absent >= 0:
			diff = append(diff, plan.Change{Verb: "import", Subject: a.Path, Detail: a.Names[absent], Data: imageWork{archive: i, imports: true}})
		case left[a.Path]:
			diff = append(diff, plan.Change{Verb: "remove", Subject: a.Path, Detail: "imported", Data: imageWork{archive: i}})
		}
	}
	return diff, nil
}

func (im images) query() []string {
	return []string{"ctr", "--address", im.socket, "--namespace", "k8s.io", "images", "ls", "--quiet"}
}

func (im images) list(ctx context.Context, h *plan.Host) (map[string]bool, error) {
	out, err := h.Run(ctx, im.query()...)
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		have[strings.TrimSpace(line)] = true
	}
	return have, nil
}

// sent are the paths of archives that are not on the hosts beforehand.
func (im images) sent() []string {
	var paths []string
	for _, a := range im.archives {
		if !a.OnHost {
			paths = append(paths, a.Path)
		}
	}
	return paths
}

// left are the paths of archives that were sent and not removed.
func (im images) left(ctx context.Context, h *plan.Host) (map[string]bool, error) {
	paths := im.sent()
	if len(paths) == 0 {
		return nil, nil
	}
	found, err := h.Stat(ctx, paths...)
	if err != nil {
		return nil, err
	}
	left := map[string]bool{}
	for _, f := range found {
		left[f.Path] = f.Exists
	}
	return left, nil
}

// Apply sends the archives that are not on the host, imports them, and removes
// what it sent.
func (im images) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	for _, w := range plan.DataOf[imageWork](d) {
		if err := im.apply(ctx, h, w.imports, im.archives[w.archive]); err != nil {
			return err
		}
	}
	return nil
}

func (im images) apply(ctx context.Context, h *plan.Host, imports bool, a ImageArchive) error {
	switch {
	case !imports:
		return h.Remove(ctx, a.Path)
	case a.OnHost:
		return im.load(ctx, h, a)
	}
	if err := a.upload(ctx, h); err != nil {
		return err
	}
	return errors.Join(im.load(ctx, h, a), removeSent(ctx, h, a.Path))
}

// importScript imports without containerd's transfer service where ctr can (2.0 and
// later), which takes half the time.
//
//go:embed scripts/import.sh
var importScript string

func (im images) load(ctx context.Context, h *plan.Host, a ImageArchive) error {
	h.Report("importing %s", a.Path)
	_, err := h.Script(ctx, importScript, map[string]string{"SOCKET": im.socket, "ARCHIVE": a.Path})
	return err
}

// removeSent removes an archive also when ctx has ended the import: it would
// fill the host's disk.
func removeSent(ctx context.Context, h *plan.Host, path string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return h.Remove(ctx, path)
}

// Prefetch returns the files.
func (p push) Prefetch() plan.Prefetch {
	var r plan.Prefetch
	for _, f := range p.files {
		r.Files = append(r.Files, f.Path)
	}
	return r
}

// Describe returns the hashes of what is streamed.
func (p push) Describe() plan.Description {
	d := plan.Description{Kind: "quorate/push"}
	for _, f := range p.files {
		d.Inputs = append(d.Inputs, f.input())
	}
	return d
}

// Prefetch returns containerd's list, and archives that may be left.
func (im images) Prefetch() plan.Prefetch {
	r := plan.Prefetch{Queries: []transport.Query{{Argv: im.query()}}}
	r.Files = im.sent()
	return r
}

// Describe returns the hashes of archives, and the images in them.
func (im images) Describe() plan.Description {
	d := plan.Description{Kind: "quorate/images"}
	for _, a := range im.archives {
		d.Inputs = append(d.Inputs, a.input(), plan.InputText(a.Names...))
	}
	return d
}

// Commands imports the archives whose images are not there.
func (im images) Commands(_ context.Context, _ *plan.Host, d plan.Diff) ([]plan.Command, error) {
	var out []plan.Command
	for _, w := range plan.DataOf[imageWork](d) {
		if w.imports {
			out = append(out, plan.Command{Argv: []string{"ctr", "--address", im.socket, "--namespace", "k8s.io", "images", "import", im.archives[w.archive].Path}})
		}
	}
	return out, nil
}
