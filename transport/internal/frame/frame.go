// Package frame separates a command's output from everything else that a host may
// print on the way to it: the greetings of login shells, the sentence of a
// nologin, the answer of a forced command, sudo's lecture. A command that has not
// begun its frame has not run, whatever status the host reports; one that has run says
// itself with which status it ended, since a gateway may put its own in that place.
package frame

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed scripts/framed.sh
var framedScript string

// NewMark returns a word that nobody can guess; r nil means crypto/rand.
func NewMark(r io.Reader) (string, error) {
	if r == nil {
		r = rand.Reader
	}
	b := make([]byte, 12)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", fmt.Errorf("a random mark: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// Script is POSIX shell that runs the command in a frame and exits with its status.
func Script(mark string, argv []string) string {
	return "set --" + Words(argv) + "\n" + Framed(mark)
}

// Framed is POSIX shell that runs the command "$@" in the frame of the mark, which may be
// a parameter such as $0, and exits with its status.
func Framed(mark string) string {
	var b strings.Builder
	b.WriteString("mark=" + mark + "\n")
	for line := range strings.Lines(framedScript) {
		if !strings.HasPrefix(line, "#") { // it travels with every command
			b.WriteString(line)
		}
	}
	return b.String()
}

// Limit is how much a stream may hold before the frame opens. A host that
// prints more is not waited for.
const Limit = 64 << 10

// ErrNoFrame reports that a host printed more than Limit bytes and had not begun the
// command.
var ErrNoFrame = fmt.Errorf("the host printed more than %d KiB before the command began", Limit>>10)

// Frame is one command's frame on its two streams. Make it with New.
type Frame struct {
	Stdout, Stderr *Stream

	begun chan struct{}
	once  sync.Once
}

// New returns the frame of a mark. What is within it goes to the writers; nil discards it.
func New(mark string, stdout, stderr io.Writer) *Frame {
	f := &Frame{begun: make(chan struct{})}
	f.Stdout = &Stream{to: stdout, begin: []byte("[" + mark + "]")}
	f.Stderr = &Stream{
		to: stderr, begin: []byte("[" + mark + " "), numbered: true, end: []byte("[/" + mark + " "),
		opened: func() { f.once.Do(func() { close(f.begun) }) },
	}
	return f
}

// Begun is closed once the process group is known: the command is about to start, and its
// standard input is read by nobody else.
func (f *Frame) Begun() <-chan struct{} { return f.begun }

// HasBegun reports whether both streams have begun, so that what the host
// answered is the command's.
func (f *Frame) HasBegun() bool { return f.Stdout.HasBegun() && f.Stderr.HasBegun() }

// Group is the command's process group on the host, 0 while it is not known.
func (f *Frame) Group() int {
	f.Stderr.mu.Lock()
	defer f.Stderr.mu.Unlock()
	return f.Stderr.group
}

// Status is the exit status that the command's shell has reported: 128 and the signal's
// number where a signal ended it. known is false where none has come, as of a shell
// that was killed itself.
func (f *Frame) Status() (code int, known bool) {
	f.Stderr.mu.Lock()
	defer f.Stderr.mu.Unlock()
	return f.Stderr.status, f.Stderr.ended
}

// Finish passes on what was held back as the possible beginning of a status. It is called
// when both streams have ended.
func (f *Frame) Finish() error { return f.Stderr.finish() }

// Said is the end of what the host printed before the frame, standard error
// first, at most limit bytes of each.
func (f *Frame) Said(limit int) string {
	var all []string
	for _, s := range []*Stream{f.Stderr, f.Stdout} {
		if text := strings.TrimSpace(s.said(limit)); text != "" {
			all = append(all, text)
		}
	}
	return strings.Join(all, "\n")
}

// Stream passes on what is written to it from the frame's beginning on, without the status at its
// end. It is safe for concurrent use.
type Stream struct {
	to       io.Writer
	begin    []byte
	numbered bool   // a process group follows begin
	end      []byte // what precedes the status; nil without one
	opened   func()

	mu     sync.Mutex
	before []byte
	open   bool
	group  int
	held   []byte // what may be the beginning of the status
	ended  bool
	status int
}

// digits is the most that a process group has; a status has statusDigits.
const digits, statusDigits = 10, 3

// Write passes p on, or looks for the beginning in it.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		return written(p, s.within(p))
	}
	from := max(0, len(s.before)-len(s.begin)-digits-1)
	s.before = append(s.before, p...)
	rest, found, err := s.cut(from)
	switch {
	case err != nil:
		return 0, err
	case !found && len(s.before) > Limit:
		s.before = bytes.Clone(s.before[len(s.before)-Limit:])
		return 0, ErrNoFrame
	case !found:
		return len(p), nil
	}
	s.open = true
	if s.opened != nil {
		s.opened()
	}
	return written(p, s.within(rest))
}

func written(p []byte, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// cut looks for the whole beginning in what came so far.
func (s *Stream) cut(from int) (rest []byte, found bool, err error) {
	i := bytes.Index(s.before[from:], s.begin)
	if i < 0 {
		return nil, false, nil
	}
	i += from
	rest = s.before[i+len(s.begin):]
	if s.numbered {
		number, after, whole := bytes.Cut(rest, []byte{']'})
		if !whole && len(number) <= digits {
			return nil, false, nil
		}
		value, err := strconv.ParseUint(string(number), 10, 31)
		if err != nil || value == 0 {
			return nil, false, errors.New("the process group of the command cannot be read")
		}
		s.group = int(value)
		rest = after
	}
	rest = bytes.Clone(rest)
	s.before = s.before[:i]
	return rest, true, nil
}

// within passes on what the command prints, and takes its status out.
func (s *Stream) within(p []byte) error {
	if s.end == nil || s.ended {
		return s.pass(p)
	}
	text := p
	if len(s.held) > 0 {
		text = slices.Concat(s.held, p)
		s.held = nil
	}
	i := bytes.Index(text, s.end)
	if i < 0 {
		i = len(text) - Beginning(text, s.end)
	}
	text, after := text[:i], text[i:]
	if number, rest, whole := bytes.Cut(after[min(len(s.end), len(after)):], []byte{']'}); whole || len(number) > statusDigits {
		status, err := strconv.ParseUint(string(number), 10, 8)
		if !whole || err != nil {
			return errors.Join(s.pass(text), errors.New("the exit status of the command cannot be read"))
		}
		s.status, s.ended = int(status), true
		text, after = slices.Concat(text, rest), nil
	}
	s.held = bytes.Clone(after)
	return s.pass(text)
}

// Beginning is the length of the longest beginning of word at the end of text, other than
// all of it.
func Beginning(text, word []byte) int {
	for n := min(len(text), len(word)-1); n > 0; n-- {
		if bytes.HasSuffix(text, word[:n]) {
			return n
		}
	}
	return 0
}

func (s *Stream) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	s.held = nil
	return s.pass(held)
}

func (s *Stream) pass(p []byte) error {
	if s.to == nil || len(p) == 0 {
		return nil
	}
	_, err := s.to.Write(p)
	return err
}

// HasBegun reports whether the frame has begun on this stream.
func (s *Stream) HasBegun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *Stream) said(limit int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.before[max(0, len(s.before)-limit):])
}
