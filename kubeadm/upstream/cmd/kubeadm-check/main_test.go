package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

const dir = "../../testdata/"

// A run prints every problem of every file, and its exit code says whether
// there was one.
func TestRun(t *testing.T) {
	tests := []struct {
		name       string
		files      []string
		stdin      string
		code       int
		out, error []string
	}{
		{"accepted", []string{dir + "accepted/join-worker.yaml", dir + "accepted/join-control-plane.yaml"}, "", 0,
			[]string{"join-worker.yaml: ok", "join-control-plane.yaml: ok"}, nil},
		{"one of two refused", []string{dir + "refused/unknown-field.yaml", dir + "accepted/join-worker.yaml"}, "", 1,
			[]string{"join-worker.yaml: ok"},
			[]string{"unknown-field.yaml: InitConfiguration: unknown field \"nodeRegistration.nodeName\"", "localAPIEndpoint.advertiseAdress"}},
		{"standard input", []string{"-"}, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n", 0,
			[]string{"-: ok"}, []string{"-: assumed: InitConfiguration.nodeRegistration.name"}},
		{"warning", []string{dir + "accepted/reset-and-upgrade.yaml"}, "", 0,
			[]string{"ok"}, []string{"warning: "}},
		{"no such file", []string{"no-such-file.yaml"}, "", 1, nil, []string{"no-such-file.yaml: "}},
		{"no file named", nil, "", 2, nil, []string{"usage: "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if code := run(test.files, strings.NewReader(test.stdin), &out, &errOut); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			holds(t, "standard output", out.String(), test.out)
			holds(t, "standard error", errOut.String(), test.error)
		})
	}
}

// Secrets in a refused file are not printed.
func TestRunHidesSecrets(t *testing.T) {
	for _, name := range []string{"bad-token", "bad-init-token", "bad-certificate-key"} {
		file := dir + "refused/" + name + ".yaml"
		if data, err := os.ReadFile(file); err != nil || !bytes.Contains(data, []byte("SECRET")) {
			t.Fatalf("%s plants no marker (%v)", file, err)
		}
		var errOut bytes.Buffer
		if code := run([]string{file}, nil, io.Discard, &errOut); code != 1 || strings.Contains(errOut.String(), "SECRET") {
			t.Errorf("exit code %d, %s", code, errOut.String())
		}
	}
}

func holds(t *testing.T, what, text string, wanted []string) {
	t.Helper()
	if len(wanted) == 0 && text != "" {
		t.Errorf("%s %q, want nothing", what, text)
	}
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%s %q lacks %q", what, text, want)
		}
	}
}
