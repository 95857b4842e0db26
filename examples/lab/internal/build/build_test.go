package build

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/cachedir"
)

func TestUnitsCoverWhatAClusterNeeds(t *testing.T) {
	all, err := units(Default)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range all {
		for name := range u.binaries {
			names = append(names, name)
		}
	}
	for _, want := range []string{
		"kubeadm", "kubectl", "kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
		"kube-proxy", "etcd", "etcdctl", "etcdutl", "containerd", "containerd-shim-runc-v2", "ctr",
		"coredns", "pause", "web",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no unit builds %s", want)
		}
	}
}

func TestGoModReplacesStagingModules(t *testing.T) {
	all, err := units(Default)
	if err != nil {
		t.Fatal(err)
	}
	staging, err := parseStaging([]byte("module k8s.io/kubernetes\n\ngo 1.26.0\n\nreplace (\n" +
		"\tk8s.io/api => ./staging/src/k8s.io/api\n\texample.com/other => example.com/fork v1.0.0\n)\n"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "module lab.test/kubernetes\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v1.37.2\n\n" +
		"replace k8s.io/api => k8s.io/api v0.37.2\n"
	if got := all[0].goMod(staging); got != want {
		t.Errorf("go.mod is\n%s\nwant\n%s", got, want)
	}
	if _, err := parseStaging([]byte("module m\n\ngo 1.26.0\n")); err == nil {
		t.Error("a go.mod without staging modules is accepted")
	}
}

func TestKeyFollowsInputs(t *testing.T) {
	key := func(v Versions) string {
		all, err := units(v)
		if err != nil {
			t.Fatal(err)
		}
		k, err := all[0].key()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	other := Default
	other.Kubernetes = "v1.36.3"
	if first, again := key(Default), key(Default); first != again || first == key(other) {
		t.Error("the key of a unit must change with its version and with nothing else")
	}
}

func TestBadVersion(t *testing.T) {
	bad := Default
	bad.Kubernetes = "1.37"
	if _, err := units(bad); err == nil || !strings.Contains(err.Error(), `"1.37"`) {
		t.Errorf("error %v does not name the version", err)
	}
}

// TestE2EBuild builds everything, or finds it in the cache, and reads from the binaries
// for their versions.
func TestE2EBuild(t *testing.T) {
	if os.Getenv("QUORATE_E2E") == "" {
		t.Skip("builds for many minutes: set QUORATE_E2E=1 to run it")
	}
	cache, err := cachedir.Default()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := Builder{
		Cache: cache + "/bin",
		Built: func(set string, took time.Duration) { t.Logf("built %s in %s", set, took) },
	}.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ flag, text string }{
		"kubeadm":    {"version", Default.Kubernetes},
		"kubelet":    {"--version", Default.Kubernetes},
		"kube-proxy": {"--version", Default.Kubernetes},
		"etcd":       {"--version", strings.TrimPrefix(Default.Etcd, "v")},
		"containerd": {"--version", Default.Containerd},
		"coredns":    {"-version", strings.TrimPrefix(Default.CoreDNS, "v")},
	} {
		out, err := exec.CommandContext(t.Context(), paths[name], want.flag).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want.text) {
			t.Errorf("%s %s: %v: %q does not name %s", name, want.flag, err, out, want.text)
		}
	}
}
