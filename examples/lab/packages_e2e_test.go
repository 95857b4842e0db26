package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
)

// TestE2EPackages proves plan.Packages with the real apt-get and dpkg of the
// lab's Debian, in a chroot without a network whose only repository holds tiny
// packages made here.
func TestE2EPackages(t *testing.T) {
	root := packagesRoot(t, "dpkg-deb")
	repository := debRepository(t)

	t.Run("a bare host", func(t *testing.T) {
		h := newChroot(t, root, repository)
		p := fromRepository()
		p.Etcd, p.Extra = "etcd-server", []string{"tool=1.0-1"}
		// A configuration of the host's own, which a package brings too.
		const config, own = "/etc/containerd/config.toml", "version = 2 # our own\n"
		h.write(t, config, own)

		if _, err := h.prepare(t, p, "v1.37.2", "packages", "binaries"); err != nil {
			t.Fatal(err)
		}
		h.wantVersions(t, map[string]string{
			"kubeadm": "1.37.2-1.1", "kubelet": "1.37.2-1.1", "kubectl": "1.37.2-1.1", "kubernetes-cni": "1.7.1-1.1",
			"containerd": "1.7.0-1", "etcd-server": "3.6.16-1", "tool": "1.0-1",
		})
		h.wantHeld(t, "kubeadm", "kubectl", "kubelet", "tool")
		if got := h.run(t, "cat", config); got != own {
			t.Errorf("%s is now %q", config, got)
		}

		diff, err := h.prepare(t, p, "v1.37.2", "packages", "binaries")
		if err != nil || len(diff) > 0 {
			t.Errorf("the second run: %v, %v", diff, err)
		}

		// An unattended upgrade takes what is new, and leaves what is held.
		h.write(t, repositoryDir+"/Packages", h.read(t, repositoryDir+"/Packages")+h.read(t, repositoryDir+"/later"))
		h.run(t, "apt-get", "update", "-q")
		h.run(t, "apt-get", "dist-upgrade", "-q", "-y")
		h.wantVersions(t, map[string]string{
			"kubeadm": "1.37.2-1.1", "kubelet": "1.37.2-1.1", "kubectl": "1.37.2-1.1", "tool": "1.0-1", "containerd": "1.7.1-1",
		})

		// Somebody lets go of one.
		h.run(t, "apt-mark", "unhold", "kubelet")
		diff, err = h.prepare(t, p, "v1.37.2", "packages")
		if err != nil || fmt.Sprint(diff) != "[hold kubelet]" {
			t.Errorf("after unhold: %v, %v", diff, err)
		}
		h.wantHeld(t, "kubeadm", "kubectl", "kubelet", "tool")
	})

	for _, older := range []string{"1.37.1-1.1", "1.36.0-1.1"} {
		t.Run("from "+older, func(t *testing.T) {
			h := newChroot(t, root, repository)
			h.preinstall(t, older)
			h.run(t, "apt-mark", "hold", "kubelet")
			if _, err := h.prepare(t, fromRepository(), "v1.37.2", "packages"); err != nil {
				t.Fatal(err)
			}
			h.wantVersions(t, map[string]string{"kubeadm": "1.37.2-1.1", "kubelet": "1.37.2-1.1", "kubectl": "1.37.2-1.1"})
			h.wantHeld(t, "kubeadm", "kubectl", "kubelet")
		})
	}

	t.Run("unheld", func(t *testing.T) {
		h := newChroot(t, root, repository)
		p := fromRepository()
		p.Unheld = true
		if _, err := h.prepare(t, p, "v1.37.2", "packages"); err != nil {
			t.Fatal(err)
		}
		h.wantHeld(t)
	})

	for name, tt := range map[string]struct {
		packages  software.Packages
		version   string
		installed string
		want      string
	}{
		"no such package":      {software.Packages{Extra: []string{"no-such"}}, "v1.37.2", "", "E: Unable to locate package no-such"},
		"no such version":      {software.Packages{}, "v1.37.3", "", "E: Version '1.37.3-*' for 'kubeadm' was not found"},
		"a later one is there": {software.Packages{}, "v1.37.2", "1.37.10-1.1", "the package kubelet is of v1.37.10, later than the cluster's v1.37.2: "},
	} {
		t.Run(name, func(t *testing.T) {
			h := newChroot(t, root, repository)
			if tt.installed != "" {
				h.preinstall(t, tt.installed)
			}
			before := h.run(t, "dpkg-query", "--show")
			tt.packages.Repositories = fromRepository().Repositories
			_, err := h.prepare(t, tt.packages, tt.version, "packages")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if after := h.run(t, "dpkg-query", "--show"); after != before {
				t.Errorf("packages before:\n%s\nafter:\n%s", before, after)
			}
		})
	}

	t.Run("etcd is looked for first", func(t *testing.T) {
		h := newChroot(t, root, repository)
		_, err := h.prepare(t, fromRepository(), "v1.37.2", "etcd")
		var host *plan.HostError
		if !errors.As(err, &host) || !strings.Contains(err.Error(), "put etcd v3.5.24 or later there (from the archive of its release") {
			t.Errorf("got %v", err)
		}
	})
}

// packagesRoot returns the lab's root file system. Where the test cannot run it
// is skipped, which in CI is a failure.
func packagesRoot(t *testing.T, programs ...string) string {
	t.Helper()
	if os.Getenv("QUORATE_E2E") == "" {
		t.Skip("makes namespaces as root, and at first a root file system: set QUORATE_E2E=1 to run it")
	}
	missing := t.Skipf
	if os.Getenv("QUORATE_CI") == "1" {
		missing = t.Fatalf
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		missing("needs root on Linux, for a chroot in namespaces")
	}
	for _, name := range append(programs, "unshare", "chroot", "mount", "debootstrap") {
		if _, err := exec.LookPath(name); err != nil {
			missing("%v", err)
		}
	}
	cache := os.Getenv("LAB_CACHE")
	if cache == "" {
		var err error
		if cache, err = defaultCache(); err != nil {
			t.Fatal(err)
		}
	}
	root, err := machines.RootFS(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	if root, err = filepath.Abs(root); err != nil {
		t.Fatal(err)
	}
	return root
}

// repositoryDir is where a chroot has its repository.
const repositoryDir = "/srv/repository"

// fromRepository takes packages from that repository, which it configures.
func fromRepository() software.Packages {
	return software.Packages{Repositories: []quorate.File{{
		Path:    "/etc/apt/sources.list.d/test.list",
		Content: quorate.Public([]byte("deb [trusted=yes] file:" + repositoryDir + " ./\n")),
	}}}
}

// chroot is a host made of a read-only root file system and a directory of
// changes. Each command has the two mounted in namespaces of its own, without a
// network: so nothing is left mounted or running, however the test ends.
type chroot struct {
	// mounts are options and target of each overlay, the root's first.
	mounts []string
}

// newChroot makes one with a repository. Its /usr may be that of another system.
func newChroot(t *testing.T, root, repository string, usr ...string) chroot {
	t.Helper()
	dir := t.TempDir()
	target := filepath.Join(dir, "root")
	var h chroot
	for i, lower := range append([]string{root}, usr...) {
		upper, work := filepath.Join(dir, fmt.Sprint("upper", i)), filepath.Join(dir, fmt.Sprint("work", i))
		for _, d := range []string{upper, work, target} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		h.mounts = append(h.mounts, "lowerdir="+lower+",upperdir="+upper+",workdir="+work, target+strings.Repeat("/usr", i))
	}
	h.write(t, "/etc/apt/sources.list", "# nothing but the test's own\n")
	h.write(t, "/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101 # start nothing\n")
	h.run(t, "sh", "-c", "chmod 755 /usr/sbin/policy-rc.d; rm -rf /var/lib/apt/lists/*; mkdir -p "+repositoryDir)
	if err := os.CopyFS(filepath.Join(dir, "upper0", repositoryDir), os.DirFS(repository)); err != nil {
		t.Fatal(err)
	}
	return h
}

// enter is the shell's part of a command: it ends as the command itself.
const enter = `# enter a chroot
dir=$2
while [ "$1" != -- ]; do
	mount -t overlay overlay -o "$1" "$2" || exit 70
	shift 2
done
shift
exec chroot "$dir" "$@"
`

// Dial is that of transport/local, with every command in the chroot and no
// ability beside that.
func (c chroot) Dial(ctx context.Context, host string) (transport.Conn, error) {
	conn, err := (&local.Transport{Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}}).Dial(ctx, host)
	if err != nil {
		return nil, err
	}
	return chrootConn{conn, c}, nil
}

type chrootConn struct {
	inner  transport.Conn
	chroot chroot
}

func (c chrootConn) Close() error { return c.inner.Close() }

func (c chrootConn) Run(ctx context.Context, cmd transport.Cmd) error {
	cmd.Argv = slices.Concat([]string{"unshare", "--mount", "--net", "--", "sh", "-c", enter, "sh"},
		c.chroot.mounts, []string{"--"}, cmd.Argv)
	return c.inner.Run(ctx, cmd)
}

func (c chroot) conn(t *testing.T) transport.Conn {
	t.Helper()
	conn, err := c.Dial(t.Context(), "host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (c chroot) run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := transport.Output(t.Context(), c.conn(t), argv...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func (c chroot) read(t *testing.T, path string) string { return c.run(t, "cat", path) }

func (c chroot) write(t *testing.T, path, text string) {
	t.Helper()
	f := transport.File{Path: path, Mode: 0o644, Data: transport.Bytes([]byte(text))}
	if err := transport.FilesOf(c.conn(t)).Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// prepare runs the named preparations of a control plane, and returns what they
// changed.
func (c chroot) prepare(t *testing.T, p software.Source, version string, names ...string) (plan.Diff, error) {
	t.Helper()
	v, err := quorate.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	cluster := quorate.Cluster{Version: v, Nodes: []quorate.Node{{
		Name: "host", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
	}}}.WithDefaults()
	cluster.Etcd.Binary = "/usr/bin/etcd"
	preparations, err := p.Prepare(cluster, cluster.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	var steps []plan.Step
	for _, name := range names {
		i := slices.IndexFunc(preparations, func(p software.Preparation) bool { return p.Name == name })
		if i < 0 {
			t.Fatalf("no preparation %s", name)
		}
		step := plan.Step{ID: plan.ID(name), Host: "host", Timeout: preparations[i].Timeout, Action: preparations[i].Action}
		if len(steps) > 0 {
			step.After = []plan.ID{steps[len(steps)-1].ID}
		}
		steps = append(steps, step)
	}
	made, err := plan.New(steps...)
	if err != nil {
		t.Fatal(err)
	}
	var diff plan.Diff
	_, err = (&plan.Runner{Transport: c, Observe: func(e plan.Event) {
		if e.Kind == plan.StepApplying {
			diff = append(diff, e.Diff...)
		}
	}}).Run(t.Context(), made)
	return diff, err
}

// preinstall installs the packages of an earlier version.
func (c chroot) preinstall(t *testing.T, version string) {
	t.Helper()
	list := fromRepository().Repositories[0]
	c.write(t, list.Path, list.Content.String())
	c.run(t, "apt-get", "update", "-q")
	c.run(t, "apt-get", "install", "-q", "-y", "kubeadm="+version, "kubelet="+version, "kubectl="+version)
	c.wantVersions(t, map[string]string{"kubeadm": version, "kubelet": version, "kubectl": version})
}

func (c chroot) wantVersions(t *testing.T, want map[string]string) {
	t.Helper()
	for name, version := range want {
		if got := c.run(t, "dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name); got != "installed "+version {
			t.Errorf("%s: %s, want %s", name, got, version)
		}
	}
}

func (c chroot) wantHeld(t *testing.T, want ...string) {
	t.Helper()
	if got := strings.Fields(c.run(t, "apt-mark", "showhold")); !slices.Equal(got, want) {
		t.Errorf("held: %v, want %v", got, want)
	}
}

// deb is a tiny package.
type deb struct {
	name, version, depends string
	// files by path, one of them a program.
	files map[string]string
}

func debs() (first, later []deb) {
	for _, version := range []string{"1.36.0", "1.37.1", "1.37.2", "1.37.10"} {
		for name, words := range map[string]string{"kubeadm": "", "kubelet": "Kubernetes ", "kubectl": "Client Version: "} {
			d := deb{name: name, version: version + "-1.1", files: prints("/usr/bin/"+name, words+"v"+version)}
			if name == "kubelet" {
				d.depends = "kubernetes-cni"
			}
			first = append(first, d)
		}
	}
	containerd := deb{name: "containerd", version: "1.7.0-1", files: prints("/usr/bin/containerd", "containerd 1.7.0")}
	containerd.files["/etc/containerd/config.toml"] = "disabled_plugins = [\"cri\"]\n"
	newer := containerd
	newer.version = "1.7.1-1"
	return append(first, containerd,
		deb{name: "kubernetes-cni", version: "1.7.1-1.1"},
		deb{name: "etcd-server", version: "3.6.16-1", files: prints("/usr/bin/etcd", "etcd Version: 3.6.16")},
		deb{name: "tool", version: "1.0-1"}, deb{name: "tool", version: "1.1-1"},
	), []deb{newer}
}

// prints returns a program that prints a line.
func prints(path, line string) map[string]string {
	return map[string]string{path: "#!/bin/sh\necho '" + line + "'\n"}
}

// debRepository builds the packages and their index, and beside that the
// entries that are to be added later.
func debRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	first, later := debs()
	for index, packages := range map[string][]deb{"Packages": first, "later": later} {
		var b strings.Builder
		for _, d := range packages {
			b.WriteString(d.build(t, dir))
		}
		if err := os.WriteFile(filepath.Join(dir, index), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// build makes the package in a repository and returns its entry in the index.
func (d deb) build(t *testing.T, repository string) string {
	t.Helper()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Nobody <nobody@example.com>\nDescription: a test's %s\n",
		d.name, d.version, d.name)
	if d.depends != "" {
		control += "Depends: " + d.depends + "\n"
	}
	tree := t.TempDir()
	files := []machines.File{{Path: "/DEBIAN/control", Content: []byte(control)}}
	var conffiles string
	for path, text := range d.files {
		f := machines.File{Path: path, Content: []byte(text), Mode: 0o755}
		if strings.HasPrefix(path, "/etc/") {
			conffiles += path + "\n"
			f.Mode = 0o644
		}
		files = append(files, f)
	}
	if conffiles != "" {
		files = append(files, machines.File{Path: "/DEBIAN/conffiles", Content: []byte(conffiles)})
	}
	if err := machines.WriteTree(tree, files); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	name := d.name + "_" + d.version + "_all.deb"
	out := filepath.Join(repository, name)
	if text, err := exec.CommandContext(t.Context(), "dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, out).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, text)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%sFilename: ./%s\nSize: %d\nSHA256: %x\n\n", control, name, len(content), sha256.Sum256(content))
}
