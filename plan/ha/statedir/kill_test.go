//go:build unix

package statedir_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
)

// asVictim in the environment makes this test's binary complete the directory
// there for two control planes, and be killed before an operation.
const (
	asVictim  = "QUORATE_TEST_STATE"
	dieBefore = "QUORATE_TEST_STATE_DIE_BEFORE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(asVictim); dir != "" {
		n := 0
		cfg := at(epoch).Before(func(op string) error {
			fmt.Println(op)
			if n++; fmt.Sprint(n) == os.Getenv(dieBefore) {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return nil
		})
		if _, err := statedir.Load(context.Background(), dir, clusterOf(2), cfg); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var errKilled = errors.New("killed")

// dying returns a hook that ends everything from the n-th change of the disk on,
// as a kill before it does: nothing is done any more, nor cleaned up. Zero is never.
func dying(n int, operations *[]string) func(string) error {
	i := 0
	return func(op string) error {
		if i++; n > 0 && i >= n {
			return errKilled
		}
		*operations = append(*operations, op)
		return nil
	}
}

// wish is a cluster and how its certificates are issued.
type wish struct {
	cfg     statedir.Config
	cluster quorate.Cluster
}

// whole reads DIR/cluster as a person or a backup would, without this package,
// and reports whether it is there; it is complete then, as one of the wishes has it.
func whole(t *testing.T, dir string, may ...wish) bool {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "cluster")); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	var all []error
	for _, w := range may {
		_, changes, err := pki.Load(os.DirFS(filepath.Join(dir, "cluster", "pki")), w.cluster, w.cfg.PKI)
		for _, name := range []string{"token", "vip-auth"} {
			_, statErr := os.Stat(filepath.Join(dir, "cluster", name))
			err = errors.Join(err, statErr)
		}
		if err == nil && len(changes.Issued) == 0 {
			return true
		}
		all = append(all, err)
	}
	require.Fail(t, "neither the old state nor the new one", "%v", errors.Join(all...))
	return false
}

// At every moment at which a program is killed DIR/cluster is not there, or the old
// one, or the new one; the next Load completes it, with the authorities that were
// there, and leaves no other key anywhere. QUORATE_SWEEP=all takes all moments,
// otherwise some of those at which one of many files is written or removed are
// passed over.
func TestKilledAnywhere(t *testing.T) {
	base := filepath.Join(t.TempDir(), "state")
	old := load(t, base, clusterOf(1), at(epoch))
	later := at(epoch.Add(pki.DefaultExpiry - time.Hour))
	later.PKI.Keys = at(epoch).PKI.Keys
	for name, c := range map[string]struct {
		start func(t *testing.T) string
		cfg   statedir.Config
		want  quorate.Cluster
		old   *statedir.State
		// gap allows no DIR/cluster in between.
		gap bool
	}{
		"first":                {func(t *testing.T) string { return filepath.Join(t.TempDir(), "state") }, at(epoch), clusterOf(1), nil, true},
		"another node":         {func(t *testing.T) string { return clone(t, base) }, at(epoch), clusterOf(2), old, false},
		"renewal":              {func(t *testing.T) string { return clone(t, base) }, later, clusterOf(1), old, false},
		"names not exchanged":  {func(t *testing.T) string { return clone(t, base) }, later.Apart(), clusterOf(1), old, true},
		"first, not exchanged": {func(t *testing.T) string { return filepath.Join(t.TempDir(), "state") }, at(epoch).Apart(), clusterOf(1), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			var all []string
			load(t, c.start(t), c.want, c.cfg.Before(dying(0, &all)))
			require.Greater(t, len(all), 60)
			commit := slices.IndexFunc(all, func(op string) bool { return op == "exchange cluster" || op == "rename .cluster.next" }) + 1
			require.Positive(t, commit)
			for n := 1; n <= len(all); n++ {
				if os.Getenv("QUORATE_SWEEP") != "all" && n%23 != 0 && max(n-commit, commit-n) > 4 && n > 3 && n <= len(all)-2 {
					continue // writes and removals of one file after another
				}
				dir := c.start(t)
				var done []string
				_, err := statedir.Load(t.Context(), dir, c.want, c.cfg.Before(dying(n, &done)))
				require.ErrorIs(t, err, errKilled)
				require.Len(t, done, n-1)
				require.True(t, whole(t, dir, wish{at(epoch), clusterOf(1)}, wish{c.cfg, c.want}) || c.gap, "killed before %s", all[n-1])
				made := madeIn(t, dir)

				s := load(t, dir, c.want, c.cfg)
				require.True(t, whole(t, dir, wish{c.cfg, c.want}))
				if c.old != nil {
					require.True(t, s.Token.Equal(c.old.Token) && s.VIPAuth.Equal(c.old.VIPAuth))
					for _, ca := range []pki.AuthorityName{pki.EtcdCA, pki.KubernetesCA, pki.FrontProxyCA} {
						require.True(t, s.Certs.CA(ca).Equal(c.old.Certs.CA(ca)))
					}
				} else if made != "" {
					require.Equal(t, made, madeIn(t, dir), "authorities were made twice")
				}
				top, err := os.ReadDir(dir)
				require.NoError(t, err)
				var names []string
				for _, e := range top {
					names = append(names, e.Name())
				}
				require.Equal(t, []string{"cluster", "lock"}, names, "left of a kill before %s", all[n-1])
			}
		})
	}
}

func madeIn(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "cluster", "pki", "kubernetes", "ca.crt"))
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return string(b)
}

// The same with a real process and a real SIGKILL, at the moments that matter.
func TestKilledForReal(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	base := filepath.Join(t.TempDir(), "state")
	load(t, base, clusterOf(1), at(epoch))
	victim := func(dir string, n int) ([]string, error) {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = []string{asVictim + "=" + dir, dieBefore + "=" + fmt.Sprint(n)}
		out, err := cmd.Output()
		return strings.Split(strings.TrimSpace(string(out)), "\n"), err
	}
	all, err := victim(clone(t, base), 0)
	require.NoError(t, err)
	exchange := slices.Index(all, "exchange cluster") + 1
	require.Positive(t, exchange)
	for _, n := range []int{1, 2, exchange / 2, exchange - 1, exchange, exchange + 1, exchange + 2, exchange + 5, len(all)} {
		dir := clone(t, base)
		_, err := victim(dir, n)
		require.ErrorContains(t, err, "signal: killed")
		require.True(t, whole(t, dir, wish{at(epoch), clusterOf(1)}, wish{at(epoch), clusterOf(2)}))
		load(t, dir, clusterOf(2), at(epoch))
		left, err := filepath.Glob(filepath.Join(dir, ".*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// An error that is no kill, such as a full disk's, leaves nothing to the next run.
func TestCleanUpAfterAFailure(t *testing.T) {
	base := filepath.Join(t.TempDir(), "state")
	load(t, base, clusterOf(1), at(epoch))
	before := content(t, base)
	full := syscall.ENOSPC
	failed := false
	_, err := statedir.Load(t.Context(), base, clusterOf(2), at(epoch).Before(func(op string) error {
		if !failed && strings.HasPrefix(op, "write") && strings.Contains(op, "cp-2") {
			failed = true
			return full
		}
		return nil
	}))
	require.ErrorIs(t, err, full)
	require.ErrorContains(t, err, "nothing has been changed")
	require.Equal(t, before, content(t, base))
}

// A file is the old one or the new one whenever its writer is killed, and the next
// writer of it leaves nothing else.
func TestWriteFileKilledAnywhere(t *testing.T) {
	for _, old := range []string{"", "old"} {
		start := func() string {
			path := filepath.Join(t.TempDir(), "kubeconfig")
			if old != "" {
				require.NoError(t, os.WriteFile(path, []byte(old), 0o644))
			}
			return path
		}
		write := func(path, text string, before func(string) error) error {
			return statedir.WriteFileBefore(t.Context(), path, quorate.Sensitive([]byte(text)), 0o600, before)
		}
		var all []string
		require.NoError(t, write(start(), "new", dying(0, &all)))
		require.Equal(t, []string{"create .kubeconfig.next", "write .kubeconfig.next", "sync .kubeconfig.next", "rename .kubeconfig.next", "sync ."}, all)
		for n := 1; n <= len(all); n++ {
			path := start()
			require.ErrorIs(t, write(path, "a longer new one", dying(n, new([]string))), errKilled)
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				b, err = nil, nil
			}
			require.NoError(t, err)
			require.Contains(t, []string{old, "a longer new one"}, string(b))
			require.NoError(t, write(path, "next", nil))
			kept := content(t, filepath.Dir(path))
			delete(kept, ".")
			require.Equal(t, map[string]string{"kubeconfig": "-rw------- next"}, kept, "killed before %s", all[n-1])
		}
	}
}

func TestWriteFileRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(path string) error {
		return statedir.WriteFile(t.Context(), path, quorate.Public([]byte("x")), 0o644)
	}
	require.Error(t, write(dir))
	require.Error(t, write(filepath.Join(dir, "none", "x")))
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	require.ErrorContains(t, write(fifo), "no regular file")
	require.NoError(t, os.Symlink(fifo, filepath.Join(dir, "to-fifo")))
	require.ErrorContains(t, write(filepath.Join(dir, "to-fifo")), "no regular file")
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, ".x.next"), 0o600))
	require.ErrorContains(t, write(filepath.Join(dir, "x")), "in the way")
	require.NoError(t, write(filepath.Join(dir, "y")))
	require.NoError(t, os.Symlink("y", filepath.Join(dir, "z")))
	require.NoError(t, write(filepath.Join(dir, "z")))
	target, err := os.Readlink(filepath.Join(dir, "z"))
	require.NoError(t, err)
	require.Equal(t, "y", target)

	if os.Geteuid() == 0 { // who has made the temporary file reads what is written into it
		theirs := filepath.Join(dir, ".theirs.next")
		require.NoError(t, os.WriteFile(theirs, nil, 0o666))
		require.NoError(t, os.Chown(theirs, 65534, 65534))
		require.ErrorContains(t, write(filepath.Join(dir, "theirs")), "belongs to user 65534")
		b, err := os.ReadFile(theirs)
		require.NoError(t, err)
		require.Empty(t, b)
	}
	held, err := os.OpenFile(filepath.Join(dir, ".y.next"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(held.Fd()), syscall.LOCK_EX))
	require.ErrorContains(t, write(filepath.Join(dir, "y")), "another program is writing it")
	require.NoError(t, held.Close())
	require.NoError(t, write(filepath.Join(dir, "y")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, statedir.WriteFile(ctx, filepath.Join(dir, "y"), quorate.Content{}, 0), context.Canceled)
}
