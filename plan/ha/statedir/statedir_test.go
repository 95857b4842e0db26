//go:build unix

package statedir_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
)

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// at is a configuration whose clock is held, without the slow RSA key.
func at(now time.Time) statedir.Config {
	return statedir.Config{PKI: pki.Config{Now: func() time.Time { return now }, Keys: pki.Keys{ServiceAccount: pki.ECDSAP256}}}
}

func clusterOf(n int) quorate.Cluster {
	c := quorate.Cluster{Version: quorate.Version{Major: 1, Minor: 37}}
	for i := range n {
		c.Nodes = append(c.Nodes, quorate.Node{
			Name: fmt.Sprintf("cp-%d", i+1), Role: quorate.ControlPlane,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})},
		})
	}
	return c
}

func load(t testing.TB, dir string, c quorate.Cluster, cfg statedir.Config) *statedir.State {
	t.Helper()
	s, err := statedir.Load(context.Background(), dir, c, cfg)
	require.NoError(t, err)
	return s
}

// content is every file below a directory, by path, with its mode.
func content(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p == dir {
			return nil
		}
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		name, err := filepath.Rel(dir, p)
		require.NoError(t, err)
		text := ""
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			require.NoError(t, err)
			text = string(b)
		}
		out[name] = info.Mode().String() + " " + text
		return nil
	})
	require.NoError(t, err)
	return out
}

func TestLoadTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	first := load(t, dir, clusterOf(3), at(epoch))
	require.Len(t, first.Changes.Issued, 3+1+1+9)
	kept := content(t, dir)
	again := load(t, dir, clusterOf(3), at(epoch))
	require.Empty(t, again.Changes.Issued)
	require.Equal(t, first.Certs.Store(), again.Certs.Store())
	require.True(t, first.Token.Equal(again.Token) && first.VIPAuth.Equal(again.VIPAuth))
	require.Equal(t, kept, content(t, dir), "a Load that issues nothing writes nothing")

	for name := range kept {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		public := strings.HasSuffix(name, ".crt") || strings.HasSuffix(name, ".pub")
		require.True(t, public || info.Mode().Perm()&0o077 == 0, name)
	}
	require.Contains(t, kept, "cluster/pki/kubernetes/ca.crt")
	require.Contains(t, kept, "cluster/pki/kubernetes/ca.key")

	// What is no longer the cluster's, and what somebody put there, stays.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cluster", "NOTES"), []byte("ours"), 0o600))
	fewer := load(t, dir, clusterOf(1), at(epoch.Add(pki.DefaultExpiry)))
	require.Equal(t, []string{"cp-2", "cp-3"}, fewer.Changes.Orphans)
	require.Len(t, fewer.Changes.Issued, 4)
	now := content(t, dir)
	require.Equal(t, kept["cluster/pki/nodes/cp-3/etcd-peer.key"], now["cluster/pki/nodes/cp-3/etcd-peer.key"])
	require.NotEqual(t, kept["cluster/pki/nodes/cp-1/etcd-peer.key"], now["cluster/pki/nodes/cp-1/etcd-peer.key"])
	require.Contains(t, now, "cluster/NOTES")
	require.Len(t, now, len(kept)+1)
}

// Of programs that begin at once one makes the state and all have the same.
func TestManyAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	states := make([]*statedir.State, 6)
	var all sync.WaitGroup
	for i := range states {
		all.Go(func() { states[i], _ = statedir.Load(t.Context(), dir, clusterOf(1), at(epoch)) })
	}
	all.Wait()
	for _, s := range states {
		require.NotNil(t, s)
		require.Equal(t, states[0].Certs.Store(), s.Certs.Store())
		require.True(t, states[0].Token.Equal(s.Token))
	}
}

func TestLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	load(t, dir, clusterOf(1), at(epoch))
	held, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(held.Fd()), syscall.LOCK_EX))
	cfg := at(epoch)
	cfg.Wait = time.Nanosecond
	_, err = statedir.Load(t.Context(), dir, clusterOf(1), cfg)
	var locked *statedir.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, dir, locked.Dir)

	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cfg = at(epoch).Before(func(string) error { cancel(why); return nil })
	_, err = statedir.Load(ctx, dir, clusterOf(1), cfg)
	require.ErrorIs(t, err, why)
	require.NoError(t, held.Close())
	load(t, dir, clusterOf(1), at(epoch))
}

func TestUpdateIsAtomic(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	load(t, dir, clusterOf(1), at(epoch))
	secret := quorate.File{Path: "encryption/key", Mode: 0o666, Content: quorate.Sensitive([]byte("k"))}
	change := func(files fs.FS) ([]quorate.File, error) {
		_, err := fs.ReadFile(files, "pki/kubernetes/ca.crt")
		return []quorate.File{secret}, err
	}
	require.NoError(t, statedir.Update(t.Context(), dir, at(epoch), change))
	b, err := os.ReadFile(filepath.Join(dir, "cluster/encryption/key"))
	require.NoError(t, err)
	require.Equal(t, "k", string(b))
	before := content(t, dir)
	require.NoError(t, os.Chmod(filepath.Join(dir, "cluster/encryption/key"), 0o600))

	why := errors.New("no")
	require.ErrorIs(t, statedir.Update(t.Context(), dir, at(epoch), func(fs.FS) ([]quorate.File, error) {
		return []quorate.File{{Path: "x"}}, why
	}), why)
	for _, path := range []string{"../x", "/x", "", ".", "a/../x"} {
		require.Error(t, statedir.Update(t.Context(), dir, at(epoch), func(fs.FS) ([]quorate.File, error) {
			return []quorate.File{{Path: path}}, nil
		}), path)
	}
	require.Len(t, content(t, dir), len(before))
	require.Error(t, statedir.Update(t.Context(), "", at(epoch), change))
}

func TestSecretsAreHidden(t *testing.T) {
	s := load(t, filepath.Join(t.TempDir(), "state"), clusterOf(1), at(epoch))
	shown := fmt.Sprintf("%v %+v %#v %s %q %x", s, *s, s, s, s, s)
	require.NotContains(t, shown, string(s.Token.Bytes()))
	require.NotContains(t, shown, string(s.VIPAuth.Bytes()))
	require.NotContains(t, shown, "PRIVATE")
}

// Whoever else could have written to a directory is kept out of it, before
// anything in it is used or changed.
func TestForeignDirectories(t *testing.T) {
	root := os.Geteuid() == 0
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		says  []string
		root  bool
	}{
		"writable by all":     {func(t *testing.T, dir string) { chmod(t, dir, 0o777) }, []string{"mode 0777", "chmod go-w "}, false},
		"sticky":              {func(t *testing.T, dir string) { chmod(t, dir, 0o777|fs.ModeSticky) }, []string{"mode 0777"}, false},
		"writable by a group": {func(t *testing.T, dir string) { chmod(t, dir, 0o770) }, []string{"mode 0770"}, false},
		"another owner":       {func(t *testing.T, dir string) { chown(t, dir) }, []string{"belongs to user 4711", "chown -R"}, true},
		"both": {func(t *testing.T, dir string) { chown(t, dir); chmod(t, dir, 0o777) },
			[]string{"belongs to user 4711", "mode 0777"}, true},
		"a directory of another's": {func(t *testing.T, dir string) { chown(t, dir+"/cluster") }, []string{"cluster belongs to user 4711"}, true},
		"a file of another's":      {func(t *testing.T, dir string) { chown(t, dir+"/cluster/token") }, []string{"token belongs to user 4711"}, true},
		"the cluster's is open":    {func(t *testing.T, dir string) { chmod(t, dir+"/cluster", 0o755) }, []string{"cluster has mode 0755", "chmod -R go= "}, false},
		"keys that others read": {func(t *testing.T, dir string) {
			chmod(t, dir+"/cluster/pki/etcd/ca.key", 0o644)
			chmod(t, dir+"/cluster/vip-auth", 0o640)
		}, []string{"etcd/ca.key has mode 0644", "vip-auth has mode 0640"}, false},
		"a certificate that others write": {func(t *testing.T, dir string) { chmod(t, dir+"/cluster/pki/etcd/ca.crt", 0o666) }, []string{"ca.crt has mode 0666"}, false},
		"a directory above":               {func(t *testing.T, dir string) { chmod(t, filepath.Dir(dir), 0o777) }, []string{"above it, is writable by everybody"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root && !root {
				t.Skip("only root can make files of others")
			}
			dir := filepath.Join(t.TempDir(), "above", "state")
			load(t, dir, clusterOf(1), at(epoch))
			c.spoil(t, dir)
			before := content(t, filepath.Dir(dir))
			_, err := statedir.Load(t.Context(), dir, clusterOf(2), at(epoch))
			var access *statedir.AccessError
			require.ErrorAs(t, err, &access)
			require.Len(t, access.Problems, len(c.says)-strings.Count(strings.Join(c.says, " "), "ch"), "%v", access)
			for _, says := range c.says {
				require.ErrorContains(t, err, says)
			}
			require.Equal(t, before, content(t, filepath.Dir(dir)))
		})
	}

	// Who may change a link on the way decides where it leads.
	for name, lead := range map[string]func(open, dir string) string{
		"itself": func(open, dir string) string { symlink(t, dir, open+"/link"); return open + "/link" },
		"above":  func(open, dir string) string { symlink(t, filepath.Dir(dir), open+"/up"); return open + "/up/state" },
		"twice": func(open, dir string) string {
			symlink(t, dir, open+"/link")
			mine := t.TempDir()
			symlink(t, open, mine+"/there")
			return mine + "/there/link"
		},
		"relative": func(open, dir string) string {
			to, err := filepath.Rel(open, dir)
			require.NoError(t, err)
			symlink(t, to, open+"/link")
			return open + "/link"
		},
	} {
		dir, open := filepath.Join(t.TempDir(), "above", "state"), t.TempDir()
		load(t, dir, clusterOf(1), at(epoch))
		through := lead(open, dir)
		_, err := statedir.Load(t.Context(), through, clusterOf(1), at(epoch))
		require.NoError(t, err, name)
		chmod(t, open, 0o777)
		_, err = statedir.Load(t.Context(), through, clusterOf(1), at(epoch))
		var access *statedir.AccessError
		require.ErrorAs(t, err, &access, name)
		require.ErrorContains(t, err, open+", above it, is writable by everybody", name)
		if chmod(t, open, 0o755); root {
			link := filepath.Join(open, map[string]string{"above": "up"}[name])
			if name != "above" {
				link = open + "/link"
			}
			require.NoError(t, os.Lchown(link, 4711, 4711))
			_, err = statedir.Load(t.Context(), through, clusterOf(1), at(epoch))
			require.ErrorAs(t, err, &access, name)
			require.ErrorContains(t, err, "a link on the way to it, belongs to user 4711", name)
		}
	}

	// Also while it is empty.
	dir := t.TempDir()
	chmod(t, dir, 0o777)
	_, err := statedir.Load(t.Context(), dir, clusterOf(1), at(epoch))
	var access *statedir.AccessError
	require.ErrorAs(t, err, &access)
	require.Len(t, content(t, dir), 1)
}

func symlink(t *testing.T, to, at string)               { require.NoError(t, os.Symlink(to, at)) }
func chmod(t *testing.T, path string, mode fs.FileMode) { require.NoError(t, os.Chmod(path, mode)) }
func chown(t *testing.T, path string)                   { require.NoError(t, os.Chown(path, 4711, 4711)) }

// What was there and is gone, or is no state's, is never made again.
func TestLoadOfDamagedState(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "state")
	load(t, whole, clusterOf(1), at(epoch))
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(filepath.Join(dir, name))) }
	}
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		file  string
		says  string
	}{
		"no certificates": {remove("cluster/pki"), "cluster/pki/kubernetes/ca.crt", "missing"},
		"no file of them": {func(t *testing.T, dir string) {
			remove("cluster/pki")(t, dir)
			require.NoError(t, os.Mkdir(filepath.Join(dir, "cluster/pki"), 0o700))
		}, "cluster/pki/kubernetes/ca.crt", "missing"},
		"no authority": {remove("cluster/pki/kubernetes"), "cluster/pki/kubernetes/ca.crt", "missing"},
		"no token":     {remove("cluster/token"), "cluster/token", "missing"},
		"no password":  {remove("cluster/vip-auth"), "cluster/vip-auth", "missing"},
		"nothing in it": {func(t *testing.T, dir string) {
			remove("cluster")(t, dir)
			require.NoError(t, os.Mkdir(dir+"/cluster", 0o700))
		}, "cluster/pki/kubernetes/ca.crt", "missing"},
		"only a journal": {func(t *testing.T, dir string) { write("journal.jsonl", "")(t, dir); remove("cluster")(t, dir) }, "cluster", "missing beside journal.jsonl"},
		"an older layout": {func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(dir+"/cluster/pki", dir+"/pki"))
			remove("cluster")(t, dir)
		}, "cluster", "missing beside pki"},
		"a bad token":    {write("cluster/token", "hunter2"), "cluster/token", "not shown"},
		"a bad password": {write("cluster/vip-auth", "hunter2hunter2"), "cluster/vip-auth", "not shown"},
		"a huge file": {func(t *testing.T, dir string) {
			f, err := os.OpenFile(dir+"/cluster/pki/etcd/ca.crt", os.O_WRONLY, 0)
			require.NoError(t, err)
			require.NoError(t, errors.Join(f.Truncate(3<<30), f.Close()))
		}, "cluster/pki/etcd/ca.crt", "bytes"},
		"a pipe": {func(t *testing.T, dir string) {
			remove("cluster/token")(t, dir)
			require.NoError(t, syscall.Mkfifo(dir+"/cluster/token", 0o600))
		}, "cluster/token", "neither"},
		"a link": {func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(dir+"/cluster/token", dir+"/elsewhere"))
			require.NoError(t, os.Symlink("../elsewhere", dir+"/cluster/token"))
		}, "cluster/token", "neither"},
		"a lock that is none": {func(t *testing.T, dir string) {
			remove("lock")(t, dir)
			require.NoError(t, syscall.Mkfifo(dir+"/lock", 0o600))
		}, "lock", "no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := clone(t, whole)
			c.spoil(t, dir)
			s, err := statedir.Load(t.Context(), dir, clusterOf(2), at(epoch))
			var file *statedir.FileError
			require.ErrorAs(t, err, &file)
			require.Nil(t, s)
			require.Equal(t, filepath.Join(dir, c.file), file.Path)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "hunter2")
			if name != "a huge file" {
				require.NotContains(t, content(t, dir), "cluster/pki/nodes/cp-2/etcd-peer.crt")
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	_, err := statedir.Load(t.Context(), dir, clusterOf(1), at(epoch))
	require.ErrorContains(t, err, "is no directory")

	// A token by hand, for one that was lost, may end a line.
	dir = clone(t, whole)
	write("cluster/token", "abcdef.0123456789abcdef\n")(t, dir)
	require.Equal(t, "abcdef.0123456789abcdef", string(load(t, dir, clusterOf(1), at(epoch)).Token.Bytes()))
	// What every file system or editor may add is no state.
	dir = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
	write(".gitignore", "*")(t, dir)
	load(t, dir, clusterOf(1), at(epoch))
}

// clone copies a directory, modes and all.
func clone(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "state")
	require.NoError(t, filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		name, err := filepath.Rel(from, p)
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		target := filepath.Join(to, name)
		if e.IsDir() {
			return os.Mkdir(target, info.Mode().Perm())
		}
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(target, b, 0o600))
		return os.Chmod(target, info.Mode().Perm())
	}))
	return to
}
