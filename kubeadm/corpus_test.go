package kubeadm_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/kubeadm/internal/oracle"
)

// corpusFile is a file as a project of its time writes it: testdata/corpus has a
// directory for each, and the version of the API in the name.
type corpusFile struct {
	name, api, data string
}

const fewestInCorpus = 60

// corpusRefused are files that kubeadm of some releases does not take: of those they
// report true.
var corpusRefused = map[string]func(v quorate.Version) bool{
	"odd/control-plane-of-1.12.v1alpha2": func(v quorate.Version) bool { return v.Minor < 12 },
	"odd/falsities.v1alpha1":             func(v quorate.Version) bool { return v.Minor == 21 }, // kube-dns
	"odd/no-etcd.v1beta3":                func(v quorate.Version) bool { return v.Minor >= 35 },
}

func corpus(t testing.TB) (files []corpusFile) {
	t.Helper()
	paths, err := filepath.Glob("testdata/corpus/*/*.yaml")
	if err != nil || len(paths) < fewestInCorpus {
		t.Fatal(len(paths), err)
	}
	byAPI := map[string]int{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(path), "testdata/corpus/"), ".yaml")
		f := corpusFile{name: name, api: name[strings.LastIndex(name, ".")+1:], data: string(data)}
		byAPI[f.api]++
		files = append(files, f)
	}
	for _, era := range eras {
		if byAPI[era.api] < 5 {
			t.Errorf("%d files of %s", byAPI[era.api], era.api)
		}
	}
	return files
}

// Every file of the corpus is read, and written for its own and every later version
// of the API that takes it; what is written reads back as it is, without a warning of its own.
func TestCorpus(t *testing.T) {
	pairs := 0
	for _, f := range corpus(t) {
		own := false
		for _, era := range eras {
			if own = own || era.api == f.api; !own {
				continue
			}
			to := version(t, era.release)
			text, problems, err := kubeadm.Migrate([]byte(f.data), to)
			if refused := corpusRefused[f.name]; refused != nil && refused(to) {
				if invalid := new(quorate.InvalidError); !errors.As(err, &invalid) {
					t.Errorf("%s to %s: want it refused: %v", f.name, to, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s to %s: %v", f.name, to, err)
				continue
			}
			for _, p := range problems {
				if p.Line == 0 || p.Severity != quorate.Warned {
					t.Errorf("%s to %s: %v: want a warning with a line", f.name, to, p)
				}
			}
			again, _, err := kubeadm.Migrate(text.Bytes(), to)
			if err != nil || !bytes.Equal(again.Bytes(), text.Bytes()) {
				t.Errorf("%s to %s: %v\n%s\nis read and written as\n%s", f.name, to, err, text.Bytes(), again.Bytes())
			}
			pairs++
		}
	}
	t.Logf("%d files written for their own and later versions", pairs)
}

// TestCorpusLikeKubeadm has each release's own "kubeadm config migrate" and
// kubeadm.Migrate write every file of the corpus in an API version that the release
// migrates, and the release's own code read both: where kubeadm takes a file, so
// does Migrate, and they mean the same but for what allowances lists.
func TestCorpusLikeKubeadm(t *testing.T) {
	files := corpus(t)
	used := map[string]int{}
	seen := map[string]bool{}
	compared, refused, values, releases := 0, 0, 0, 0
	oracles(t, func(t *testing.T, r oracle.Release, binary string) {
		for _, from := range r.Migrates {
			m := migrator{release: r, binary: binary, from: from, used: used}
			var of []oracle.File
			for _, f := range files {
				if f.api == from {
					of = append(of, oracle.File{Name: f.name, Data: completed(t, f.data, r)})
				}
			}
			taken := m.taken(t, of)
			m.compare(t, version(t, r.Version), taken)
			for _, f := range taken {
				seen[f.Name] = true
			}
			if m.files < len(of)*2/3 || m.files == 0 {
				t.Errorf("%s: %d of %d files are compared", from, m.files, len(of))
			}
			t.Logf("%s, %s to %s: %d files of the corpus, %d values the same, %d otherwise as listed; %d files that kubeadm refuses",
				r, from, r.API, m.files, m.values, m.allowed, len(of)-len(taken))
			compared, values, refused = compared+m.files, values+m.values, refused+len(of)-len(taken)
		}
		releases++
	})
	for _, name := range slices.Sorted(maps.Keys(used)) {
		t.Logf("%d times: %s", used[name], name)
	}
	for _, a := range allowances {
		if a.corpus && used[a.name] == 0 && releases == len(oracle.Releases) {
			t.Errorf("%s: it is listed and does not happen", a.name)
		}
	}
	t.Logf("%d releases: %d of %d files of the corpus, %d times; %d values the same; %d times kubeadm refuses a file that Quorate takes",
		releases, len(seen), len(files), compared, values, refused)
}

// taken are the files that the release's command takes; Migrate takes the others
// too, or refuses them as the command does.
func (m *migrator) taken(t *testing.T, files []oracle.File) (taken []oracle.File) {
	t.Helper()
	for i, migration := range m.theirs(t, files) {
		if len(migration.Errors) == 0 {
			taken = append(taken, files[i])
			continue
		}
		t.Logf("%s refuses %s: %.300q", m.release, files[i].Name, migration.Errors)
	}
	return taken
}

// completed is a file with what kubeadm would ask the host and the network for, and
// without the metadata that it passes over: the oracles refuse both.
func completed(t testing.TB, data string, r oracle.Release) string {
	t.Helper()
	docs := map[string]map[string]any{}
	var order []string
	for _, text := range documentStart.Split(data, -1) {
		var doc map[string]any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		if kind, _ := doc["kind"].(string); kind != "" {
			delete(doc, "metadata")
			docs[kind] = doc
			order = append(order, kind)
		}
	}
	if cluster := docs["ClusterConfiguration"]; cluster != nil && docs["InitConfiguration"] == nil {
		docs["InitConfiguration"] = map[string]any{"apiVersion": cluster["apiVersion"], "kind": "InitConfiguration"}
		order = append(order, "InitConfiguration")
	}
	var out []string
	for _, kind := range order {
		doc := docs[kind]
		api := strings.TrimPrefix(fmt.Sprint(doc["apiVersion"]), "kubeadm.k8s.io/")
		complete(doc, kind, api, r)
		text, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	return strings.Join(out, "---\n")
}

var documentStart = regexp.MustCompile(`(?m)^---\s*$`)

func complete(doc map[string]any, kind, api string, r oracle.Release) {
	need := func(value any, path ...string) {
		m := doc
		for _, name := range path[:len(path)-1] {
			below, ok := m[name].(map[string]any)
			if !ok {
				below = map[string]any{}
				m[name] = below
			}
			m = below
		}
		if last := path[len(path)-1]; m[last] == nil || m[last] == "" {
			m[last] = value
		}
	}
	const socket, address, token = "/run/x.sock", "192.0.2.9", "abcdef.0123456789abcdef"
	tokens, _ := doc["bootstrapTokens"].([]any)
	for _, each := range tokens {
		if t := each.(map[string]any); t["token"] == nil {
			t["token"] = token
		}
	}
	switch kind {
	case "MasterConfiguration", "ClusterConfiguration":
		doc["kubernetesVersion"] = r.String()
	}
	switch kind {
	case "MasterConfiguration":
		need(address, "api", "advertiseAddress")
		if api == "v1alpha1" {
			need("a", "nodeName")
			need(socket, "criSocket")
			need(token, "token")
			return
		}
		need([]any{map[string]any{"token": token}}, "bootstrapTokens")
	case "NodeConfiguration":
		if api == "v1alpha1" {
			need("a", "nodeName")
			need(socket, "criSocket")
			return
		}
	case "InitConfiguration":
		need([]any{map[string]any{"token": token}}, "bootstrapTokens")
		if api == "v1alpha3" {
			need(address, "apiEndpoint", "advertiseAddress")
		} else {
			need(address, "localAPIEndpoint", "advertiseAddress")
		}
	case "JoinConfiguration":
		if api == "v1alpha3" && doc["controlPlane"] == true {
			need(address, "apiEndpoint", "advertiseAddress")
		} else if _, object := doc["controlPlane"].(map[string]any); object {
			need(address, "controlPlane", "localAPIEndpoint", "advertiseAddress")
		}
	default:
		return
	}
	need("a", "nodeRegistration", "name")
	need(socket, "nodeRegistration", "criSocket")
}
