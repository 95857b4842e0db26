// Package capped has a buffer for what a host sends, which keeps a bounded part of it.
package capped

import "bytes"

// Output bounds what one command's output may take in memory.
const Output = 16 << 20

// Buffer keeps the first limit bytes and swallows the rest, so that a command
// that floods its output still ends.
type Buffer struct {
	Bytes bytes.Buffer
	Limit int
	Over  bool
}

func (l *Buffer) Write(p []byte) (int, error) {
	room := l.Limit - l.Bytes.Len()
	if len(p) > room {
		l.Over = true
		l.Bytes.Write(p[:room])
		return len(p), nil
	}
	return l.Bytes.Write(p)
}
