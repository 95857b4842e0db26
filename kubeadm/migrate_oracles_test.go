package kubeadm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/kubeadm/internal/oracle"
)

// TestMigrateLikeKubeadm has each release's own "kubeadm config migrate" and
// kubeadm.Migrate write the same files again, and the release's own decoding and
// defaulting read both: field for field they mean the same, but for what
// allowances lists. The files are the matrix and drawn clusters in each API
// version that the release migrates, its own too, and those written by hand that
// are its samples.
func TestMigrateLikeKubeadm(t *testing.T) {
	used := map[string]int{}
	files, values, releases, ci := 0, 0, 0, 0
	oracles(t, func(t *testing.T, r oracle.Release, binary string) {
		if len(r.Migrates) > 0 {
			releases++
		}
		if r.CI {
			ci++
		}
		for _, from := range r.Migrates {
			m := migrator{release: r, binary: binary, from: from, used: used}
			for _, v := range m.sources(t) {
				m.compare(t, v, m.rendered(t, v))
			}
			m.compare(t, version(t, r.Version), m.samples(t))
			if m.files < fewestFiles {
				t.Errorf("%d files of %s are compared, want %d", m.files, from, fewestFiles)
			}
			t.Logf("%s, %s to %s: %d files, %d values the same, %d otherwise as listed; %d files refused by both, %d fields lost by both, %d feature gates that %s has no longer, %d files not expressible in %s",
				r, from, r.API, m.files, m.values, m.allowed, m.refusedByBoth, m.lost, m.gone, r, m.inexpressible, from)
			files, values = files+m.files, values+m.values
		}
		if len(r.Migrates) > 0 {
			// Files as kubeadm writes them, with all that it fills in.
			m := migrator{release: r, binary: binary, from: r.Migrates[0], used: used}
			for _, v := range m.sources(t) {
				written := m.writtenByKubeadm(t, m.withoutGone(t, m.rendered(t, v)))
				again := migrator{release: r, binary: binary, from: r.API, used: used}
				again.compare(t, v, written)
				t.Logf("%s, %s as kubeadm writes it: %d files, %d values the same, %d otherwise as listed; %d files refused by both, %d fields lost by both",
					r, r.API, again.files, again.values, again.allowed, again.refusedByBoth, again.lost)
				files, values = files+again.files, values+again.values
			}
		}
	})
	ofCI := slices.DeleteFunc(slices.Clone(oracle.Releases), func(r oracle.Release) bool { return !r.CI })
	for _, a := range allowances {
		t.Logf("%d times: %s (%s)", used[a.name], a.name, a.source)
		if used[a.name] == 0 && ci == len(ofCI) && !a.corpus {
			t.Errorf("%s: it is listed and does not happen", a.name)
		}
	}
	t.Logf("%d releases, %d files, %d values the same", releases, files, values)
}

// TestMigrateOthers has each release's command refuse the files of every API
// version that it does not migrate: those that are compared are all there are.
func TestMigrateOthers(t *testing.T) {
	oracles(t, func(t *testing.T, r oracle.Release, binary string) {
		for _, from := range []string{"v1alpha1", "v1alpha2", "v1alpha3", "v1beta1", "v1beta2", "v1beta3", "v1beta4"} {
			m := migrator{release: r, binary: binary, from: from}
			migrations, err := oracle.Migrate(t.Context(), binary, m.samples(t))
			if err != nil {
				t.Fatal(err)
			}
			why := ""
			for _, f := range migrations {
				switch migrates := slices.Contains(r.Migrates, from); {
				case migrates && len(f.Errors) > 0:
					t.Errorf("%s: refused: %q", f.Name, f.Errors)
				case migrates && !strings.Contains(f.Data, "apiVersion: kubeadm.k8s.io/"+r.API+"\n"):
					t.Errorf("%s is not migrated to %s:\n%s", f.Name, r.API, f.Data)
				case !migrates && len(f.Errors) == 0:
					t.Errorf("%s is migrated:\n%s", f.Name, f.Data)
				case !migrates:
					why = f.Errors[0]
				}
			}
			if why != "" {
				t.Logf("%s does not migrate %s: %s", r, from, why)
			}
		}
	})
}

// TestMigrateSeesADifference changes every value of what kubeadm.Migrate writes,
// one at a time: the release refuses the file or the comparison reports it.
func TestMigrateSeesADifference(t *testing.T) {
	oracles(t, func(t *testing.T, r oracle.Release, binary string) {
		for _, from := range r.Migrates {
			m := migrator{release: r, binary: binary, from: from, used: map[string]int{}}
			sources := m.sources(t)
			v := sources[len(sources)-1] // v1alpha1 cannot express much of 1.11
			reported, refused := 0, 0
			for _, f := range longest(slices.DeleteFunc(m.rendered(t, v), func(f oracle.File) bool {
				_, refused := m.ours(t, f)
				return refused != nil
			})) {
				ours, _ := m.ours(t, f)
				kubeadms := m.theirs(t, m.withoutGone(t, []oracle.File{f}))[0]
				theirs := m.meaning(t, []oracle.File{{Name: f.Name + ", as kubeadm migrates it", Data: kubeadms.Data}})[0]
				if theirs == nil {
					continue // and said so
				}
				changed := changes(t, ours)
				verdicts, err := oracle.Run(t.Context(), binary, changed)
				if err != nil {
					t.Fatal(err)
				}
				for i, verdict := range verdicts {
					if !verdict.Accepted() {
						refused++
						continue
					}
					_, found := differences(theirs, decoded(t, verdict.Objects))
					found = slices.DeleteFunc(found, func(d difference) bool { return m.allowance(source{v, f.Data}, d) != "" })
					if len(found) == 0 {
						t.Errorf("%s: nobody sees it\n%s", verdict.Name, changed[i].Data)
						continue
					}
					reported++
				}
			}
			if reported < fewestChanges || refused > reported {
				t.Errorf("%s: %d changes reported, %d refused: want at least %d reported, and most", from, reported, refused, fewestChanges)
			}
			t.Logf("%s, %s to %s: %d values changed, %d reported, %d refused", r, from, r.API, reported+refused, reported, refused)
		}
	})
}

const (
	// migratedClusters is how many are drawn for each version and API version.
	migratedClusters = 20
	// Bounds below which a test would prove little, for each release and API version.
	fewestFiles   = 70
	fewestChanges = 40
)

// allowance is a way in which what kubeadm writes may mean something else.
type allowance struct {
	// name says what is otherwise, and why.
	name string
	// source is kubeadm's code that makes it so, below cmd/kubeadm/app.
	source string
	// first and last are the minors of the releases that do it, and from the API
	// version of the file, if only of one.
	first, last int
	from        string
	// at are the fields, with [] for any index.
	at []string
	// corpus is for files that only the corpus has.
	corpus bool
	// holds reports whether a difference is this one. What Quorate makes of the field
	// must be exactly what the file says.
	holds func(m *migrator, f source, d difference) bool
}

// source is a file to migrate, and the version of Kubernetes that it is for.
type source struct {
	version quorate.Version
	data    string
}

// says returns what is at a path of the file, nil if nothing is.
func (f source) says(path string) any {
	names := strings.Split(path, ".")
	for doc := range strings.SplitSeq(f.data, "---\n") {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(doc), &content); err == nil && content["kind"] == names[0] {
			return field(content, names[1:]...)
		}
	}
	return nil
}

// allowances are all there are. Whatever else differs is a mistake.
var allowances = []allowance{
	{
		name:   "kubernetesVersion stays as it is; Quorate's becomes that of the release to migrate to",
		source: "util/config/common.go: NormalizeKubernetesVersion", first: 11, last: 37,
		at: []string{"MasterConfiguration.kubernetesVersion", "ClusterConfiguration.kubernetesVersion"},
		holds: func(m *migrator, f source, d difference) bool {
			return d.theirs == f.version.String() && d.ours == m.release.String()
		},
	},
	{
		name:   "no taints is lost, and comes to mean the default ones: its types leave an empty list out",
		source: "apis/kubeadm/VERSION/types.go: NodeRegistrationOptions.Taints, omitempty before v1beta2", first: 11, last: 14,
		at: []string{
			"MasterConfiguration.nodeRegistration.taints", "NodeConfiguration.nodeRegistration.taints",
			"InitConfiguration.nodeRegistration.taints", "JoinConfiguration.nodeRegistration.taints",
		},
		holds: func(_ *migrator, _ source, d difference) bool {
			byDefault := compact(d.theirs) == `[{"effect":"NoSchedule","key":"node-role.kubernetes.io/master"}]`
			return (d.theirs == nil || byDefault) && compact(d.ours) == "[]"
		},
	},
	{
		name:   "a socket's scheme stays; Quorate writes the path alone until 1.23, which means the same",
		source: "util/runtime: NewContainerRuntime takes both", first: 11, last: 23,
		at: []string{"InitConfiguration.nodeRegistration.criSocket", "JoinConfiguration.nodeRegistration.criSocket"},
		holds: func(_ *migrator, _ source, d difference) bool {
			path, text := d.ours.(string)
			return text && d.theirs == "unix://"+path
		},
	},
	{
		name:   "an endpoint without a port stays so, and means bindPort; Quorate says the port",
		source: "util/endpoint.go: GetMasterEndpoint", first: 11, last: 11, from: "v1alpha1",
		at: []string{"MasterConfiguration.api.controlPlaneEndpoint"},
		holds: func(_ *migrator, _ source, d difference) bool {
			host, text := d.theirs.(string)
			port, number := field(d.oursAll, "MasterConfiguration", "api", "bindPort").(float64)
			return text && number && d.ours == net.JoinHostPort(host, fmt.Sprint(port))
		},
	},
	{
		name:   "timeouts are lost: 1.30 moves them to fields that v1beta3 has not",
		source: "util/config/common.go: defaultMigrateMutators", first: 30, last: 30, from: "v1beta3",
		at: []string{"JoinConfiguration.discovery.timeout", "ClusterConfiguration.apiServer.timeoutForControlPlane"},
		holds: func(_ *migrator, f source, d difference) bool {
			byDefault := map[string]any{"JoinConfiguration.discovery.timeout": "5m0s", "ClusterConfiguration.apiServer.timeoutForControlPlane": "4m0s"}
			return d.theirs == byDefault[d.at] && sameValue(f.says(d.at), d.ours)
		},
	},
	{
		name:   "a JoinConfiguration is lost beside an InitConfiguration",
		source: "util/config/common.go: MigrateOldConfig", first: 11, last: 12, corpus: true,
		at: []string{"JoinConfiguration"},
		holds: func(_ *migrator, f source, d difference) bool {
			return d.theirs == nil && d.ours != nil && f.says("JoinConfiguration.kind") != nil
		},
	},
	{
		name:   "a timeout becomes zero: what is for v1beta3 is done to v1beta4 too",
		source: "util/config/common.go: defaultMigrateMutators", first: 31, last: 36, from: "v1beta4",
		at: []string{"InitConfiguration.timeouts.controlPlaneComponentHealthCheck"},
		holds: func(_ *migrator, f source, d difference) bool {
			said := f.says(d.at)
			return d.theirs == "0s" && (d.ours == said || d.ours == "4m0s" && said == nil)
		},
	},
}

// allowance finds the one that a difference is, "" if it is none.
func (m *migrator) allowance(f source, d difference) string {
	for _, a := range allowances {
		minor := m.release.Minor()
		if minor >= a.first && minor <= a.last && (a.from == "" || a.from == m.from) &&
			slices.Contains(a.at, anyIndex.ReplaceAllString(d.at, "[]")) && a.holds(m, f, d) {
			return a.name
		}
	}
	return ""
}

var anyIndex = regexp.MustCompile(`\[\d+\]`)

// componentsLeftOut is the first minor whose command leaves the documents of the
// kubelet and kube-proxy out of what it writes: MarshalInitConfigurationToBytes
// in util/config/initconfiguration.go. Who uses it puts them there again.
const componentsLeftOut = 16

// lost are what kubeadm drops in silence and Migrate warns of, by the API version
// of the file.
var lost = map[string]string{
	"v1alpha1": "MasterConfiguration.imagePullPolicy", // v1alpha2 has no such field
}

// migrator compares the migrations of one API version to a release's own.
type migrator struct {
	release oracle.Release
	binary  string
	from    string
	used    map[string]int
	// what was counted
	files, inexpressible, lost, refusedByBoth, gone, values, allowed int
}

// sources are the versions of Kubernetes that a file to migrate is written for:
// the release's own, and the minor before it, which is the upgrade that the
// command is there for. Not those whose kubeadm does not read the API version.
func (m *migrator) sources(t *testing.T) (versions []quorate.Version) {
	t.Helper()
	own := version(t, m.release.Version)
	for _, v := range []quorate.Version{own, {Major: 1, Minor: own.Minor - 1}} {
		c := cluster(t, 3, 1, v4)
		c.Version, c.Kubeadm.APIVersion = v, m.from
		if problems := kubeadm.Problems(c); !slices.ContainsFunc(problems, func(p quorate.Problem) bool { return p.Path == "kubeadm.apiVersion" }) {
			versions = append(versions, v)
		}
	}
	return versions
}

// rendered are the matrix and drawn clusters of a version, in the API version to
// migrate from. What that cannot express is left out and counted.
func (m *migrator) rendered(t *testing.T, v quorate.Version) (files []oracle.File) {
	t.Helper()
	add := func(name string, c quorate.Cluster, s kubeadm.Secrets, more func([]kubeadm.Node)) {
		c.Kubeadm.APIVersion = m.from
		nodes, err := kubeadm.Nodes(c, s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		more(nodes)
		for _, n := range nodes {
			text, err := n.Config.YAML()
			if invalid := new(quorate.InvalidError); errors.As(err, &invalid) {
				m.inexpressible++
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			files = append(files, oracle.File{Name: fmt.Sprintf("%s for %s, %s %s", m.from, v, name, n.Name), Data: string(text.Bytes())})
		}
	}
	for _, of := range combinations(t, v) {
		if !of.refused {
			add(of.name, of.cluster, secrets(t), func([]kubeadm.Node) {})
		}
	}
	for seed := range migratedClusters {
		c, s := drawnCluster(t, v, seed)
		if m.from == "v1beta1" {
			s.CertificateKey = quorate.Content{} // it has no place for it
		}
		add(fmt.Sprintf("drawn %d", seed), c, s, func(nodes []kubeadm.Node) { drawnMore(nodes, seed) })
	}
	return files
}

// writtenByKubeadm returns the files as the release's command writes them.
func (m *migrator) writtenByKubeadm(t *testing.T, files []oracle.File) (written []oracle.File) {
	t.Helper()
	for i, migration := range m.theirs(t, files) {
		if len(migration.Errors) == 0 {
			written = append(written, oracle.File{Name: files[i].Name + ", as kubeadm writes it", Data: migration.Data})
		}
	}
	return written
}

// samples are files of the API version that no one rendered.
func (m *migrator) samples(t *testing.T) (files []oracle.File) {
	t.Helper()
	samples, err := oracle.Samples(os.DirFS("internal/oracle/testdata"), oracle.Release{Version: m.release.Version, API: m.from})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if !s.Refused && !strings.Contains(s.Data, "kind: ResetConfiguration") && !strings.Contains(s.Data, "kind: UpgradeConfiguration") {
			files = append(files, s.File)
		}
	}
	return files
}

// compare migrates files that are for a version of Kubernetes both ways.
func (m *migrator) compare(t *testing.T, v quorate.Version, all []oracle.File) {
	t.Helper()
	var old, theirs, ours []oracle.File
	migrations := m.theirs(t, m.withoutGone(t, all))
	for i, f := range all {
		text, refused := m.ours(t, f)
		switch {
		case refused != nil && len(migrations[i].Errors) > 0:
			m.refusedByBoth++
		case refused != nil:
			t.Errorf("%s: %v\n%s", f.Name, refused, f.Data)
		case len(migrations[i].Errors) > 0:
			t.Errorf("%s: kubeadm does not migrate it: %q\n%s", f.Name, migrations[i].Errors, f.Data)
		default:
			old, ours = append(old, f), append(ours, text)
			theirs = append(theirs, oracle.File{Name: f.Name + ", as kubeadm migrates it", Data: migrations[i].Data})
		}
	}
	theyMean, weMean := m.meaning(t, theirs), m.meaning(t, ours)
	for i, f := range old {
		if theyMean[i] == nil || weMean[i] == nil {
			continue // and said so
		}
		m.files++
		n, found := differences(theyMean[i], weMean[i])
		m.values += n - len(found)
		for _, d := range found {
			if name := m.allowance(source{v, f.Data}, d); name != "" {
				m.used[name]++
				m.allowed++
				continue
			}
			t.Errorf("%s: %s\n%s", f.Name, d, f.Data)
		}
	}
}

// withoutGone leaves out of the files the feature gates that the release has no
// longer. Its command refuses them, which is seen to here; Migrate leaves them out
// itself and says so.
func (m *migrator) withoutGone(t *testing.T, files []oracle.File) []oracle.File {
	t.Helper()
	cut := slices.Clone(files)
	for i, f := range files {
		_, warnings, err := kubeadm.Migrate([]byte(f.Data), version(t, m.release.Version))
		if err != nil {
			continue // compare says so
		}
		for _, w := range warnings {
			gate, ok := strings.CutPrefix(w.Path, "ClusterConfiguration.featureGates.")
			if !ok || !strings.Contains(w.Message, "left out") {
				continue
			}
			migrations, err := oracle.Migrate(t.Context(), m.binary, []oracle.File{f})
			if err != nil {
				t.Fatal(err)
			}
			if said := strings.Join(migrations[0].Errors, " "); !strings.Contains(said, gate+" is not a valid feature name") {
				t.Errorf("%s: kubeadm takes the feature gate %s, and Migrate leaves it out: %q", f.Name, gate, said)
			}
			cut[i].Data = regexp.MustCompile(`(?m)^ +`+gate+`: (true|false)\n`).ReplaceAllString(cut[i].Data, "")
			m.gone++
		}
	}
	return cut
}

// theirs is what the release's own command writes, and beside it the documents
// that it leaves out.
func (m *migrator) theirs(t *testing.T, old []oracle.File) []oracle.Migration {
	t.Helper()
	migrations, err := oracle.Migrate(t.Context(), m.binary, old)
	if err != nil {
		t.Fatal(err)
	}
	if m.release.Minor() < componentsLeftOut {
		return migrations
	}
	for i, f := range old {
		if strings.Contains(migrations[i].Data, "kind: Kube") {
			t.Errorf("%s: kubeadm does write the components' documents", f.Name)
		}
		for doc := range strings.SplitSeq(f.Data, "---\n") {
			if strings.Contains(doc, "kind: Kube") {
				migrations[i].Data += "---\n" + doc
			}
		}
	}
	return migrations
}

// ours is what kubeadm.Migrate writes, or the problems that it refuses the file
// for. It loses nothing.
func (m *migrator) ours(t *testing.T, old oracle.File) (oracle.File, quorate.Problems) {
	t.Helper()
	text, warnings, err := kubeadm.Migrate([]byte(old.Data), version(t, m.release.Version))
	if invalid := new(quorate.InvalidError); errors.As(err, &invalid) {
		return oracle.File{}, invalid.Problems
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if strings.Contains(w.Message, "left out") && w.Path == lost[m.from] {
			m.lost++
		} else if strings.Contains(w.Message, "left out") && !strings.HasPrefix(w.Path, "ClusterConfiguration.featureGates.") { // see withoutGone
			t.Errorf("%s: %v\n%s", old.Name, w, old.Data)
		}
	}
	return oracle.File{Name: old.Name + ", as Quorate migrates it", Data: string(text.Bytes())}, nil
}

// meaning is what the release makes of each file, nil for one that it refuses.
func (m *migrator) meaning(t *testing.T, files []oracle.File) []map[string]any {
	t.Helper()
	verdicts, err := oracle.Run(t.Context(), m.binary, files)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]map[string]any, len(files))
	for i, v := range verdicts {
		if !v.Accepted() {
			t.Errorf("%s: refused: %q\n%s", v.Name, v.Errors, files[i].Data)
			continue
		}
		out[i] = decoded(t, v.Objects)
	}
	return out
}

func decoded(t *testing.T, objects map[string]json.RawMessage) map[string]any {
	t.Helper()
	out := map[string]any{}
	for kind, text := range objects {
		var object any
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		out[kind] = object
	}
	return out
}

// difference is a value that one has otherwise than the other; nil is none.
type difference struct {
	at           string
	theirs, ours any
	// oursAll is all that ours is part of.
	oursAll any
}

func (d difference) String() string {
	return fmt.Sprintf("%s: kubeadm migrates it to %s, Quorate to %s", d.at, compact(d.theirs), compact(d.ours))
}

func field(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// differences counts the values of two objects and returns those that differ. No
// two values are taken for the same that are not: an empty list is not none.
func differences(theirs, ours any) (values int, found []difference) {
	var walk func(at string, a, b any)
	walk = func(at string, a, b any) {
		am, aIs := a.(map[string]any)
		bm, bIs := b.(map[string]any)
		if aIs && bIs {
			names := maps.Clone(am)
			maps.Copy(names, bm)
			for _, name := range slices.Sorted(maps.Keys(names)) {
				walk(strings.TrimPrefix(at+"."+name, "."), am[name], bm[name])
			}
			return
		}
		al, aIs := a.([]any)
		bl, bIs := b.([]any)
		if aIs && bIs && len(al) == len(bl) && len(al) > 0 {
			for i := range al {
				walk(fmt.Sprintf("%s[%d]", at, i), al[i], bl[i])
			}
			return
		}
		values++
		if !reflect.DeepEqual(a, b) {
			found = append(found, difference{at, a, b, ours})
		}
	}
	walk("", theirs, ours)
	return values, found
}

// longest returns of the files of each kind of node the one that says most.
func longest(files []oracle.File) []oracle.File {
	byKind := map[string]oracle.File{}
	for _, f := range files {
		kind := "worker"
		switch {
		case strings.Contains(f.Data, "kind: InitConfiguration"), strings.Contains(f.Data, "kind: MasterConfiguration"):
			kind = "init"
		case strings.Contains(f.Data, "\ncontrolPlane:"):
			kind = "control plane"
		}
		if len(f.Data) > len(byKind[kind].Data) {
			byKind[kind] = f
		}
	}
	var out []oracle.File
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		out = append(out, byKind[kind])
	}
	return out
}

// changes returns the file with one value changed, for each value in it.
func changes(t *testing.T, f oracle.File) (out []oracle.File) {
	t.Helper()
	docs := strings.Split(f.Data, "---\n")
	for i, doc := range docs {
		count := 0
		for n := 0; n == 0 || n < count; n++ {
			var content any
			if err := yaml.Unmarshal([]byte(doc), &content); err != nil {
				t.Fatal(err)
			}
			var at string
			count = 0
			content = changed(content, "", func(here string, v any) any {
				if here == ".apiVersion" || here == ".kind" {
					return v
				}
				if count++; count-1 != n {
					return v
				}
				at = here
				return otherwise(v)
			})
			text, err := yaml.Marshal(content)
			if err != nil {
				t.Fatal(err)
			}
			if at == "" {
				continue
			}
			all := slices.Clone(docs)
			all[i] = string(text)
			out = append(out, oracle.File{Name: f.Name + ", with another " + at, Data: strings.Join(all, "---\n")})
		}
	}
	return out
}

// changed calls f for every value.
func changed(v any, at string, f func(at string, v any) any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			v[name] = changed(v[name], at+"."+name, f)
		}
		return v
	case []any:
		for i := range v {
			v[i] = changed(v[i], fmt.Sprintf("%s[%d]", at, i), f)
		}
		return v
	}
	return f(at, v)
}

// otherwise is another value that may do in its place.
func otherwise(v any) any {
	switch v := v.(type) {
	case bool:
		return !v
	case float64:
		return v + 1
	case string:
		last := strings.LastIndexAny(v, "0123456789")
		if last < 0 {
			return v + "x"
		}
		digit := "1"
		if v[last] == '1' {
			digit = "2"
		}
		return v[:last] + digit + v[last+1:]
	}
	return "x"
}
