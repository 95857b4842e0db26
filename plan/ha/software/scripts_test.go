package software

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan/internal/shelltest"
)

func TestVersionsInDash(t *testing.T) {
	out := shelltest.Run(t, versionsScript, map[string]string{
		"kubeadm":    `[ "$*" = "version -o short" ] && echo v1.37.2 && echo more`,
		"keepalived": `echo "Keepalived v2.2.7" >&2`,
		"broken":     `exit 3`,
	}, map[string]string{"MEMORY": "/nonexistent/none"}, "kubeadm", "kubeadm", "version -o short", "etcd", "/nowhere/etcd", "--version",
		"keepalived", "keepalived", "--version", "broken", "broken", "")
	if want := "kubeadm=v1.37.2\nkeepalived=Keepalived v2.2.7\nbroken=\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// What is remembered counts as long as nothing has touched a program's file, and
// nothing is remembered of a program that may be another's work.
func TestRememberedVersionsInDash(t *testing.T) {
	// The shell is the one binary that is there for certain.
	binary, err := filepath.EvalSymlinks(tier.Program(t, "dash"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyTo := func(name string) {
		t.Helper()
		b, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	copyTo("tool")
	copyTo("multi")
	if err := os.Symlink(filepath.Join(dir, "tool"), filepath.Join(dir, "another")); err != nil {
		t.Fatal(err)
	}
	memory := filepath.Join(dir, "memory")
	echo := filepath.Join(dir, "says")
	say := func(text string) {
		t.Helper()
		if err := os.WriteFile(echo, []byte("echo "+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(programs ...string) (versions, remember string) {
		t.Helper()
		var args []string
		for _, name := range programs {
			args = append(args, name, filepath.Join(dir, name), echo)
		}
		versions, remember, _ = strings.Cut(shelltest.Run(t, versionsScript, nil, map[string]string{"MEMORY": memory}, args...), "remember:\n")
		return versions, remember
	}
	keep := func(versions, remember string) {
		t.Helper()
		if err := os.WriteFile(memory, []byte(remember+versions), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("one")
	versions, remember := ask("tool", "multi")
	if versions != "tool=one\nmulti=one\n" || strings.Count(remember, "\n") != 3 {
		t.Fatalf("got %q and %q", versions, remember)
	}
	keep(versions, remember)
	say("two") // which nobody looks at, as the programs are the same
	if versions, remember := ask("tool", "multi"); versions != "tool=one\nmulti=one\n" || remember != "" {
		t.Errorf("not remembered: %q and %q", versions, remember)
	}
	for name, change := range map[string]func(){
		"another question": func() {},
		"replaced": func() {
			if err := os.Rename(filepath.Join(dir, "tool"), filepath.Join(dir, "old")); err != nil {
				t.Fatal(err)
			}
			copyTo("tool")
		},
		"times set back": func() {
			if err := os.Chtimes(filepath.Join(dir, "tool"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		say("one")
		keep("", "") // forgotten
		keep(ask("tool", "multi"))
		if versions, remember := ask("tool", "multi"); versions != "tool=one\nmulti=one\n" || remember != "" {
			t.Fatalf("%s: not remembered: %q and %q", name, versions, remember)
		}
		say("two")
		asked := []string{"tool", "multi"}
		if name == "another question" {
			asked = []string{"multi", "tool"}
		}
		change()
		if versions, remember := ask(asked...); !strings.Contains(versions, "tool=two\n") || !strings.Contains(versions, "multi=two\n") || remember == "" {
			t.Errorf("%s: %q and %q", name, versions, remember)
		}
	}
	if versions, remember := ask("tool", "another"); versions != "tool=two\nanother=two\n" || remember != "" {
		t.Errorf("a name of another program's: %q and %q", versions, remember)
	}
	if err := os.WriteFile(filepath.Join(dir, "wrapper"), []byte("#!"+binary+"\necho three\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if versions, remember := ask("tool", "wrapper"); versions != "tool=two\nwrapper=three\n" || remember != "" {
		t.Errorf("a wrapper: %q and %q", versions, remember)
	}
}

func TestInstalledInDash(t *testing.T) {
	rpm := map[string]string{"rpm": `case "$*" in
*"package kubelet installed"*" kubelet") echo "package kubelet installed 1.37.2-150500.1.1 " ;;
*) echo "no package provides it"; exit 1 ;;
esac`}
	with := func(manager string) map[string]string {
		programs := map[string]string{manager: "exit 9", "rpm": rpm["rpm"]}
		return programs
	}
	for name, tt := range map[string]struct {
		programs map[string]string
		want     string
	}{
		"none": {nil, "manager none\n"},
		"dnf":  {with("dnf"), "manager dnf\npackage kubelet installed 1.37.2-150500.1.1 \nno package provides it\n"},
		"yum":  {with("yum"), "manager yum\npackage kubelet installed 1.37.2-150500.1.1 \nno package provides it\n"},
		"apt": {map[string]string{
			"apt-get":    "exit 9",
			"dpkg-query": `echo "package kubelet installed 1.37.2-1.1 hold"; echo "no packages found" >&2; exit 1`,
		}, "manager apt-get\npackage kubelet installed 1.37.2-1.1 hold\n"},
	} {
		t.Run(name, func(t *testing.T) {
			// Not this machine's own configuration.
			script := strings.ReplaceAll(installedScript, " /etc/", " DIR/etc/")
			if out := shelltest.Run(t, script, tt.programs, nil, "kubelet", "curl"); out != tt.want {
				t.Errorf("got %q, want %q", out, tt.want)
			}
		})
	}
}

func TestInstallInDash(t *testing.T) {
	out := shelltest.Run(t, aptScript, map[string]string{
		"apt-get": `case "$1" in
update) [ -e DIR/waited ] || { echo "E: Could not get lock /var/lib/apt/lists/lock" >&2; exit 100; }; echo noise ;;
*) echo "$DEBIAN_FRONTEND $*" ;;
esac`,
		"sleep": `: > DIR/waited`,
	}, nil, "curl", "kubeadm=1.37.2-*")
	want := "noninteractive install -q -y --no-install-recommends --allow-change-held-packages " +
		"-o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold curl kubeadm=1.37.2-*\n"
	if out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestImportInDash(t *testing.T) {
	const body = `case "$*" in
"images import --help") echo "   HELP" ;;
*) echo "$*" ;;
esac`
	for help, want := range map[string]string{
		"--local":       "--address /run/x.sock --namespace k8s.io images import --local --digests=false /tmp/a b.tar\n",
		"--snapshotter": "--address /run/x.sock --namespace k8s.io images import --digests=false /tmp/a b.tar\n",
	} {
		programs := map[string]string{"ctr": strings.ReplaceAll(body, "HELP", help)}
		if out := shelltest.Run(t, importScript, programs, map[string]string{"SOCKET": "/run/x.sock", "ARCHIVE": "/tmp/a b.tar"}); out != want {
			t.Errorf("got %q, want %q", out, want)
		}
	}
}

// What the script prints is read as it is meant, and what it does not print is
// not made up.
func TestParseInstalled(t *testing.T) {
	found := parseInstalled([]byte(`manager dnf
package kubeadm installed 1.37.2-1.1 hold
package kubelet config-files 1.36.0-1.1 deinstall
package curl is not installed
no package provides containerd
exclude=kubelet kube*, cri-tools
excludepkgs = etcd
nonsense
`))
	if found.manager != "dnf" || len(found.versions) != 1 || found.versions["kubeadm"] != "1.37.2-1.1" {
		t.Errorf("got %+v", found)
	}
	for name, want := range map[string]bool{"kubeadm": true, "kubectl": true, "cri-tools": true, "etcd": true, "curl": false, "containerd": false} {
		if found.holds(name) != want {
			t.Errorf("%s: held %v", name, !want)
		}
	}
}

func TestPinnedVersions(t *testing.T) {
	for _, tt := range []struct {
		version, installed string
		want               bool
	}{
		{"", "0", true},
		{"1.37.2-*", "1.37.2-1.1", true},
		{"1.37.2-*", "1.37.20-1.1", false},
		{"1.37.2-*", "1.37.2~rc.0-1.1", false},
		{"1.37.2-*", "11.37.2-1.1", false},
		{"1.7.27", "1.7.27-1", true},
		{"1.7.27", "1.7.27", true},
		{"1.7.27-1", "1.7.27-1", true},
		{"1.7.27", "1.7.270-1", false},
		{"5:27.*", "5:27.1-1~debian.12~bookworm", true},
	} {
		if got := (pkg{"x", tt.version}).fits(tt.installed); got != tt.want {
			t.Errorf("%q fits %q: %v", tt.installed, tt.version, got)
		}
	}
}
