package transport

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Gatherer is the ability of a Conn to look at much in one round trip. It is
// safe for concurrent use. GathererOf gives one for any Conn.
type Gatherer interface {
	// Gather describes the files at the paths, as Filer.Stat does, and runs the
	// queries, in any order and some of them at the same moment. That one of them fails is no error, it only has
	// no answer; the error is one of Conn.Run and tells that the host could not
	// be asked, or not to the end: Gathered has what was answered until then.
	Gather(ctx context.Context, paths []string, queries []Query) (Gathered, error)
}

// Query is a command that only reads.
type Query struct {
	// Argv is as in Cmd. Standard error is discarded.
	Argv []string
	// Stdin is the whole of the standard input. It never appears in a command
	// line, an error or a formatted Query.
	Stdin Data
	// Needs is the path of something without which the command is not run, and
	// has no answer. Empty: it runs anyhow.
	Needs string
}

// Gathered is what was found.
type Gathered struct {
	// Files describes the files in the order of the paths. It is nil if one of
	// them could not be described.
	Files []FileInfo
	// Answers are in the order of the queries.
	Answers []Answer
	// RoundTrips is how many it took: one, unless there was more to ask than
	// fits into a command line, or nothing.
	RoundTrips int
}

// Answer is what a Query gave.
type Answer struct {
	// OK tells that the command ran and exited with status 0.
	OK bool
	// Stdout is its standard output, nil if not OK. It may hold secrets if what
	// is asked does.
	Stdout []byte
}

// GathererOf gives the Gatherer of a connection: its own if it has one, else
// one made from commands, which needs on the host what FilesOf does. A Filer
// that the connection has is asked for the files, in a round trip more.
func GathererOf(conn Conn) Gatherer {
	if g, ok := conn.(Gatherer); ok {
		return g
	}
	files, _ := conn.(Filer)
	return shellGatherer{conn, files}
}

// shellGatherer asks with one script by standard input to sh -s. As with
// shellFiler, paths and arguments are positional parameters and never part of
// shell text; only what the queries read is in it, in base64.
type shellGatherer struct {
	conn  Conn
	files Filer // nil: by the script too
}

//go:embed scripts/gather.sh
var gatherScript string

// gatherLimit bounds what all queries together may print.
const gatherLimit = 16 << 20

// argsLimit bounds the arguments of one command, quoted: as a line for a login
// shell they are one argument, of which Linux takes 128 KiB, and up to five bytes for one.
const argsLimit = 20 << 10

// quotedSize is at least what an argument takes in such a line.
func quotedSize(arg string) int { return len(arg) + 4*strings.Count(arg, "'") + 3 }

// Gather implements Gatherer.
func (s shellGatherer) Gather(ctx context.Context, paths []string, queries []Query) (Gathered, error) {
	if err := checkQueries(paths, queries); err != nil {
		return Gathered{}, err
	}
	out := Gathered{Answers: make([]Answer, len(queries))}
	asked := paths
	if s.files != nil && len(paths) > 0 {
		out.RoundTrips++
		files, err := s.files.Stat(ctx, paths...)
		var failed *FileError
		if err != nil && !errors.As(err, &failed) {
			return out, err
		}
		out.Files, asked = files, nil
	}
	var err error
	for _, b := range batches(asked, queries) {
		out.RoundTrips++
		// No output can hold the mark by chance, or because somebody wants it to.
		mark := rand.Text()
		var found []byte
		found, err = run(ctx, s.conn, Cmd{Argv: append([]string{"sh", "-s", "--", mark}, b.args()...), Stdin: strings.NewReader(b.script())}, gatherLimit)
		b.read(found, mark, &out)
		if err != nil {
			break
		}
	}
	if len(out.Files) != len(paths) {
		out.Files = nil
	}
	return out, err
}

func checkQueries(paths []string, queries []Query) error {
	if err := checkPaths("stat", paths...); err != nil {
		return err
	}
	for _, q := range queries {
		if len(q.Argv) == 0 {
			return errors.New("a query without a program")
		}
		if strings.ContainsRune(strings.Join(append(q.Argv, q.Needs), ""), 0) {
			return fmt.Errorf("an argument of %q holds a NUL byte", q.Argv[0])
		}
	}
	return nil
}

// batch is what one command asks, in two lanes side by side: the heavy ones of
// the queries start a program each, and a host of Kubernetes has two CPUs at
// least (kubeadm's preflight asks for them).
type batch struct {
	lanes [2]lane
	asked int
	size  int
}

// lane is what is asked one after another.
type lane struct {
	args    []string
	body    strings.Builder
	expects []expected
}

// expected is what one frame of the answer is for: some of the paths, or a query.
type expected struct {
	paths []string
	query int
}

// batches spreads everything over as few commands as it fits into.
func batches(paths []string, queries []Query) []*batch {
	var all []*batch
	room := func(size int) *batch {
		if len(all) == 0 || all[len(all)-1].size+size > argsLimit && all[len(all)-1].size > 0 {
			all = append(all, &batch{})
		}
		last := all[len(all)-1]
		last.size += size
		return last
	}
	for len(paths) > 0 {
		n, size := 0, 0
		for n < len(paths) && (n == 0 || size+quotedSize(paths[n]) < argsLimit/2) {
			size += quotedSize(paths[n])
			n++
		}
		room(size).next().stat(paths[:n])
		paths = paths[n:]
	}
	for i, q := range queries {
		size := quotedSize(q.Needs)
		for _, arg := range q.Argv {
			size += quotedSize(arg)
		}
		room(size).next().ask(i, q)
	}
	return all
}

// next gives the lanes by turns.
func (b *batch) next() *lane {
	b.asked++
	return &b.lanes[(b.asked-1)%len(b.lanes)]
}

func (b *batch) args() []string { return append(slices.Clone(b.lanes[0].args), b.lanes[1].args...) }

func (l *lane) stat(paths []string) {
	l.frame("files", paths, "</dev/null")
	fmt.Fprintf(&l.body, "shift %d\n", len(paths))
	l.expects = append(l.expects, expected{paths: paths})
}

func (l *lane) ask(i int, q Query) {
	if q.Needs != "" {
		l.body.WriteString("needs=$1\nshift\nif [ -e \"$needs\" ]; then\n")
		l.args = append(l.args, q.Needs)
	}
	if q.Stdin.Len() > 0 {
		l.body.WriteString("base64 -d <<'EOF' | ")
		l.frame("run", q.Argv, "\n"+base64Lines(q.Stdin.Bytes())+"EOF")
	} else {
		l.frame("run", q.Argv, "</dev/null")
	}
	if q.Needs != "" {
		l.body.WriteString("else printf '\\n%s none\\n' \"$mark\"; fi\n")
	}
	fmt.Fprintf(&l.body, "shift %d\n", len(q.Argv))
	l.expects = append(l.expects, expected{query: i})
}

func (l *lane) frame(how string, args []string, input string) {
	fmt.Fprintf(&l.body, "frame %s %d \"$@\" %s\n", how, len(args), input)
	l.args = append(l.args, args...)
}

// script is one function, so that no command takes what follows it for its
// input. Describing files has an environment of its own. What the second lane
// finds waits in a pipe until the first is through.
func (b *batch) script() string {
	main := b.lanes[0].body.String()
	if second := b.lanes[1].body.String(); second != "" {
		main = fmt.Sprintf("{\nshift %d\n%s} | {\n%scat\n}\n", len(b.lanes[0].args), second, main)
	}
	return gatherScript + "files() (\n" + commonScript + statScript + ")\nmain() {\nmark=$1\nshift\n" + main + "}\nmain \"$@\"\n"
}

// read takes the frames that are whole.
func (b *batch) read(out []byte, mark string, into *Gathered) {
	for _, e := range slices.Concat(b.lanes[0].expects, b.lanes[1].expects) {
		text, rest, whole := bytes.Cut(out, []byte("\n"+mark+" "))
		status, rest, ended := bytes.Cut(rest, []byte("\n"))
		if !whole || !ended {
			return
		}
		out = rest
		switch {
		case string(status) != "0":
		case e.paths == nil:
			into.Answers[e.query] = Answer{OK: true, Stdout: bytes.Clone(text)}
		default:
			if infos, err := parseStats(e.paths, string(text)); err == nil {
				into.Files = append(into.Files, infos...)
			}
		}
	}
}
