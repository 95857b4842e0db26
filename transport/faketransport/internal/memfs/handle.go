package memfs

import (
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/quorate-dev/quorate/transport"
)

// Handle is an open file. It is for one goroutine.
type Handle struct {
	// Append makes every Write go to the end.
	Append bool

	fs   *FS
	node *node
	at   int
}

// Write puts b where the last Write ended, as much as there is room for.
func (h *Handle) Write(b []byte) (int, error) {
	if h.Append {
		h.fs.mu.Lock()
		h.at = len(h.node.data)
		h.fs.mu.Unlock()
	}
	n, err := h.fs.write(h.node, h.at, b)
	h.at += n
	return n, err
}

// Read reads on where the last Read or Write ended.
func (h *Handle) Read(b []byte) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.at >= len(h.node.data) {
		return 0, io.EOF
	}
	n := copy(b, h.node.data[h.at:])
	h.at += n
	return n, nil
}

// Close has nothing to do.
func (h *Handle) Close() error { return nil }

// Truncate cuts the file to a size, or fills it up with zeros.
func (h *Handle) Truncate(size int) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if size <= len(h.node.data) {
		h.node.data = h.node.data[:size]
	} else {
		h.node.data = append(h.node.data, make([]byte, size-len(h.node.data))...)
	}
	h.fs.touch(h.node)
}

// Own sets the mode and owner that a transport.File asks for.
func (h *Handle) Own(file transport.File) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.node.mode = Permissions(file.Mode)
	return h.fs.own(h.node, file.Owner, file.Group)
}

// Permissions is the mode of a transport.File, whose zero means 0600.
func Permissions(m fs.FileMode) fs.FileMode {
	if m == 0 {
		return 0o600
	}
	return m
}

// Open reads a file as it is at this moment, or a device.
func (f *FS) Open(p string) (io.Reader, error) {
	if path.Clean(p) == "/dev/zero" {
		return zeros{}, nil
	}
	data, err := f.ReadFile(p)
	return strings.NewReader(string(data)), err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
