package upstream

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	kubeadmscheme "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta4"
	"k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs"
	kubeadmutil "k8s.io/kubernetes/cmd/kubeadm/app/util"
	"sigs.k8s.io/yaml"
)

// rendered is where the renderer keeps its golden files.
const rendered = "../testdata"

// others hold what others write and Quorate reads, also what kubeadm refuses:
// kubeadm/corpus_test.go compares the one with what the releases' own code makes of it, and
// kubeadm/cases_test.go has what becomes of the other.
var others = map[string]bool{"cases": true, "corpus": true}

// Every file that the renderer's golden tests hold is one that kubeadm takes
// without a warning and without looking anything up on the host, and no value
// in it is lost on the way.
func TestRendered(t *testing.T) {
	if _, err := os.Stat(rendered); os.IsNotExist(err) {
		t.Skip("the renderer has no golden files yet")
	}
	found := 0
	err := filepath.WalkDir(rendered, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && others[entry.Name()]:
			return fs.SkipDir
		case entry.IsDir() || !isYAML(path):
			return nil
		}
		data := read(t, path)
		if !strings.Contains(string(data), v1beta4.SchemeGroupVersion.String()) {
			return nil // for an earlier release, whose own oracle judges it
		}
		found++
		t.Run(strings.TrimPrefix(path, rendered+"/"), func(t *testing.T) {
			result := accept(t, data)
			if len(result.Assumed) > 0 {
				t.Errorf("left to the host or the network: %v", result.Assumed)
			}
			for _, warning := range result.Warnings {
				t.Errorf("warning: %s", warning)
			}
			everythingArrives(t, data, result)
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Fatalf("%s holds no .yaml file", rendered)
	}
}

func isYAML(path string) bool {
	return strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")
}

// everythingArrives checks that each value written in a document is found,
// unchanged, in the configuration that its component acts on.
func everythingArrives(t *testing.T, data []byte, result *Result) {
	t.Helper()
	docs, err := kubeadmutil.SplitConfigDocuments(data)
	if err != nil {
		t.Fatal(err)
	}
	for gvk, doc := range docs {
		var written any
		if err := yaml.Unmarshal(doc, &written); err != nil {
			t.Fatal(err)
		}
		var arrived any
		if err := yaml.Unmarshal(mustYAML(t, effective(t, gvk.Kind, result)), &arrived); err != nil {
			t.Fatal(err)
		}
		for _, lost := range missing(gvk.Kind, written, arrived) {
			t.Error(lost)
		}
	}
}

// effective returns what a kind's component acts on, in the form of the file.
func effective(t *testing.T, kind string, result *Result) any {
	t.Helper()
	external := func(internal, into runtime.Object) any {
		if err := kubeadmscheme.Scheme.Convert(internal, into, nil); err != nil {
			t.Fatal(err)
		}
		into.GetObjectKind().SetGroupVersionKind(v1beta4.SchemeGroupVersion.WithKind(kind))
		return into
	}
	effective := result.Effective
	switch kind {
	case "InitConfiguration":
		return external(effective.Init, &v1beta4.InitConfiguration{})
	case "ClusterConfiguration":
		return external(&effective.Init.ClusterConfiguration, &v1beta4.ClusterConfiguration{})
	case "JoinConfiguration":
		return external(effective.Join, &v1beta4.JoinConfiguration{})
	case "ResetConfiguration":
		return external(effective.Reset, &v1beta4.ResetConfiguration{})
	case "UpgradeConfiguration":
		return external(effective.Upgrade, &v1beta4.UpgradeConfiguration{})
	case "KubeletConfiguration":
		if effective.Init != nil {
			return effective.Init.ComponentConfigs[componentconfigs.KubeletGroup].Get()
		}
		return result.Input.Kubelet
	case "KubeProxyConfiguration":
		if effective.Init != nil {
			return effective.Init.ComponentConfigs[componentconfigs.KubeProxyGroup].Get()
		}
		return result.Input.KubeProxy
	}
	t.Fatalf("no configuration of kind %s", kind)
	return nil
}

// missing names the leaves of written that arrived does not hold. A written
// zero value may be absent: both mean the same to the component, save for an
// empty list, which must arrive as one (taints).
func missing(path string, written, arrived any) []string {
	switch w := written.(type) {
	case map[string]any:
		a, _ := arrived.(map[string]any)
		var lost []string
		for key, value := range w {
			lost = append(lost, missing(path+"."+key, value, a[key])...)
		}
		return lost
	case []any:
		a, ok := arrived.([]any)
		if !ok || len(a) != len(w) {
			return []string{fmt.Sprintf("%s: wrote %v, arrived %v", path, written, arrived)}
		}
		var lost []string
		for i := range w {
			lost = append(lost, missing(fmt.Sprintf("%s[%d]", path, i), w[i], a[i])...)
		}
		return lost
	}
	absentZero := arrived == nil && (written == nil || reflect.ValueOf(written).IsZero())
	if absentZero || reflect.DeepEqual(written, arrived) {
		return nil
	}
	return []string{fmt.Sprintf("%s: wrote %v, arrived %v", path, written, arrived)}
}

// A value that is changed, dropped or shortened on the way is noticed.
func TestMissing(t *testing.T) {
	written := map[string]any{"a": "x", "b": map[string]any{"c": []any{"1", "2"}}, "taints": []any{}, "off": false}
	tests := []struct {
		name    string
		arrived map[string]any
		lost    int
	}{
		{"all there", map[string]any{"a": "x", "b": map[string]any{"c": []any{"1", "2"}}, "taints": []any{}, "more": 1.0}, 0},
		{"changed", map[string]any{"a": "y", "b": map[string]any{"c": []any{"1", "2"}}, "taints": []any{}}, 1},
		{"shortened", map[string]any{"a": "x", "b": map[string]any{"c": []any{"1"}}, "taints": []any{}}, 1},
		{"empty list dropped", map[string]any{"a": "x", "b": map[string]any{"c": []any{"1", "2"}}}, 1},
		{"switched", map[string]any{"a": "x", "b": map[string]any{"c": []any{"1", "2"}}, "taints": []any{}, "off": true}, 1},
		{"nothing there", nil, 3},
	}
	for _, test := range tests {
		if lost := missing("doc", written, test.arrived); len(lost) != test.lost {
			t.Errorf("%s: %q, want %d", test.name, lost, test.lost)
		}
	}
}

func mustYAML(t *testing.T, object any) []byte {
	t.Helper()
	data, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
