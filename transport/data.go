package transport

import (
	"bytes"
	"fmt"
)

// Data is the content of a File. It is opaque to fmt and to encoders: a
// transport cannot know which files are secret, so it shows none. The zero
// Data is empty.
type Data struct {
	// Behind two pointers, as in quorate.Content: where fmt reaches past Format
	// through an unexported field it prints an address, but the verbs that do
	// not suit a pointer (%s, %q) follow the first one.
	held *held
}

type held struct{ bytes *[]byte }

// Bytes holds a copy of b.
func Bytes(b []byte) Data {
	c := bytes.Clone(b)
	return Data{&held{&c}}
}

// Bytes gives a copy of the content.
func (d Data) Bytes() []byte { return bytes.Clone(d.raw()) }

// Len is the number of bytes.
func (d Data) Len() int { return len(d.raw()) }

func (d Data) raw() []byte {
	if d.held == nil {
		return nil
	}
	return *d.held.bytes
}

// String gives the size only.
func (d Data) String() string { return fmt.Sprintf("[%d bytes]", d.Len()) }

// Format makes every verb print what String gives.
func (d Data) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(d.String())) }

// MarshalText writes what String gives.
func (d Data) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
