package statedir

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/filejournal"
	"github.com/quorate-dev/quorate/plan/internal/filelock"
	"github.com/quorate-dev/quorate/vip"
)

// Config is how a directory is completed. The zero Config is ready to use.
type Config struct {
	// PKI is how certificates are issued; authorities of one's own are set here,
	// at every Load.
	PKI pki.Config
	// Rand is where the token and the password come from. Default
	// crypto/rand.Reader.
	Rand io.Reader
	// Wait is how long to wait for another program that reads or writes the
	// directory. Default 10s.
	Wait time.Duration

	// For tests: what is called before each change of the disk, and no exchange of
	// names.
	before func(op string) error
	apart  bool
}

const (
	defaultWait = 10 * time.Second
	poll        = 20 * time.Millisecond
)

// State is what the directory of a cluster holds. Only the contents' own Bytes and
// the bundle's files show a secret.
type State struct {
	Certs *pki.Bundle
	// Token is the bootstrap token, for kubeadm.Secrets.
	Token quorate.Content
	// VIPAuth is keepalived's password. It is there for every cluster; one whose
	// endpoint is external, or whose VRRP has no password, does not use it.
	VIPAuth quorate.Content
	// Changes are the certificates that this Load has issued, and the nodes in the
	// directory that are no longer the cluster's; their files stay.
	Changes pki.Changes
}

// The files in DIR/cluster.
const (
	pkiDir    = "pki"
	tokenFile = "token"
	authFile  = "vip-auth"
)

// Load reads the state of a cluster from a directory. An empty directory, or one
// that is not there, becomes one: authorities, certificates, token and password
// are made and kept before Load returns them. Of a directory that holds a state
// nothing is made again but the certificates that pki.Load issues; a part that is
// missing is refused.
//
// Errors are an *AccessError for a directory that others can write to, a *FileError
// for a file that is missing or cannot be used, a *LockedError, and those of
// pki.Load, joined where there are several. Load may be called at the same time by
// any number of programs on one machine; ctx ends the wait for others.
func Load(ctx context.Context, dir string, c quorate.Cluster, cfg Config) (*State, error) {
	var s *State
	err := cfg.update(ctx, dir, func(files fs.FS, present bool) ([]quorate.File, error) {
		var err error
		var changed []quorate.File
		s, changed, err = cfg.load(dir, files, present, c)
		return changed, err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// New makes the state of a cluster and keeps it nowhere, for a rehearsal. Errors
// are those of pki.New.
func New(c quorate.Cluster, cfg Config) (*State, error) {
	s, _, err := cfg.load("", nothing{}, false, c)
	return s, err
}

// nothing is a directory without files.
type nothing struct{}

func (nothing) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Update replaces or adds files of a state in one step: whenever the program dies,
// all or none of them are there. change gets the files below DIR/cluster to read
// while nobody else writes them, and returns those to write, with paths below
// DIR/cluster; no file, and files that are there already, change nothing. It is for
// what Load does not do, such as a new authority. Errors are those of Load, and
// change's own.
func Update(ctx context.Context, dir string, cfg Config, change func(files fs.FS) ([]quorate.File, error)) error {
	return cfg.update(ctx, dir, func(files fs.FS, _ bool) ([]quorate.File, error) { return change(files) })
}

// Journal is the journal of runs in a state directory, for plan.Runner. The
// directory must be there: Load comes first.
func Journal(dir string) *filejournal.Journal {
	return &filejournal.Journal{Path: filepath.Join(dir, "journal.jsonl")}
}

func (cfg Config) update(ctx context.Context, dir string, change func(files fs.FS, present bool) ([]quorate.File, error)) (err error) {
	d, unlock, err := cfg.open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := d.recover(); err != nil {
		return fmt.Errorf("state directory %s: complete what an earlier run has begun: %w", dir, err)
	}
	present, err := d.exists(current)
	if err != nil {
		return err
	}
	var there []entry
	if present {
		there, err = d.list()
	} else {
		err = d.checkEmpty()
	}
	if err != nil {
		return err
	}
	files, err := fs.Sub(d.root.FS(), current)
	if err != nil {
		return err
	}
	changed, err := change(files, present)
	if err != nil {
		return err
	}
	return d.write(there, changed)
}

// checkEmpty refuses to make a state where there was one.
func (d *disk) checkEmpty() error {
	names, err := d.strangers()
	if err != nil || len(names) == 0 {
		return err
	}
	return &FileError{d.path(current), fmt.Errorf(
		"missing beside %s: whoever trusts the lost authorities would be cut off by new ones. Restore it from a backup; for a new cluster use an empty directory",
		strings.Join(names, ", "))}
}

// write commits the files that differ from those that are there, with the others.
func (d *disk) write(there []entry, changed []quorate.File) error {
	files := map[string]quorate.File{}
	for _, e := range there {
		b, err := d.read(e.path)
		if err != nil {
			return &FileError{d.path(current + "/" + e.path), err}
		}
		files[e.path] = quorate.File{Mode: e.mode, Content: quorate.Sensitive(b)}
	}
	differ := false
	for _, f := range changed {
		if !fs.ValidPath(f.Path) || f.Path == "." {
			return fmt.Errorf("state directory %s: %q is no path below %s", d.dir, f.Path, current)
		}
		if f.Content.Len() > maxFile {
			return &FileError{d.path(current + "/" + f.Path), fmt.Errorf("more than %d bytes are not to be kept", maxFile)}
		}
		old, found := files[f.Path]
		differ = differ || !found || !bytes.Equal(old.Content.Bytes(), f.Content.Bytes())
		files[f.Path] = f
	}
	if !differ {
		return nil
	}
	if err := d.commit(files); err != nil {
		return fmt.Errorf("state directory %s: nothing has been changed: %w", d.dir, err)
	}
	return nil
}

// open locks a directory, and makes it if it is not there.
func (cfg Config) open(ctx context.Context, dir string) (*disk, func() error, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, nil, err
	}
	if dir == "" {
		return nil, nil, errors.New("state directory: the path is empty")
	}
	d := &disk{dir: dir, before: cfg.before, apart: cfg.apart}
	if err := d.make(); err != nil {
		return nil, nil, err
	}
	if err := checkTop(dir); err != nil {
		return nil, nil, err
	}
	var err error
	if d.root, err = os.OpenRoot(dir); err != nil {
		return nil, nil, err
	}
	lock, err := cfg.lock(ctx, d)
	if err != nil {
		return nil, nil, errors.Join(err, d.root.Close())
	}
	return d, func() error { return errors.Join(lock.Close(), d.root.Close()) }, nil
}

// make makes the directory if it is not there.
func (d *disk) make() error {
	if _, err := os.Stat(d.dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.step("mkdir", "."); err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(filepath.Clean(d.dir)))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// lock locks the directory's lock, a file that stays.
func (cfg Config) lock(ctx context.Context, d *disk) (*os.File, error) {
	if err := d.step("create", lockName); err != nil {
		return nil, err
	}
	if info, err := d.root.Lstat(lockName); err == nil && !info.Mode().IsRegular() {
		return nil, &FileError{d.path(lockName), errors.New("is no regular file: remove it")}
	}
	f, err := d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	wait := cmp.Or(cfg.Wait, defaultWait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		locked, err := filelock.Try(f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if locked {
			return f, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.Close())
		case <-timer.C:
			return nil, errors.Join(&LockedError{d.dir, wait}, f.Close())
		case <-tick.C:
		}
	}
}

// load makes a State of the files, and returns the files that are new.
func (cfg Config) load(dir string, files fs.FS, present bool, c quorate.Cluster) (*State, []quorate.File, error) {
	random := cfg.Rand
	if random == nil {
		random = rand.Reader
	}
	s := &State{}
	var made []quorate.File
	secret := func(name string, create func(io.Reader) (quorate.Content, error), check func(string) error) (quorate.Content, error) {
		path := filepath.Join(dir, current, name)
		b, err := fs.ReadFile(files, name)
		switch {
		case !present:
			content, err := create(random)
			made = append(made, quorate.File{Path: name, Mode: 0o600, Content: content})
			return content, err
		case errors.Is(err, fs.ErrNotExist):
			return quorate.Content{}, &FileError{path, errors.New("missing: restore it from a backup, or write another there if the hosts are to have another")}
		case err != nil:
			return quorate.Content{}, &FileError{path, err}
		}
		text := strings.TrimRight(string(b), "\r\n")
		if err := check(text); err != nil {
			return quorate.Content{}, &FileError{path, err}
		}
		return quorate.Sensitive([]byte(text)), nil
	}
	var tokenErr, authErr error
	s.Token, tokenErr = secret(tokenFile, kubeadm.NewToken, func(text string) error {
		_, err := kubeadm.ParseToken(text)
		return err
	})
	s.VIPAuth, authErr = secret(authFile, vip.NewAuth, func(text string) error {
		if len(text) == 0 || len(text) > 8 || strings.ContainsAny(text, "\r\n\x00") {
			return errors.New("want a password of 1 to 8 characters (not shown here: it is a secret)")
		}
		return nil
	})
	certs := func() error {
		store, err := fs.Sub(files, pkiDir)
		if err != nil {
			return err
		}
		// pki.Load takes a directory without any of its files for a new one.
		const authority = pkiDir + "/kubernetes/ca.crt"
		if _, err := fs.Stat(files, authority); present && errors.Is(err, fs.ErrNotExist) && !cfg.PKI.MakeMissingAuthorities {
			return &FileError{filepath.Join(dir, current, authority), errors.New("missing: whoever trusts the lost authority would be cut off by a new one; restore it from a backup")}
		}
		if s.Certs, s.Changes, err = pki.Load(store, c, cfg.PKI); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, current, pkiDir), err)
		}
		return nil
	}
	certsErr := certs()
	if err := errors.Join(certsErr, tokenErr, authErr); err != nil {
		return nil, nil, err
	}
	if len(s.Changes.Issued) > 0 {
		for _, f := range s.Certs.Store() {
			f.Path = pkiDir + "/" + f.Path
			made = append(made, f)
		}
	}
	return s, made, nil
}
