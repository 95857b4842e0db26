package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/internal/operator"
)

func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		info, statErr := d.Info()
		if err != nil || statErr != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		all[rel] = info.Mode().String() + "\n" + string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEveryExampleRenders proves that each example has every node's files,
// that secrets are the owner's alone, in directories that are too, and that a
// second run from the same state changes no byte.
func TestEveryExampleRenders(t *testing.T) {
	examples, err := filepath.Glob("../clusters/*.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatal(examples, err)
	}
	for _, file := range examples {
		t.Run(filepath.Base(file), func(t *testing.T) {
			out, state := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "state")
			args := []string{"-cluster", file, "-out", out, "-state", state}
			code, stdout, stderr := call(t, args...)
			if code != 0 {
				t.Fatal(code, stderr)
			}
			c, err := operator.ReadCluster(file)
			if err != nil {
				t.Fatal(err)
			}
			if node := c.ControlPlanes()[0].Name; !strings.Contains(stdout, node+": ") {
				t.Error(stdout)
			}
			first := snapshot(t, out)
			checkFiles(t, out, first, c)
			if code, _, stderr := call(t, args...); code != 0 {
				t.Fatal(code, stderr)
			}
			second := snapshot(t, out)
			for p := range second {
				if first[p] != second[p] {
					t.Errorf("%s changed in the second run", p)
				}
			}
			if len(first) != len(second) {
				t.Error("the second run wrote other files")
			}
		})
	}
}

func checkFiles(t *testing.T, out string, files map[string]string, c quorate.Cluster) {
	t.Helper()
	first := c.ControlPlanes()[0].Name
	for _, p := range []string{
		"/etc/systemd/system/etcd.service", "/etc/etcd.env", "/etc/etcd/pki/peer.key",
		"/etc/kubernetes/pki/sa.key", "/etc/kubernetes/kubeadm-init.yaml",
	} {
		if files[first+p] == "" {
			t.Errorf("%s is missing on %s", p, first)
		}
	}
	if _, has := files[first+"/etc/keepalived/keepalived.conf"]; has == c.Endpoint.External {
		t.Errorf("keepalived.conf there: %t, external: %t", has, c.Endpoint.External)
	}
	for p, content := range files {
		private := strings.Contains(content, "PRIVATE KEY") || strings.Contains(p, "kubeadm-")
		if !private {
			continue
		}
		if !strings.HasPrefix(content, "-rw-------") {
			t.Errorf("%s holds a secret and is %s", p, content[:10])
		}
		if info, err := os.Stat(filepath.Dir(filepath.Join(out, p))); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the directory of %s: %v, %v", p, info.Mode(), err)
		}
	}
}

func TestBadInputExits2AndWritesNothing(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	text := "version: v1.9.11\nendpoint: {host: 192.0.2.11, vip: {routerID: 300}}\nnodes: [{name: A, role: control-plane, adresses: []}]\n"
	if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"cluster": {[]string{"-cluster", bad, "-out", out}, []string{"bad.yaml", "version:", "endpoint.vip.routerID:", "nodes[0].name:", "nodes[0].adresses: unknown key; did you mean addresses?"}},
		"no file": {[]string{"-cluster", bad + "x", "-out", out}, []string{"no such file"}},
		"no flag": {[]string{"-out", out}, []string{"-cluster FILE"}},
		"more":    {[]string{"-cluster", bad, "-out", out, "x"}, []string{"nothing after the flags"}},
		"unknown": {[]string{"-x"}, []string{"-x"}},
		"form":    {[]string{"-cluster", "../clusters/guide.yaml", "-out", out, "-form", "guide"}, []string{"guide-exact, guide-secure"}},
		"newer":   {[]string{"-cluster", "../clusters/three.yaml", "-out", out, "-form", "guide-exact"}, []string{"etcd.plainHTTP: is for Kubernetes v1.10 alone"}},
		"no VIP":  {[]string{"-cluster", "../clusters/external-lb.yaml", "-out", out, "-form", "guide-exact"}, []string{"endpoint: the guide has a VIP"}},
	} {
		code, stdout, stderr := call(t, tt.args...)
		if code != 2 || stdout != "" {
			t.Errorf("%s: exit %d, %q", name, code, stdout)
		}
		for _, want := range tt.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: want %q in %s", name, want, stderr)
			}
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: wrote %s", name, out)
		}
	}
}

// TestForeignFilesStay proves that a directory with other files is refused,
// taken with -force, and that only render's own stale files are removed.
func TestForeignFilesStay(t *testing.T) {
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := call(t, "-cluster", "../clusters/three.yaml", "-out", out); code != 2 || !strings.Contains(stderr, "-force") {
		t.Fatal(code, stderr)
	}
	if got := snapshot(t, out); len(got) != 1 {
		t.Fatal("wrote although refused", got)
	}
	if code, _, stderr := call(t, "-cluster", "../clusters/three.yaml", "-out", out, "-force"); code != 0 {
		t.Fatal(code, stderr)
	}
	if code, _, stderr := call(t, "-cluster", "../clusters/single.yaml", "-out", out); code != 0 || !strings.Contains(stderr, "warning: nodes: one control plane") {
		t.Fatal(code, stderr)
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{marker, "cp-1", "notes.txt"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

// TestSymbolicLinks proves that a symbolic link in the directory cannot
// make render write outside it.
func TestSymbolicLinks(t *testing.T) {
	out, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(out, "cp-1")); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := call(t, "-cluster", "../clusters/single.yaml", "-out", out, "-force"); code != 1 {
		t.Errorf("exit %d", code)
	}
	if got := snapshot(t, elsewhere); len(got) != 0 {
		t.Error("wrote through the link")
	}
}
