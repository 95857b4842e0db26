// Package secret holds what no printer may show. The types that keep methods
// such as Format for themselves are not enough: fmt prints what unexported
// fields hold without asking a type's methods, and spew, with which testify
// shows differences, follows every pointer and calls no method at all. What is
// held here is not to be found by walking a value.
//
// This protects from output, not from a reader of the process's memory.
package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
)

// Bytes holds bytes that only Reveal returns. Whatever walks it finds them
// sealed under a key that only this process has. Equal bytes are sealed
// equally, so that reflect.DeepEqual, and what tests build on it, compares what
// is held. The zero Bytes is empty. It is immutable and safe for concurrent use.
type Bytes struct {
	// A pointer, because fmt prints one below the top level as an address.
	held *sealed
}

type sealed struct {
	iv   [aes.BlockSize]byte
	text []byte
}

// seal is the key of this process and what seals under it.
type seal struct {
	block cipher.Block
	mac   []byte
}

var theSeal = sync.OnceValue(func() seal {
	var key [64]byte
	_, _ = rand.Read(key[:]) // never fails, by its documentation
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	return seal{block, key[32:]}
})

// iv depends on the bytes alone: what differs is sealed under different streams.
func (s seal) iv(b []byte) (iv [aes.BlockSize]byte) {
	h := hmac.New(sha256.New, s.mac)
	h.Write(b)
	copy(iv[:], h.Sum(nil))
	return iv
}

func (s seal) apply(iv [aes.BlockSize]byte, text []byte) []byte {
	out := make([]byte, len(text))
	cipher.NewCTR(s.block, iv[:]).XORKeyStream(out, text)
	return out
}

// New holds a copy of b.
func New(b []byte) Bytes {
	if len(b) == 0 {
		return Bytes{}
	}
	s := theSeal()
	iv := s.iv(b)
	return Bytes{&sealed{iv, s.apply(iv, b)}}
}

// Reveal returns a copy of what is held, nil if that is empty.
func (b Bytes) Reveal() []byte {
	if b.held == nil {
		return nil
	}
	return theSeal().apply(b.held.iv, b.held.text)
}

// Len is the number of bytes held.
func (b Bytes) Len() int {
	if b.held == nil {
		return 0
	}
	return len(b.held.text)
}

// Equal reports whether both hold the same bytes.
func (b Bytes) Equal(o Bytes) bool {
	if b.held == nil || o.held == nil {
		return b.held == o.held
	}
	return b.held.iv == o.held.iv && bytes.Equal(b.held.text, o.held.text)
}

const placeholder = "[secret]"

// String returns a placeholder.
func (Bytes) String() string { return placeholder }

// Format prints the placeholder for every verb.
func (Bytes) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// MarshalText writes the placeholder.
func (Bytes) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// Value holds a value that only Reveal returns, such as a private key: whatever
// walks it finds an address. Two Values are equal, by == and by
// reflect.DeepEqual, if one is a copy of the other. The zero Value holds T's
// zero value. It is immutable and, if T is, safe for concurrent use.
type Value[T any] struct{ held *held[T] }

// held has an unsafe.Pointer where fmt and spew would follow an ordinary one.
type held[T any] struct{ at atomic.Pointer[T] }

// Hide holds v.
func Hide[T any](v T) Value[T] {
	h := new(held[T])
	h.at.Store(&v)
	return Value[T]{h}
}

// Reveal returns what is held.
func (v Value[T]) Reveal() T {
	if v.held == nil {
		var zero T
		return zero
	}
	return *v.held.at.Load()
}

// String returns a placeholder.
func (Value[T]) String() string { return placeholder }

// Format prints the placeholder for every verb.
func (Value[T]) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// MarshalText writes the placeholder.
func (Value[T]) MarshalText() ([]byte, error) { return []byte(placeholder), nil }
