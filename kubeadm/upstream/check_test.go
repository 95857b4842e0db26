package upstream

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata/refused")

// readAll returns the contents of the .yaml files of dir.
func readAll(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no file in %s (%v)", dir, err)
	}
	files := make(map[string][]byte)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = data
	}
	return files
}

// Each file of testdata/accepted is complete and clean: accepted with no gap
// filled in, and every value in it reaches what the components act on.
func TestAccepted(t *testing.T) {
	for path, data := range readAll(t, "testdata/accepted") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			result := accept(t, data)
			if len(result.Assumed) > 0 {
				t.Errorf("assumed %v", result.Assumed)
			}
			everythingArrives(t, data, result)
		})
	}
}

// Each file of testdata/refused is refused with exactly the problems beside it,
// all at once, none of them with a secret.
func TestRefused(t *testing.T) {
	for path, data := range readAll(t, "testdata/refused") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			result, err := Check(data)
			var refused *Error
			if !errors.As(err, &refused) || result != nil {
				t.Fatalf("got %v, %v; want only an *Error", result, err)
			}
			var got strings.Builder
			for _, problem := range refused.Problems {
				got.WriteString(problem.String() + "\n")
			}
			if strings.Contains(err.Error()+got.String(), "SECRET") {
				t.Errorf("a secret is shown: %v", err)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("problems differ (-want +got):\n%s", diff)
			}
		})
	}
}

// Release names the release that is linked.
func TestRelease(t *testing.T) {
	if mod := read(t, "go.mod"); !bytes.Contains(mod, []byte("\tk8s.io/kubernetes "+Release+"\n")) {
		t.Errorf("go.mod does not require k8s.io/kubernetes %s", Release)
	}
	// This module knows nothing of its parent, but judges its newest minor.
	newest := regexp.MustCompile(`\tMaxMinor = (\d+)\n`).FindStringSubmatch(string(read(t, "../../releases.go")))
	if newest == nil || !strings.HasPrefix(Release, "v1."+newest[1]+".") {
		t.Errorf("quorate.MaxMinor is %v, and this is %s: upstream/go.mod and check.go, Release", newest, Release)
	}
}

// The steps taken here come to the same configuration as the release's own
// loader, on files that leave it nothing to look up.
func TestSameAsLoader(t *testing.T) {
	for _, file := range []string{"init-external-etcd.yaml", "init-dual-stack.yaml"} {
		data := read(t, "testdata/accepted/"+file)
		got := accept(t, data).Effective.Init
		want, err := config.BytesToInitConfiguration(data, true)
		if err != nil {
			t.Fatal(err)
		}
		if file == "init-dual-stack.yaml" { // its token is drawn at random
			want.BootstrapTokens[0].Token = got.BootstrapTokens[0].Token
		}
		asYAML := func(c any) string { return string(mustYAML(t, c)) }
		if diff := cmp.Diff(asYAML(want), asYAML(got)); diff != "" {
			t.Errorf("%s: InitConfiguration differs (-loader +here):\n%s", file, diff)
		}
		for group, wantConfig := range want.ComponentConfigs {
			if diff := cmp.Diff(asYAML(wantConfig.Get()), asYAML(got.ComponentConfigs[group].Get())); diff != "" {
				t.Errorf("%s: %s differs (-loader +here):\n%s", file, group, diff)
			}
		}
	}
	for _, file := range []string{"join-control-plane.yaml", "join-worker.yaml"} {
		data := read(t, "testdata/accepted/"+file)
		want, err := config.BytesToJoinConfiguration(data, config.LoadOrDefaultConfigurationOptions{SkipCRIDetect: true})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, accept(t, data).Effective.Join); diff != "" {
			t.Errorf("%s: JoinConfiguration differs (-loader +here):\n%s", file, diff)
		}
	}
}

// What kubeadm would take from the host or the network is a placeholder, and is
// named; the same file has the same result on every host.
func TestAssumed(t *testing.T) {
	const head = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: "
	tests := []struct {
		name, file string
		want       []string
	}{
		{"init", head + "InitConfiguration\n", []string{
			"InitConfiguration.nodeRegistration.name",
			"InitConfiguration.localAPIEndpoint.advertiseAddress",
			"ClusterConfiguration.kubernetesVersion",
		}},
		{"join", head + `JoinConfiguration
controlPlane:
  localAPIEndpoint: {advertiseAddress: "::"}
discovery:
  file: {kubeConfigPath: /etc/kubernetes/discovery.conf}
  tlsBootstrapToken: abcdef.0123456789abcdef
`, []string{
			"JoinConfiguration.nodeRegistration.name",
			"JoinConfiguration.controlPlane.localAPIEndpoint.advertiseAddress",
			"JoinConfiguration.discovery.file.kubeConfigPath",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, accept(t, []byte(test.file)).Assumed); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the release's code logs comes back with the result, and klog's own
// output stays quiet and is as it was afterwards.
func TestWarnings(t *testing.T) {
	var out bytes.Buffer
	state := klog.CaptureState()
	defer state.Restore()
	klog.LogToStderr(false)
	klog.SetOutput(&out)

	data := append(read(t, "testdata/accepted/join-worker.yaml"), []byte(`---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
`)...)
	result := accept(t, data)
	if len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "Ignored configuration document") {
		t.Errorf("warnings %q; want the one about the document that join ignores", result.Warnings)
	}
	if out.Len() > 0 {
		t.Errorf("klog printed %q", out.String())
	}
	klog.Warning("after")
	klog.Flush()
	if !strings.Contains(out.String(), "after") {
		t.Error("klog stays diverted after Check")
	}
}

// No input makes the release's code panic or print, and a refusal always says
// why.
func FuzzCheck(f *testing.F) {
	for _, pattern := range []string{"testdata/accepted/*.yaml", "testdata/refused/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		result, err := Check(data)
		if (result == nil) == (err == nil) {
			t.Fatalf("got %v and %v", result, err)
		}
		var refused *Error
		if err != nil && (!errors.As(err, &refused) || len(refused.Problems) == 0) {
			t.Fatalf("%v has no reason", err)
		}
	})
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func accept(t *testing.T, data []byte) *Result {
	t.Helper()
	result, err := Check(data)
	if err != nil {
		t.Fatal(err)
	}
	return result
}
