package transport

import (
	"fmt"

	"github.com/quorate-dev/quorate/internal/secret"
)

// Data is bytes that output does not show: a file's content, a command's
// input, a password, a private key. It is opaque to fmt, to encoders and to
// whatever walks it by reflection, always, where quorate.Content shows what is
// public: a transport cannot know which bytes are secret, and never prints any.
// That is why there are two types. The zero Data is empty. A Data is immutable
// and safe for concurrent use.
type Data struct{ held secret.Bytes }

// Bytes holds a copy of b.
func Bytes(b []byte) Data { return Data{secret.New(b)} }

// Bytes returns a copy of the content.
func (d Data) Bytes() []byte { return d.held.Reveal() }

// Len is the number of bytes.
func (d Data) Len() int { return d.held.Len() }

// String returns the size only.
func (d Data) String() string { return fmt.Sprintf("[%d bytes]", d.Len()) }

// Format makes every verb print what String returns.
func (d Data) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(d.String())) }

// MarshalText writes what String returns.
func (d Data) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
