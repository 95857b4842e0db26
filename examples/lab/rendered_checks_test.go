package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// renderedCheck has a program judge the files it will read.
type renderedCheck struct {
	kind string
	of   func(path string) bool
	run  func(ctx context.Context, r *rendered, h renderedHost, path string) error
}

// renderedChecks by what they are counted as. A file may have several.
var renderedChecks = []renderedCheck{
	{"keepalived configurations", is("etc/keepalived/keepalived.conf"), checkKeepalived},
	{"units", in("etc/systemd/system/*"), checkUnit},
	{"drop-ins", in("etc/systemd/system/*.d/*.conf"), checkDropIn},
	{"etcd members", is("etc/systemd/system/etcd.service"), checkEtcd},
	{"scripts", in("etc/*/*.sh"), checkShell},
	{"environment files", is("etc/etcd.env"), checkShell},
	{"kubeadm files", in("etc/kubernetes/kubeadm-*.yaml"), checkKubeadm},
	{"kernel settings", in("etc/sysctl.d/*.conf"), checkSysctl},
	{"authorities", is(renderedAuthorities...), checkAuthority},
	{"leaf certificates", is(renderedLeaves()...), checkLeaf},
	{"key pairs", is(renderedKeys...), checkKeyPair},
	{"public keys", is(kubernetesPKI + "sa.pub"), checkPublicKey},
}

func renderedKinds() []string {
	var kinds []string
	for _, c := range renderedChecks {
		kinds = append(kinds, c.kind)
	}
	return kinds
}

func is(paths ...string) func(string) bool {
	return func(p string) bool { return slices.Contains(paths, p) }
}

func in(pattern string) func(string) bool {
	return func(p string) bool {
		ok, err := path.Match(pattern, p)
		return ok && err == nil
	}
}

// silent wants that a program succeeds and has nothing to say: a warning of
// keepalived or systemd is a directive that does not count.
func silent(path, program string, out []byte, err error) error {
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		return fmt.Errorf("/%s: %s: %w: %s", path, program, orSpoke(err), out)
	}
	return nil
}

func orSpoke(err error) error {
	if err == nil {
		return fmt.Errorf("it complains")
	}
	return err
}

func accepted(path, program string, out []byte, err error) error {
	if err != nil {
		return fmt.Errorf("/%s: %s: %w: %s", path, program, err, out)
	}
	return nil
}

func checkKeepalived(ctx context.Context, r *rendered, h renderedHost, path string) error {
	out, err := r.inside(ctx, h, "keepalived", "-t", "-f", "/"+path)
	return silent(path, "keepalived -t", out, err)
}

func checkUnit(ctx context.Context, r *rendered, h renderedHost, path string) error {
	out, err := r.inside(ctx, h, "systemd-analyze", "verify", "/"+path)
	return silent(path, "systemd-analyze verify", out, err)
}

// checkDropIn reads the unit of the distribution that the drop-in is for.
func checkDropIn(ctx context.Context, r *rendered, h renderedHost, file string) error {
	unit := strings.TrimSuffix(path.Base(path.Dir(file)), ".d")
	out, err := r.inside(ctx, h, "systemd-analyze", "--man=no", "verify", "/lib/systemd/system/"+unit)
	return silent(file, "systemd-analyze verify", out, err)
}

func checkShell(ctx context.Context, _ *rendered, h renderedHost, path string) error {
	for _, shell := range []string{"sh", "dash"} {
		out, err := renderedCommand(ctx, shell, "-n", filepath.Join(h.dir, path)).CombinedOutput()
		if err := silent(path, shell+" -n", out, err); err != nil {
			return err
		}
	}
	return nil
}

// checkSysctl lets sysctl look every setting up, and change none.
func checkSysctl(ctx context.Context, r *rendered, h renderedHost, path string) error {
	out, err := r.inside(ctx, h, "sysctl", "--dry-run", "--load=/"+path)
	return accepted(path, "sysctl --dry-run", out, err)
}

// checkKubeadm runs the kubeadm that the lab installs. It refuses to deploy
// what is more than a minor older than itself, so that of an older version's
// file only the version is replaced.
func checkKubeadm(ctx context.Context, r *rendered, h renderedHost, path string) error {
	argv := []string{"kubeadm", "config", "validate", "--config", "/" + path}
	if !h.cluster.Version.AtLeast(1, 36) {
		argv = []string{"sh", "-euc", `
			sed -i 's/^kubernetesVersion: .*/kubernetesVersion: v1.37.2/' "$1"
			exec kubeadm config validate --config "$1"`, "sh", "/" + path}
	}
	out, err := r.inside(ctx, h, argv...)
	if err == nil && string(out) != "ok\n" {
		err = fmt.Errorf("it warns")
	}
	return accepted(path, "kubeadm config validate", out, err)
}

// etcdScript starts a member as its unit would. One that is alone must become
// healthy, read as /etc/etcd.env says; one with peers that do not exist must
// come to where it waits for them.
const etcdScript = `
alone=$1
shift
"$@" >/tmp/log 2>&1 &
set -a
. /etc/etcd.env
tries=200
while kill -0 $! && [ $tries -gt 0 ]; do
    if [ "$alone" = yes ]; then
        etcdctl endpoint health >>/tmp/health 2>&1 && exit 0
    else
        grep -q '"msg":"now serving peer/client/metrics"' /tmp/log && exit 0
    fi
    tries=$((tries - 1))
    sleep 0.1
done
grep -v '"level":"info"' /tmp/log
tail -n 3 /tmp/health
exit 1
`

func checkEtcd(ctx context.Context, r *rendered, h renderedHost, path string) error {
	argv, err := h.execStart(path)
	if err != nil {
		return err
	}
	alone := "no"
	if len(h.cluster.ControlPlanes()) == 1 {
		alone = "yes"
	}
	out, err := r.inside(ctx, h, append([]string{"sh", "-uc", etcdScript, "sh", alone}, argv...)...)
	return accepted(path, "etcd", out, err)
}

// execStart returns the words of a unit's ExecStart. The words of these units
// need no quoting; one that has some is an error rather than misread.
func (h renderedHost) execStart(path string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(h.dir, path))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", " ")) {
		command, found := strings.CutPrefix(line, "ExecStart=")
		if found && !strings.ContainsAny(command, `"'\%$`) {
			return strings.Fields(command), nil
		}
	}
	return nil, fmt.Errorf("/%s: no ExecStart without quotes", path)
}

var (
	// secretText is what only the owner of a file may read.
	secretText = regexp.MustCompile(`PRIVATE KEY|auth_pass|\b[a-z0-9]{6}\.[a-z0-9]{16}\b`)
	scriptHead = []byte("#!")
)

// checkMode wants secrets to be their owner's alone and everything else to be
// nobody else's to change.
func (h renderedHost) checkMode(path string) error {
	file := filepath.Join(h.dir, path)
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(file) //nolint:gosec // the test's own
	if err != nil {
		return err
	}
	want := fs.FileMode(0o644)
	switch {
	case secretText.Match(b):
		want = 0o600
	case bytes.HasPrefix(b, scriptHead):
		want = 0o755
	}
	mayBeStricter := want == 0o644 && info.Mode() == 0o600
	if info.Mode() != want && !mayBeStricter {
		return fmt.Errorf("/%s: mode %v, want %v", path, info.Mode(), want)
	}
	for dir := filepath.Dir(file); dir != h.dir; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("/%s: others may write to %s: %v, %w", path, dir, info.Mode(), err)
		}
	}
	return nil
}

// checkKeys wants exactly the private keys that the role needs, and that none
// is etcd's authority under any name.
func (h renderedHost) checkKeys(ctx context.Context, files []string) error {
	var keys []string
	for _, path := range files {
		b, err := os.ReadFile(filepath.Join(h.dir, path))
		if err != nil {
			return err
		}
		if bytes.Contains(b, []byte("PRIVATE KEY")) {
			keys = append(keys, path)
		}
	}
	var want []string
	if h.Role == quorate.ControlPlane {
		want = slices.Sorted(slices.Values(renderedKeys))
	}
	if slices.Sort(keys); !slices.Equal(keys, want) {
		return fmt.Errorf("private keys in /%s; want them in /%s", strings.Join(keys, " /"), strings.Join(want, " /"))
	}
	return h.noEtcdAuthority(ctx, keys)
}
