// Package frame separates a command's output from everything else that a host may
// print on the way to it: the greetings of login shells, the sentence of a
// nologin, the answer of a forced command, sudo's lecture. A command that has not
// begun its frame has not run, whatever status the host reports.
package frame

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

//go:embed scripts/announce.sh
var announceScript string

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

// Script is POSIX shell that opens the frame and becomes the command.
func Script(mark string, argv []string) string {
	return "set --" + Words(argv) + "\n" + Announce(mark)
}

// Announce is POSIX shell that opens the frame of the mark, which may be a
// parameter such as $0, and becomes the command "$@".
func Announce(mark string) string {
	return "mark=" + mark + "\n" + announceScript
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
	f.Stderr = &Stream{to: stderr, begin: []byte("[" + mark + " "), end: ']', opened: func() { f.once.Do(func() { close(f.begun) }) }}
	return f
}

// Begun is closed once the process ID is known: the process that becomes the
// command is there, and its standard input is read by nobody else.
func (f *Frame) Begun() <-chan struct{} { return f.begun }

// HasBegun reports whether both streams have begun, so that what the host
// answered is the command's.
func (f *Frame) HasBegun() bool { return f.Stdout.HasBegun() && f.Stderr.HasBegun() }

// PID is the command's process ID on the host, 0 while it is not known.
func (f *Frame) PID() int { return f.Stderr.number() }

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

// Stream passes on what is written to it from the frame's beginning on. It is
// safe for concurrent use.
type Stream struct {
	to     io.Writer
	begin  []byte
	end    byte // of the number after begin; 0 without one
	opened func()

	mu     sync.Mutex
	before []byte
	open   bool
	value  int
}

// digits is the most that a process ID has.
const digits = 10

// Write passes p on, or looks for the beginning in it.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		return s.pass(p)
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
	if len(rest) > 0 {
		if _, err := s.pass(rest); err != nil {
			return 0, err
		}
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
	if s.end != 0 {
		number, after, whole := bytes.Cut(rest, []byte{s.end})
		if !whole && len(number) <= digits {
			return nil, false, nil
		}
		value, err := strconv.ParseUint(string(number), 10, 31)
		if err != nil || value == 0 {
			return nil, false, errors.New("the process ID of the command cannot be read")
		}
		s.value = int(value)
		rest = after
	}
	rest = bytes.Clone(rest)
	s.before = s.before[:i]
	return rest, true, nil
}

func (s *Stream) pass(p []byte) (int, error) {
	if s.to == nil {
		return len(p), nil
	}
	return s.to.Write(p)
}

// HasBegun reports whether the frame has begun on this stream.
func (s *Stream) HasBegun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *Stream) number() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

func (s *Stream) said(limit int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.before[max(0, len(s.before)-limit):])
}
