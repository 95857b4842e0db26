package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan/clusterfile"
)

// TestDescribedClusterIsValid reads back what the lab writes for installer.
func TestDescribedClusterIsValid(t *testing.T) {
	for _, spec := range []machines.Spec{{}, {ControlPlanes: 1}, {ControlPlanes: 2, Workers: 2}, {ControlPlanes: 5}} {
		for _, v2 := range []bool{false, true} {
			c, err := describeCluster(spec, "", v2)
			if err != nil {
				t.Errorf("%+v, cgroup v2 %t: %v", spec, v2, err)
				continue
			}
			text, err := clusterfile.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := c.Kubeadm.Kubelet["failCgroupV1"]; ok == v2 {
				t.Errorf("cgroup v2 %t: the kubelet is configured for v1: %t", v2, ok)
			}
			if !strings.Contains(string(text), "v1.37.2") {
				t.Errorf("no version in %s", text)
			}
			if c.Version.Minor != quorate.MaxMinor {
				t.Errorf("quorate.MaxMinor is 1.%d, and the lab has %s: cluster.go, and what internal/build builds", quorate.MaxMinor, c.Version)
			}
		}
	}
}

func TestCommandLine(t *testing.T) {
	var stderr bytes.Buffer
	c, err := parse([]string{"up", "-control-planes", "5", "-workers", "0", "-cache", "/c", "-hosts-only"}, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	if c.spec.ControlPlanes != 5 || c.spec.Workers != 0 || !c.hostsOnly || c.dir != filepath.Join("/c", "hosts") {
		t.Errorf("parsed %+v", c)
	}
	for _, args := range [][]string{
		{}, {"fly"}, {"up", "-control-planes", "0"}, {"up", "-network", "10.0.0.0/33"}, {"down", "extra"},
	} {
		stderr.Reset()
		if code := lab(t.Context(), args, &stderr, &stderr); code != exitInvalid || stderr.Len() == 0 {
			t.Errorf("lab %q: exit code %d, said %q", args, code, stderr.String())
		}
	}
}
