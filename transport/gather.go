package transport

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate/transport/internal/frame"
)

// Gatherer is the ability of a Conn to look at much in one round trip. It is
// safe for concurrent use. GathererOf returns one for any Conn.
type Gatherer interface {
	// Gather describes the files at the paths, as Filer.Stat does, and runs the
	// queries, in any order and some of them at the same moment. That one of them fails is no error, it only has
	// no answer; the error is one of Conn.Run and reports that the host could not
	// be reached, or the answer broke off: Gathered has what came until then.
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
	// RoundTrips is how many it took: one, or none if nothing was requested; GathererOf
	// says when it is two.
	RoundTrips int
}

// Answer is what came of a Query.
type Answer struct {
	// OK reports that the command ran and exited with status 0.
	OK bool
	// Stdout is its standard output, nil if not OK. It may hold secrets if the
	// command prints any.
	Stdout []byte
}

// GathererOf returns the Gatherer of a connection: its own if it has one (see
// As), else one made from commands, which needs on the host what FilesOf does. A
// Filer that the connection has reads the files, in one more round trip.
func GathererOf(conn Conn) Gatherer {
	if g, ok := As[Gatherer](conn); ok {
		return g
	}
	files, _ := As[Filer](conn)
	return shellGatherer{conn, files}
}

// shellGatherer reads by one script on the standard input of sh -s.
type shellGatherer struct {
	conn  Conn
	files Filer // nil: by the script too
}

//go:embed scripts/gather.sh
var gatherScript string

// gatherLimit bounds what all queries together may print.
const gatherLimit = 16 << 20

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
	if len(asked)+len(queries) == 0 {
		return out, nil
	}
	out.RoundTrips++
	mark, err := frame.NewMark(nil)
	if err != nil {
		return out, err
	}
	b := newBatch(asked, queries)
	found, err := run(ctx, s.conn, Cmd{Argv: []string{"sh", "-s"}, Stdin: strings.NewReader(b.script(mark))}, gatherLimit)
	if !b.read(found, mark, &out) && err == nil {
		err = notRun()
	}
	return out, err
}

func checkQueries(paths []string, queries []Query) error {
	if err := checkPaths("stat", paths...); err != nil {
		return err
	}
	for _, q := range queries {
		if err := ValidateArgv(q.Argv); err != nil {
			return fmt.Errorf("a query: %w", err)
		}
		if strings.ContainsRune(q.Needs, 0) {
			return fmt.Errorf("a query: %q needs a path that holds a NUL byte", q.Argv[0])
		}
	}
	return nil
}

// batch is what one script reads, in two lanes side by side: the heavy ones of
// the queries start a program each, and a host of Kubernetes has two CPUs at
// least (kubeadm's preflight asks for them).
type batch struct {
	lanes [2]lane
	paths []string
}

// lane is what is read one after another: the numbers of queries, and -1 for
// the files.
type lane struct {
	body    strings.Builder
	expects []int
}

func newBatch(paths []string, queries []Query) *batch {
	b := &batch{paths: paths}
	if len(paths) > 0 {
		b.lanes[0].body.WriteString("frame files </dev/null\n")
		b.lanes[0].expects = append(b.lanes[0].expects, -1)
	}
	for i, q := range queries {
		b.lanes[(i+min(len(paths), 1))%len(b.lanes)].ask(i, q)
	}
	return b
}

// ask adds a query. Its input is a word of echo, a builtin of every shell.
func (l *lane) ask(i int, q Query) {
	if q.Needs != "" {
		fmt.Fprintf(&l.body, "if [ -e %s ]; then\n", frame.Quote(q.Needs))
	}
	if q.Stdin.Len() > 0 {
		fmt.Fprintf(&l.body, "echo '%s' | base64 -d | frame run%s\n", base64Lines(q.Stdin.Bytes()), frame.Words(q.Argv))
	} else {
		fmt.Fprintf(&l.body, "frame run%s </dev/null\n", frame.Words(q.Argv))
	}
	if q.Needs != "" {
		l.body.WriteString("else none; fi\n")
	}
	l.expects = append(l.expects, i)
}

// script is one function, so that no command takes what follows it for its
// input. Describing files has an environment of its own. What the second lane
// finds waits in a pipe until the first is through.
func (b *batch) script(mark string) string {
	main := b.lanes[0].body.String()
	if second := b.lanes[1].body.String(); second != "" {
		main = fmt.Sprintf("{\n%s} | {\n%scat\n}\n", second, main)
	}
	return "mark=" + mark + "\n" + gatherScript + "files() (\n" + commonScript + describeScript(b.paths) + "main\n)\nask() {\n" + main + "}\nask\n"
}

// read takes the frames that are whole, and reports whether the first has begun.
func (b *batch) read(out []byte, mark string, into *Gathered) (begun bool) {
	for _, i := range slices.Concat(b.lanes[0].expects, b.lanes[1].expects) {
		_, rest, found := bytes.Cut(out, []byte("["+mark+"]"))
		begun = begun || found
		text, rest, whole := bytes.Cut(rest, []byte("\n"+mark+" "))
		status, rest, ended := bytes.Cut(rest, []byte("\n"))
		if !found || !whole || !ended {
			return begun
		}
		out = rest
		switch {
		case string(status) != "0":
		case i >= 0:
			into.Answers[i] = Answer{OK: true, Stdout: bytes.Clone(text)}
		default:
			if infos, err := parseStats(b.paths, string(text)); err == nil {
				into.Files = infos
			}
		}
	}
	return begun
}
