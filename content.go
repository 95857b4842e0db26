package quorate

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
)

// Content is the bytes of a file, or a secret on its way to a host. Content
// made by Sensitive never shows its bytes in any formatted or marshalled form,
// at any depth of any value that holds it; only Bytes gives them. The zero
// Content is public and empty. A Content is immutable and safe for concurrent
// use.
type Content struct {
	// The bytes stand behind two pointers because fmt prints what unexported
	// fields hold without asking the type's own methods. A pointer below the
	// top level is printed as an address, but the verbs that do not suit a
	// pointer (%s, %q) follow it once before that.
	held *held
}

type held struct {
	bytes     *[]byte
	sensitive bool
}

func hold(b []byte, sensitive bool) Content {
	b = bytes.Clone(b)
	return Content{&held{&b, sensitive}}
}

// Public holds a copy of bytes that anyone may see.
func Public(b []byte) Content { return hold(b, false) }

// Sensitive holds a copy of bytes that no output may show.
func Sensitive(b []byte) Content { return hold(b, true) }

// Bytes returns a copy of the content, also of sensitive content: calling it
// is taking charge of the secret.
func (c Content) Bytes() []byte {
	if c.held == nil {
		return nil
	}
	return bytes.Clone(*c.held.bytes)
}

// Len is the number of bytes held.
func (c Content) Len() int {
	if c.held == nil {
		return 0
	}
	return len(*c.held.bytes)
}

// IsSensitive reports whether the content was made by Sensitive.
func (c Content) IsSensitive() bool { return c.held != nil && c.held.sensitive }

// Equal reports whether both hold the same bytes and are equally sensitive.
func (c Content) Equal(o Content) bool {
	return c.IsSensitive() == o.IsSensitive() && bytes.Equal(c.raw(), o.raw())
}

// SHA256 is the hash of the bytes, for telling whether a host has them. A hash
// of sensitive content is for comparing, not for showing: the bytes of a short
// secret can be guessed from it.
func (c Content) SHA256() [sha256.Size]byte { return sha256.Sum256(c.raw()) }

func (c Content) raw() []byte {
	if c.held == nil {
		return nil
	}
	return *c.held.bytes
}

// String gives public content as text and a placeholder for sensitive content.
func (c Content) String() string {
	if c.IsSensitive() {
		return "[sensitive]"
	}
	return string(c.raw())
}

// Format makes every verb of fmt print what String gives, %x and %#v included.
func (c Content) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		_, _ = fmt.Fprintf(f, "%q", c.String())
		return
	}
	_, _ = f.Write([]byte(c.String()))
}

// MarshalText writes what String gives: marshalling never reveals a secret,
// and so does not round-trip one.
func (c Content) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue keeps sensitive content out of structured logs.
func (c Content) LogValue() slog.Value { return slog.StringValue(c.String()) }

// File is one file as it shall stand on a host.
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
	// Files gives the files, ordered by path, or an error that names what is
	// wrong with the artifact. It does no I/O: same artifact, same bytes.
	Files() ([]File, error)
}
