package quorate

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/quorate-dev/quorate/internal/secret"
)

// Content is the bytes of a file, or a secret on its way to a host. Content
// made by Sensitive never shows its bytes in any formatted or marshalled form,
// at any depth of any value that holds it; only Bytes returns them. The zero
// Content is public and empty. A Content is immutable and safe for concurrent
// use. Equal and reflect.DeepEqual compare what is held, == does not.
type Content struct{ held *held }

type held struct {
	public []byte
	// secret holds the bytes if they are sensitive.
	secret    secret.Bytes
	sensitive bool
}

// Public holds a copy of bytes that anyone may see.
func Public(b []byte) Content { return Content{&held{public: bytes.Clone(b)}} }

// Sensitive holds a copy of bytes that no output may show.
func Sensitive(b []byte) Content { return Content{&held{secret: secret.New(b), sensitive: true}} }

// Bytes returns a copy of the content, also of sensitive content: calling it
// is taking charge of the secret.
func (c Content) Bytes() []byte { return bytes.Clone(c.raw()) }

// Len is the number of bytes held.
func (c Content) Len() int {
	if c.held == nil {
		return 0
	}
	return len(c.held.public) + c.held.secret.Len()
}

// IsSensitive reports whether the content was made by Sensitive.
func (c Content) IsSensitive() bool { return c.held != nil && c.held.sensitive }

// Equal reports whether both hold the same bytes and are equally sensitive.
func (c Content) Equal(o Content) bool {
	return c.IsSensitive() == o.IsSensitive() && bytes.Equal(c.raw(), o.raw())
}

// SHA256 is the hash of the bytes, for comparing them with what a host has. A
// hash of sensitive content is for comparing, not for showing: the bytes of a
// short secret can be guessed from it.
func (c Content) SHA256() [sha256.Size]byte { return sha256.Sum256(c.raw()) }

// raw may share public bytes with c.
func (c Content) raw() []byte {
	switch {
	case c.held == nil:
		return nil
	case c.held.sensitive:
		return c.held.secret.Reveal()
	}
	return c.held.public
}

// String returns public content as text and a placeholder for sensitive content.
func (c Content) String() string {
	if c.IsSensitive() {
		return "[sensitive]"
	}
	return string(c.raw())
}

// Format makes every verb of fmt print what String returns, %x and %#v included.
func (c Content) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		_, _ = fmt.Fprintf(f, "%q", c.String())
		return
	}
	_, _ = f.Write([]byte(c.String()))
}

// MarshalText writes what String returns: marshalling never reveals a secret,
// and so does not round-trip one.
func (c Content) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue keeps sensitive content out of structured logs.
func (c Content) LogValue() slog.Value { return slog.StringValue(c.String()) }

// File is one file as a host shall have it. transport.File is its counterpart
// among packages that know no description: see there.
type File struct {
	// Path is absolute on the host, slash-separated and clean.
	Path string
	// Mode holds the permission bits. Sensitive content wants 0600 or less.
	Mode fs.FileMode
	// Owner and Group are names on the host; empty means root.
	Owner, Group string
	Content      Content
}

// Artifact is anything that becomes files on a host: a keepalived
// configuration, an etcd member, a node's certificates.
type Artifact interface {
	// Files returns the files, ordered by path, or an error that names what is
	// wrong with the artifact. It does no I/O: same artifact, same bytes.
	Files() ([]File, error)
}
