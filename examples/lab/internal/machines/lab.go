package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Config says which hosts to boot and what is on them.
type Config struct {
	Spec
	// Dir is the lab's state directory, on a disk file system with room for
	// the hosts' data. Required. One lab at a time lives in it.
	Dir string
	// Root is the common root file system, from RootFS. Required.
	Root string
	// Layer, when set, is a read-only directory laid over Root on every host.
	Layer string
	// Files returns further files of one host. Optional.
	Files func(Host) []File
	// Binds are directories of the machine that every host sees read-only:
	// from their path on the machine to their path in the host.
	Binds map[string]string
}

// Lab is a set of hosts. Its methods may be called concurrently for different
// hosts.
type Lab struct {
	dir string

	mu    sync.Mutex // guards state and its file, and open
	state *state
	open  []*openFault
}

// The files in the state directory that a client needs.
const (
	keyFile        = "id_ed25519"
	knownHostsFile = "known_hosts"
)

// Up boots hosts and returns when sshd answers on all of them. What an earlier
// lab in the same directory left is removed first, also if it still runs. On
// an error, everything is taken down again.
func Up(ctx context.Context, c Config) (*Lab, error) {
	if err := errors.Join(CheckMachine(), c.Validate()); err != nil {
		return nil, err
	}
	dir, err := realPath(c.Dir)
	if err != nil {
		return nil, err
	}
	c.Dir, c.Spec = dir, c.WithDefaults()
	if err := Down(ctx, dir); err != nil {
		return nil, fmt.Errorf("remove the lab that was in %s: %w", dir, err)
	}
	l, err := prepare(ctx, c)
	if err == nil {
		err = l.bootAll(ctx)
	}
	if err != nil {
		// Not ctx: what was made is to go also when ctx ended.
		return nil, errors.Join(err, Down(context.WithoutCancel(ctx), dir))
	}
	return l, nil
}

// prepare makes everything but running hosts.
func prepare(ctx context.Context, c Config) (*Lab, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	l := &Lab{dir: c.Dir, state: &state{Spec: c.Spec, Binds: c.Binds, Hosts: map[string]*hostState{}}}
	low, err := lowSysctls()
	if err != nil {
		return nil, err
	}
	l.state.Sysctls = low
	if err := l.makeLayers(c); err != nil {
		return nil, err
	}
	for _, h := range c.Hosts() {
		groups, err := hostCgroups("lab-"+c.Bridge, h.Name)
		if err != nil {
			return nil, err
		}
		l.state.Hosts[h.Name] = &hostState{Host: h, Cgroups: groups}
	}
	if err := l.writeHosts(c); err != nil {
		return nil, err
	}
	// The last check that may find somebody else's things comes before the
	// state that says they are ours.
	if err := checkBridgeFree(ctx, c.Bridge, c.Dir); err != nil {
		return nil, err
	}
	if err := l.state.write(c.Dir); err != nil {
		return nil, err
	}
	if err := raiseSysctls(low); err != nil {
		return nil, err
	}
	return l, makeBridge(ctx, c.Spec, c.Dir)
}

func (l *Lab) makeLayers(c Config) error {
	common := filepath.Join(l.dir, "common")
	if err := WriteTree(common, commonFiles()); err != nil {
		return err
	}
	l.state.Layers = []string{common}
	if c.Layer != "" {
		l.state.Layers = append(l.state.Layers, c.Layer)
	}
	l.state.Layers = append(l.state.Layers, c.Root)
	return nil
}

// writeHosts makes the keys and writes each host's own layer.
func (l *Lab) writeHosts(c Config) error {
	client, err := newKeyPair("lab")
	if err != nil {
		return err
	}
	var known strings.Builder
	for _, h := range c.Hosts() {
		key, err := newKeyPair(h.Name)
		if err != nil {
			return err
		}
		files := hostFiles(c.Spec, h, key, client)
		if c.Files != nil {
			files = append(files, c.Files(h)...)
		}
		if err := WriteTree(l.hostPath(h.Name, "upper"), files); err != nil {
			return err
		}
		known.WriteString(knownHostsLine(h, key) + "\n")
	}
	return errors.Join(
		writeFile(l.KeyFile(), client.private, 0o600),
		writeFile(l.KnownHostsFile(), []byte(known.String()), 0o644),
	)
}

func (l *Lab) bootAll(ctx context.Context) error {
	hosts := l.Hosts()
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = l.Boot(ctx, h.Name) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Open finds the lab in a state directory. The error is fs.ErrNotExist when
// there is none.
func Open(dir string) (*Lab, error) {
	dir, err := realPath(dir)
	if err != nil {
		return nil, err
	}
	s, err := readState(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no lab in %s: %w", dir, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return &Lab{dir: dir, state: s}, nil
}

// Dir is the state directory.
func (l *Lab) Dir() string { return l.dir }

// Spec is what the hosts were made from, defaults filled in.
func (l *Lab) Spec() Spec { return l.state.Spec }

// Hosts returns every host, whether it runs or not.
func (l *Lab) Hosts() []Host { return l.state.Spec.Hosts() }

// KeyFile is the path of the SSH private key that root accepts on every host.
func (l *Lab) KeyFile() string { return filepath.Join(l.dir, keyFile) }

// KnownHostsFile is the path of the hosts' SSH keys, by name and by address.
func (l *Lab) KnownHostsFile() string { return filepath.Join(l.dir, knownHostsFile) }

// ConsoleFile is the path of what a host wrote to its console, boot by boot.
func (l *Lab) ConsoleFile(host string) string { return l.hostPath(host, "console.log") }

func (l *Lab) hostPath(host, name string) string {
	return filepath.Join(l.dir, "hosts", host, name)
}

// host returns a host's state, or an error that names the hosts there are.
func (l *Lab) host(name string) (*hostState, error) {
	if h, ok := l.state.Hosts[name]; ok {
		return h, nil
	}
	var names []string
	for _, h := range l.Hosts() {
		names = append(names, h.Name)
	}
	return nil, fmt.Errorf("no host %q: there are %s", name, strings.Join(names, ", "))
}
