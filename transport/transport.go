package transport

import (
	"context"
	"io"
	"io/fs"
)

// Transport reaches hosts. Implementations are safe for concurrent use.
type Transport interface {
	// Dial connects to the host of that name. What a name means is the
	// transport's matter: ssh looks it up among its targets and otherwise
	// takes it as an address. The ctx bounds the dialling only, not the Conn.
	// A failure is a *DialError, unless ctx ended.
	Dial(ctx context.Context, host string) (Conn, error)
}

// Conn is a connection to one host, safe for concurrent use. Whoever wraps one
// reads Wrapper. Package transporttest checks what an implementation has to keep to:
//
//   - Argv arrives as it is, each byte of each word; ValidateArgv refuses what no host
//     takes. A program that is not there is exit status 127.
//   - Stdout and Stderr hold what the command printed, whole, and nothing else: no
//     greeting of a login shell, no prompt. A host that answered and did not run
//     the command is a *NotStartedError, whatever status it reported.
//   - Any number of commands may run at once: those that a host has no room for wait.
//   - A command that is to end (ctx has ended, Close was called, a writer of its
//     output failed) gets SIGTERM, with all of its process group, and SIGKILL if it
//     has not ended after a time of grace.
//   - After Close, every call is a *DialError with reason Lost that wraps
//     net.ErrClosed, and so is every call that Close has ended. Other Conns to the
//     host go on.
//   - Every call returns soon after its ctx has ended, whatever the host does, and
//     nothing that a host sends takes more than a bounded amount of memory.
type Conn interface {
	// Run starts a command and waits until it has ended and its output is
	// delivered. It returns nil for exit status 0, an *ExitError for any other
	// end of the command, a *NotStartedError when something else answered in its
	// place, and a *DialError when the connection was lost. When ctx ends first the
	// command is ended, and the error wraps ctx's; it is a *StillRunningError if
	// the host has not said that the command ended. A writer that fails ends the command
	// too. Stdin is read until it ends or the command does.
	Run(ctx context.Context, c Cmd) error
	// Close ends the connection and whatever still runs over it. It may be
	// called more than once.
	Close() error
}

// Cmd is a command to run. Secrets travel by Stdin, never in Argv, which
// events and errors show.
type Cmd struct {
	// Argv is the program and its arguments, passed on exactly as they are:
	// no shell expands them.
	Argv []string
	// Stdin is empty when nil.
	Stdin io.Reader
	// Stdout and Stderr receive the output; nil discards it. An *ExitError
	// carries the end of the standard error either way.
	Stdout, Stderr io.Writer
	// Kill returns the command that sends a signal ("TERM", "KILL") to a process
	// group of the host, when this command is to end before it has by itself. nil
	// means kill with the rights of the Conn's own user. A decorator that runs
	// commands as another user sets it, since that user's processes take no signal from
	// the Conn's. It is called from another goroutine than Run's, also after Run has returned.
	Kill func(signal string, group int) Cmd
}

// Filer is the ability to read and write whole files in few round trips. A
// Filer is safe for concurrent use.
type Filer interface {
	// Stat describes the files at the paths, in their order, in one round
	// trip. A path that does not exist has Exists false and is no error.
	Stat(ctx context.Context, paths ...string) ([]FileInfo, error)
	// Read returns the content of one regular file, at most limit bytes
	// (a larger file is an error). A file that is not there is an error that
	// wraps fs.ErrNotExist.
	Read(ctx context.Context, path string, limit int64) ([]byte, error)
	// Write puts the files in place in one round trip: each is written beside
	// its path under a temporary name that only its owner may read from its
	// first byte, then gets its mode and owner, is synced and renamed, so that a
	// reader sees the old file or the new one, whole. Missing parent directories
	// are made with mode 0755. Files are replaced in this order; at the
	// first failure the rest is left alone and no temporary file remains.
	Write(ctx context.Context, files ...File) error
	// Upload is Write for one large file, streamed from r.
	Upload(ctx context.Context, f File, r io.Reader) error
	// Remove deletes files; one that is not there is no error.
	Remove(ctx context.Context, paths ...string) error
}

// File is a file to write. It is a type of its own beside quorate.File for two
// reasons: transports import nothing that knows a cluster, and a file on its way
// to a host can have defaults of that host (the owner that its user has) that a
// file of a description must not have.
type File struct {
	// Path is absolute and clean.
	Path string
	// Mode holds permission bits; 0 means 0600.
	Mode fs.FileMode
	// Owner and Group are names or numbers on the host; empty leaves those that
	// a new file of the command's user has.
	Owner, Group string
	// Data is the content; unused by Upload. It never appears in a command
	// line, an error or a formatted File.
	Data Data
}

// FileInfo is what Stat found at a path.
type FileInfo struct {
	Path   string
	Exists bool
	// Dir reports a directory; the fields below it describe regular files.
	Dir          bool
	Mode         fs.FileMode
	Owner, Group string
	Size         int64
	// SHA256 of a regular file's content.
	SHA256 [32]byte
}
