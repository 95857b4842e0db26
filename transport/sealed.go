package transport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"
	"sync"
)

// sealedReader reads r's bytes followed by their SHA-256 in hex and a newline,
// so that the host can distinguish a whole stream from one that a broken connection
// cut short. If r fails or ctx ends, the hash is never sent.
type sealedReader struct {
	ctx  context.Context //nolint:containedctx // lives as long as the upload
	r    io.Reader
	hash hash.Hash
	tail io.Reader

	mu  sync.Mutex
	err error
}

func seal(ctx context.Context, r io.Reader) *sealedReader {
	return &sealedReader{ctx: ctx, r: r, hash: sha256.New()}
}

func (s *sealedReader) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if s.tail != nil {
		return s.tail.Read(p)
	}
	n, err := s.r.Read(p)
	s.hash.Write(p[:n])
	if errors.Is(err, io.EOF) {
		s.tail = strings.NewReader(hex.EncodeToString(s.hash.Sum(nil)) + "\n")
		return n, nil
	}
	if err != nil {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	return n, err
}

// failure is what r failed with.
func (s *sealedReader) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
