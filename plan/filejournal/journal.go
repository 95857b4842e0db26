package filejournal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journal"
)

// Journal is a plan.Journal in a file. It has no state of its own and needs no
// closing: the file is opened by Begin until the session's End, and by Records
// while it is read. It is safe for concurrent use, also of several Journals with
// one path.
type Journal struct {
	// Path of the file. Required. It is made by the first Begin with mode 0600,
	// and its directory must be there, on a file system that has hard links.
	Path string
	// KeepRuns is how many runs are kept whole, and at least what earlier ones
	// left unfinished: see journal.NewTrim. Zero means journal.DefaultKeepRuns, a
	// negative number all. Begin removes the others.
	KeepRuns int

	// before, if set by a test, is called before each operation that changes
	// something on the disk.
	before func(op string)
}

// header is the first line of every file, by which another file is known for no
// journal. The version is that of the file's form, not of its records.
const header = `{"journal":"quorate.dev/plan","version":1}` + "\n"

// maxLine is the longest line that is read; a longer one is no record.
const maxLine = journal.MaxRecord + 1

// FormatError refuses a file that is no journal, or holds something between its
// records that is none. Nothing has been changed.
type FormatError struct {
	Path string
	// Offset of the line that is wrong, in bytes.
	Offset int64
	// Err says what is wrong with it.
	Err error
}

func (e *FormatError) Error() string {
	return termsafe.Indented(fmt.Sprintf("journal %s, at byte %d: %v: use another path, or move the file away", e.Path, e.Offset, e.Err))
}

// Unwrap returns what is wrong.
func (e *FormatError) Unwrap() error { return e.Err }

var (
	errNoJournal = errors.New("this is no journal of Quorate's")
	errTooLong   = errors.New("a line is longer than any record")
	errEnded     = errors.New("the session has ended")
)

// Begin takes the journal, or returns a *plan.LockedError, or a *FormatError for a
// file that is no journal: all of it is read before anything is changed. It makes
// the file if it is not there, and removes the record that a crash has cut off,
// old runs as KeepRuns says, and what processes that died have left beside it.
func (j *Journal) Begin(ctx context.Context, h plan.Holder) (plan.JournalSession, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	lock, err := acquire(ctx, j.Path+".lock", h, j.at)
	if err != nil {
		return nil, err
	}
	f, size, err := j.begin(ctx)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return &session{file: f, size: size, lock: lock, at: j.at}, nil
}

// begin opens the file for who has the lock, whole and not too long.
func (j *Journal) begin(ctx context.Context) (*os.File, int64, error) {
	t, err := j.examine(ctx)
	if err != nil {
		return nil, 0, err
	}
	f, size, err := j.openToAppend()
	if err != nil {
		return nil, 0, err
	}
	shorter, err := j.trim(ctx, f, t)
	if err != nil || !shorter {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
		return f, size, err
	}
	if err := f.Close(); err != nil {
		return nil, 0, err
	}
	return j.openToAppend()
}

// examine reads all of the file, changes nothing, and returns what a trim would
// remove.
func (j *Journal) examine(ctx context.Context) (*journal.Trim, error) {
	if j.KeepRuns >= 0 {
		return journal.NewTrim(j.Records(ctx), j.KeepRuns)
	}
	for _, err := range j.Records(ctx) {
		if err != nil {
			return nil, err
		}
	}
	return &journal.Trim{}, nil
}

// openToAppend opens the file, repaired, and returns its size.
func (j *Journal) openToAppend() (*os.File, int64, error) {
	if err := regular(j.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, err
	}
	j.at("open")
	f, err := os.OpenFile(j.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	size, err := j.repair(f)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

// regular refuses what opening would wait for or would not keep anything.
func regular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &FormatError{Path: path, Err: errNoJournal}
	}
	return err
}

// repair cuts off what a crash has left of a last line, and sees to it that the
// file has its header. It only ever removes what follows the last whole line,
// or a last line that is no JSON: a crash of the machine may have kept the end
// of a record and not its middle.
func (j *Journal) repair(f *os.File) (int64, error) {
	whole, err := wholeLines(f)
	if err != nil {
		return 0, err
	}
	if info, err := f.Stat(); err != nil {
		return 0, err
	} else if info.Size() != whole {
		j.at("truncate")
		if err := f.Truncate(whole); err != nil {
			return 0, err
		}
	}
	if whole == 0 {
		j.at("write the header")
		if _, err := f.WriteString(header); err != nil {
			return 0, err
		}
		whole = int64(len(header))
	}
	j.at("sync the file")
	if err := f.Sync(); err != nil {
		return 0, err
	}
	// A new file is kept only once its directory is.
	j.at("sync its directory")
	return whole, syncDir(filepath.Dir(f.Name()))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// wholeLines is where the last whole record ends: at least the header's end, or
// 0 if a crash has not let the header be written.
func wholeLines(f *os.File) (int64, error) {
	refuse := func(offset int64, err error) (int64, error) {
		return 0, &FormatError{Path: f.Name(), Offset: offset, Err: err}
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	begin := make([]byte, min(info.Size(), int64(len(header))))
	if _, err := f.ReadAt(begin, 0); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix([]byte(header), begin) {
		return refuse(0, errNoJournal)
	}
	if len(begin) < len(header) {
		return 0, nil
	}
	// The last whole line and what is left of another are found in this much;
	// more is not read of a file of any length.
	from := max(int64(len(header)), info.Size()-2*maxLine)
	tail := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil {
		return 0, err
	}
	end := bytes.LastIndexByte(tail, '\n') + 1
	start := bytes.LastIndexByte(tail[:max(0, end-1)], '\n') + 1
	if len(tail)-end > maxLine || start == 0 && from > int64(len(header)) {
		return refuse(from+int64(start), errTooLong)
	}
	if !json.Valid(tail[start:end]) {
		end = start
	}
	return from + int64(end), nil
}

// Records reads the file, one line at a time. A file that is not there is an
// empty journal. A *FormatError is a file that is no journal, or one with
// something in its middle that is no record.
func (j *Journal) Records(ctx context.Context) iter.Seq2[plan.Record, error] {
	return func(yield func(plan.Record, error) bool) {
		for l, err := range j.lines(ctx) {
			if err != nil {
				yield(plan.Record{}, err)
				return
			}
			if !yield(l.record, nil) {
				return
			}
		}
	}
}

// line is a record and its line in the file.
type line struct {
	record plan.Record
	// text holds until the next line is read.
	text []byte
}

// lines reads the file for Records.
func (j *Journal) lines(ctx context.Context) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		fail := func(err error) { yield(line{}, err) }
		if err := regular(j.Path); errors.Is(err, fs.ErrNotExist) {
			if err := context.Cause(ctx); err != nil {
				fail(err)
			}
			return
		} else if err != nil {
			fail(err)
			return
		}
		f, err := os.Open(j.Path)
		if err != nil {
			fail(err)
			return
		}
		defer func() { _ = f.Close() }() // it was only read
		l := lines{r: bufio.NewReaderSize(f, maxLine+1), path: j.Path}
		if err := l.header(); err != nil {
			if !errors.Is(err, io.EOF) {
				fail(err)
			}
			return
		}
		for {
			if err := context.Cause(ctx); err != nil {
				fail(err)
				return
			}
			next, err := l.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				fail(err)
				return
			case !yield(next, nil):
				return
			}
		}
	}
}

// lines reads a journal; io.EOF is its end, whether a crash has cut it or not.
type lines struct {
	r      *bufio.Reader
	path   string
	offset int64
}

func (l *lines) refuse(err error) error {
	return &FormatError{Path: l.path, Offset: l.offset, Err: err}
}

// line returns the next whole line.
func (l *lines) line() ([]byte, error) {
	b, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, l.refuse(errTooLong)
	}
	return b, err
}

func (l *lines) header() error {
	b, err := l.line()
	switch {
	case errors.Is(err, io.EOF) && bytes.HasPrefix([]byte(header), b):
		return io.EOF
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case string(b) != header:
		return l.refuse(errNoJournal)
	}
	l.offset = int64(len(b))
	return nil
}

func (l *lines) next() (line, error) {
	b, err := l.line()
	if err != nil {
		return line{}, err
	}
	r, err := journal.ParseRecord(b)
	if err != nil {
		// The last line may be what is left of a record, with its end.
		if !json.Valid(b) && l.last() {
			return line{}, io.EOF
		}
		return line{}, l.refuse(err)
	}
	l.offset += int64(len(b))
	return line{r, b}, nil
}

// last reports whether no whole line follows.
func (l *lines) last() bool {
	_, err := l.r.ReadSlice('\n')
	return errors.Is(err, io.EOF)
}

// session is the file while a run has it.
type session struct {
	mu   sync.Mutex
	file *os.File
	size int64
	lock *lock
	at   func(op string)
	// broken is why the file is no longer written to.
	broken error
}

// Append writes a record and synchronises it. Neither is cut short by ctx: a
// disk that does not answer holds the step. When the disk refuses, what was
// written is removed; should that fail too, or the disk not say whether it
// has the record, the session is broken, and every Append after it fails.
func (s *session) Append(ctx context.Context, r plan.Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if b = termsafe.JSON(b); len(b) > journal.MaxRecord {
		return fmt.Errorf("a record of %d bytes is longer than %d", len(b), journal.MaxRecord)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.at("append")
	if _, err := s.file.Write(append(b, '\n')); err != nil {
		if cut := s.file.Truncate(s.size); cut != nil {
			s.broken = errors.Join(err, cut)
		}
		return err
	}
	s.at("sync the record")
	if err := s.file.Sync(); err != nil {
		// What a failed synchronisation has kept cannot be known, and a second
		// one would not show.
		s.broken = err
		return err
	}
	s.size += int64(len(b)) + 1
	return nil
}

// Lost is nil: the lock lasts as long as this process.
func (*session) Lost() <-chan error { return nil }

// End closes the file and releases the lock.
func (s *session) End(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := errors.Join(s.file.Close(), s.lock.release())
	s.lock, s.broken = nil, errEnded
	return err
}
