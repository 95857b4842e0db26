package hafixture

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"sync/atomic"

	"github.com/quorate-dev/quorate/plan/ha/software"
)

// Source is content that a test pushes; it knows how often it was opened and
// whether it was closed as often.
type Source struct {
	Text           string
	Opened, Closed atomic.Int32 // hosts are sent to side by side
}

// Open counts what is opened.
func (s *Source) Open() (io.ReadCloser, error) {
	s.Opened.Add(1)
	return struct {
		io.Reader
		io.Closer
	}{strings.NewReader(s.Text), closer(func() error { s.Closed.Add(1); return nil })}, nil
}

type closer func() error

func (c closer) Close() error { return c() }

// Payload is the text as a file at a path.
func (s *Source) Payload(path string) software.Payload {
	sum := sha256.Sum256([]byte(s.Text))
	return software.Payload{Path: path, SHA256: hex.EncodeToString(sum[:]), Open: s.Open}
}

const ArchivePath = "/var/lib/quorate/images/node.tar"

// Archive is an archive of images of these names.
func Archive(names ...string) (*Source, software.ImageArchive) {
	s := &Source{Text: strings.Join(names, "\n")}
	return s, software.ImageArchive{Payload: s.Payload(ArchivePath), Names: names}
}
