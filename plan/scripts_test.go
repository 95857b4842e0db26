package plan

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// scripts gives every constant of the package that is a shell script: they all
// begin with a comment that says what they do, since errors show their first
// line. One that is added is found without being listed here.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && strings.HasPrefix(literal.Value, "`#") {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found[spec.Names[0].Name] = text
			}
			return true
		})
	}
	return found
}

// Every script sent to hosts is POSIX shell, says in its first line what it
// does, and dash takes it too.
func TestScriptsParse(t *testing.T) {
	found := scripts(t)
	for _, name := range []string{"versionsScript", "installedScript", "aptScript", "importScript", "preflightScript", "probesScript", "initState", "joinState"} {
		if found[name] == "" {
			t.Errorf("%s was not found", name)
		}
	}
	for name, script := range found {
		if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), name); err != nil {
			t.Error(err)
		}
		if first, _, _ := strings.Cut(script, "\n"); len(first) < 10 || !strings.HasPrefix(first, "# ") {
			t.Errorf("%s: no telling first line: %q", name, first)
		}
		check := exec.Command(dash(t), "-n")
		check.Stdin = strings.NewReader(script)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: dash: %v: %s", name, err, out)
		}
	}
}

func dash(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("dash")
	if err != nil && os.Getenv("QUORATE_CI") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("no dash here")
	}
	return path
}

// runInDash runs a script with dash, where only these programs are found
// besides some coreutils, and DIR is a directory of the test's. It gives what it
// printed.
func runInDash(t *testing.T, script string, programs map[string]string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	shell := dash(t)
	for name, body := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!"+shell+"\n"+strings.ReplaceAll(body, "DIR", dir)+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"head", "tail", "cat", "grep", "env", "stat", "readlink"} {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(shell, append([]string{"-c", strings.ReplaceAll(script, "DIR", dir), "sh"}, args...)...)
	cmd.Env = []string{"PATH=" + dir}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return stdout.String()
}

func TestVersionsInDash(t *testing.T) {
	out := runInDash(t, versionsScript, map[string]string{
		"kubeadm":    `[ "$*" = "version -o short" ] && echo v1.37.2 && echo more`,
		"keepalived": `echo "Keepalived v2.2.7" >&2`,
		"broken":     `exit 3`,
	}, "DIR/none", "kubeadm", "kubeadm", "version -o short", "etcd", "/nowhere/etcd", "--version",
		"keepalived", "keepalived", "--version", "broken", "broken", "")
	if want := "kubeadm=v1.37.2\nkeepalived=Keepalived v2.2.7\nbroken=\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// What is remembered counts as long as nothing has touched a program's file, and
// nothing is remembered of a program that may be another's work.
func TestVersionsAreRememberedInDash(t *testing.T) {
	// The shell is the one binary that is there for certain.
	binary, err := filepath.EvalSymlinks(dash(t))
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
		args := []string{memory}
		for _, name := range programs {
			args = append(args, name, filepath.Join(dir, name), echo)
		}
		versions, remember, _ = strings.Cut(runInDash(t, versionsScript, nil, args...), "remember:\n")
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
			if out := runInDash(t, script, tt.programs, "kubelet", "curl"); out != tt.want {
				t.Errorf("got %q, want %q", out, tt.want)
			}
		})
	}
}

func TestInstallInDash(t *testing.T) {
	out := runInDash(t, aptScript, map[string]string{
		"apt-get": `case "$1" in
update) [ -e DIR/waited ] || { echo "E: Could not get lock /var/lib/apt/lists/lock" >&2; exit 100; }; echo noise ;;
*) echo "$DEBIAN_FRONTEND $*" ;;
esac`,
		"sleep": `: > DIR/waited`,
	}, "curl", "kubeadm=1.37.2-*")
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
		if out := runInDash(t, importScript, programs, "/run/x.sock", "/tmp/a b.tar"); out != want {
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

func TestAPinnedPackageFitsItsVersionOnly(t *testing.T) {
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

// What a kubeadm that was cut off has left is told from what may still come to be
// complete, which alone is worth a wait.
func TestHalfFinishedInDash(t *testing.T) {
	const refused = "The connection to the server 192.0.2.10:6443 was refused - did you specify the right host or port?"
	const missing = `Error from server (NotFound): nodes "cp-1" not found`
	const labelled, bare = "cp-1   Ready   <none>   1m   v1.37.2   a=b,role=", "cp-1   Ready   <none>   1m   v1.37.2   a=b"
	for name, tt := range map[string]struct {
		script         string
		args           []string
		objects, node  string // what kubectl prints; errors are such by their first words
		kubelet        string
		want, alsoWant string
	}{
		"init, all there":                {initState, nil, "configmap/cluster-info", labelled, "active", "state=done", ""},
		"init, no API yet":               {initState, nil, refused, refused, "active", "state=partial", ""},
		"init, no API, no kubelet":       {initState, nil, refused, refused, "inactive", "state=partial", "final=yes"},
		"init, cut before its end":       {initState, nil, `Error from server (NotFound): configmaps "cluster-info" not found`, labelled, "active", "state=partial", "final=yes"},
		"init, not labelled":             {initState, nil, "configmap/cluster-info", bare, "active", "state=partial", "final=yes"},
		"join, all there":                {joinState, []string{"cp-1", "control-plane", "role"}, "", labelled, "active", "state=done", ""},
		"join, not labelled":             {joinState, []string{"cp-1", "control-plane", "role"}, "", bare, "active", "state=partial", "final=yes"},
		"join, not registered":           {joinState, []string{"cp-1", "control-plane", "role"}, "", missing, "active", "state=partial", "final=yes"},
		"join, no API":                   {joinState, []string{"cp-1", "control-plane", "role"}, "", refused, "active", "state=partial", ""},
		"worker, all there":              {joinState, []string{"cp-1", "worker", "role"}, "", bare, "active", "state=done", ""},
		"worker, not registered yet":     {joinState, []string{"cp-1", "worker", "role"}, "", missing, "active", "state=partial", ""},
		"worker, will not be registered": {joinState, []string{"cp-1", "worker", "role"}, "", missing, "inactive", "state=partial", "final=yes"},
	} {
		t.Run(name, func(t *testing.T) {
			args := tt.args
			if args == nil {
				args = []string{"https://192.0.2.11:6443", "https://192.0.2.10:6443/readyz", "cp-1", "role"}
			}
			say := func(text string) string {
				if strings.HasPrefix(text, "Error") || strings.HasPrefix(text, "The connection") {
					return "echo '" + text + "' >&2; exit 1"
				}
				return "echo '" + text + "'"
			}
			programs := map[string]string{
				"kubectl":   "case \"$*\" in *cluster-info*) " + say(tt.objects) + " ;; *) " + say(tt.node) + " ;; esac",
				"systemctl": "[ " + tt.kubelet + " = active ]",
			}
			for _, f := range []string{"admin.conf", "kubelet.conf", "state"} {
				tt.script = strings.ReplaceAll(tt.script, "/etc/kubernetes/"+f, "DIR/kubectl") // a file that is there
			}
			tt.script = strings.ReplaceAll(tt.script, "/var/lib/quorate/", "DIR/")
			tt.script = strings.ReplaceAll(tt.script, "/proc/[0-9]*/comm", "DIR/comm*")
			for process, running := range map[string]bool{"kubeadm": true, "kubeadm-wrapper": false} {
				begun := "echo begun >DIR/kubeadm.state\necho systemd >DIR/comm1\necho " + process + " >DIR/comm2\n"
				out := runInDash(t, begun+tt.script, programs, args...)
				for _, line := range []string{"mark=begun", tt.want, tt.alsoWant} {
					if !strings.Contains(out, line) {
						t.Errorf("no %s in %q", line, out)
					}
				}
				if tt.alsoWant == "" && strings.Contains(out, "final") {
					t.Errorf("it may still be complete: %q", out)
				}
				if running != strings.Contains(out, "running=yes") {
					t.Errorf("%s at work: %q", process, out)
				}
			}
		})
	}
}
