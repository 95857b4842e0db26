package pki

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/quorate-dev/quorate"
)

const (
	saKeyPath = "service-account/sa.key"
	saPubPath = "service-account/sa.pub"
)

func caCertPath(name AuthorityName) string { return string(name) + "/ca.crt" }
func caKeyPath(name AuthorityName) string  { return string(name) + "/ca.key" }

// Store returns the bundle as files to keep, ordered by path, in the layout that
// the package comment shows. Paths are relative: their directory is the
// caller's choice. The keys are sensitive and 0600; whoever has them can act as
// the cluster. The key of an authority that the user brought is not among them.
// Load of these files returns the same bundle, and its Store the same bytes.
func (b *Bundle) Store() []quorate.File {
	h, err := b.get()
	if err != nil {
		return nil
	}
	var files []quorate.File
	add := func(public bool, path string, content []byte) {
		f := quorate.File{Path: path, Mode: 0o600, Content: quorate.Sensitive(content)}
		if public {
			f = quorate.File{Path: path, Mode: 0o644, Content: quorate.Public(content)}
		}
		files = append(files, f)
	}
	for _, a := range authorities {
		ca := h.ca[a.name]
		add(true, caCertPath(a.name), encodeCerts(ca.all()))
		if ca.key != nil && !h.brought[a.name] {
			add(false, caKeyPath(a.name), ca.key.pem.Reveal())
		}
	}
	add(true, saPubPath, h.serviceAccount.publicPEM)
	add(false, saKeyPath, h.serviceAccount.key.pem.Reveal())
	for _, s := range h.specs {
		leaf := h.leaves[s.name()]
		add(true, s.name()+".crt", encodeCerts(leaf.all()))
		add(false, s.name()+".key", leaf.key.pem.Reveal())
	}
	return byPath(files...)
}

// stored is what a store holds, by path; a path that is not in it is missing.
type stored map[string][]byte

func (s stored) has(path string) bool {
	_, ok := s[path]
	return ok
}

// maxStoredFile is far above the largest chain and keeps a wrong file out of
// memory's and messages' way.
const maxStoredFile = 1 << 20

// readStore reads the files of a bundle. The error joins one for every file that
// cannot be read.
func readStore(files fs.FS, specs []leafSpec) (stored, error) {
	paths := []string{saKeyPath, saPubPath}
	for _, a := range authorities {
		paths = append(paths, caCertPath(a.name), caKeyPath(a.name))
	}
	for _, s := range specs {
		paths = append(paths, s.name()+".crt", s.name()+".key")
	}
	found := stored{}
	var errs []error
	for _, path := range paths {
		content, err := readStored(files, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			errs = append(errs, &FileError{path, err})
		default:
			found[path] = content
		}
	}
	return found, errors.Join(errs...)
}

// readStored looks at a file before it opens it, since opening a pipe would wait
// for who writes to it, and reads no more of it than a bundle's file may have.
func readStored(files fs.FS, path string) ([]byte, error) {
	info, err := fs.Stat(files, path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("is no regular file (%s)", info.Mode())
	}
	if info.Size() > maxStoredFile {
		return nil, errTooLarge
	}
	f, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxStoredFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(content) > maxStoredFile {
		return nil, errTooLarge
	}
	return content, nil
}

var errTooLarge = fmt.Errorf("more than %d bytes are too many for certificates", maxStoredFile)

// orphans lists the nodes of a store that are no control planes of the cluster.
// A store that cannot list has none.
func orphans(files fs.FS, c quorate.Cluster) []string {
	entries, err := fs.ReadDir(files, "nodes")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if n, ok := c.Node(e.Name()); !ok || n.Role != quorate.ControlPlane {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// noFiles is an empty store.
type noFiles struct{}

func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// pair reads a certificate and its key.
func (s stored) pair(certPath, keyPath string) (*pair, error) {
	certs, err := parseCerts(s[certPath])
	if err != nil {
		return nil, &FileError{certPath, err}
	}
	p := &pair{cert: certs[0], chain: certs[1:]}
	keyPEM, ok := s[keyPath]
	if !ok {
		return p, nil
	}
	if p.key, err = parseKey(keyPEM); err != nil {
		return nil, &FileError{keyPath, err}
	}
	if !sameKey(p.cert.PublicKey, p.key.Public()) {
		return nil, &FileError{keyPath, fmt.Errorf("the key does not belong to the certificate %s", certPath)}
	}
	return p, nil
}
