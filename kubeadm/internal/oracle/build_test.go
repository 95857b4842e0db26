package oracle

import (
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
)

func TestReleases(t *testing.T) {
	apis := map[string][]int{}
	for i, r := range Releases {
		if i > 0 {
			require.Greater(t, r.Minor(), Releases[i-1].Minor(), "oldest first")
		}
		if r.CI {
			apis[r.API] = append(apis[r.API], r.Minor())
		}
	}
	// Of every API version its first release and its last; v1beta4's last is judged
	// by an oracle of its own, package kubeadm/upstream.
	require.Equal(t, map[string][]int{
		"v1alpha1": {10}, "v1alpha2": {11}, "v1alpha3": {12}, "v1beta1": {13, 14},
		"v1beta2": {15, 21}, "v1beta3": {22, 30}, "v1beta4": {31},
	}, apis)

	r, err := Find("v1.30.3")
	require.NoError(t, err)
	require.Equal(t, "v1.30.3", r.String())
	var unknown *UnknownReleaseError
	_, err = Find("1.9.0")
	require.ErrorAs(t, err, &unknown)
}

func TestSourcesOfReleases(t *testing.T) {
	for version, want := range map[string]string{
		"1.10.4":  "v1alpha1.go",
		"1.11.10": "v1alpha2.go",
		"1.12.10": "documents.go load_1.12.go components_1.12.go migrate_1.12.go",
		"1.13.12": "documents.go load_1.13.go components_1.12.go migrate_1.13.go",
		"1.17.17": "documents.go load_1.14.go components_1.17.go migrate_1.14.go refused_1.17.go kubelet_1.17.go",
		"1.22.17": "documents.go load_1.14.go components_1.19.go migrate_1.14.go refused_1.17.go kubelet_1.17.go",
		"1.28.15": "documents.go load_1.14.go components_1.19.go migrate_1.28.go refused_1.17.go kubelet_1.23.go",
		"1.30.3":  "documents.go load_1.30.go components_1.19.go migrate_1.30.go refused_1.17.go kubelet_1.23.go",
		"1.36.3":  "documents.go load_1.31.go components_1.19.go migrate_1.31.go refused_1.17.go kubelet_1.23.go",
		"1.37.2":  "documents.go load_1.31.go components_1.19.go migrate_1.37.go refused_1.17.go kubelet_1.23.go",
	} {
		r, err := Find(version)
		require.NoError(t, err)
		require.Equal(t, "main.go strict.go migrate.go "+want, strings.Join(r.sources(), " "), version)
	}
}

// What the go tools do not look at is Go all the same, in the house's form, and
// every function that the shared files call is there once.
func TestPrograms(t *testing.T) {
	used := map[string]bool{}
	for _, r := range Releases {
		files, err := r.programFiles()
		require.NoError(t, err)
		declared := map[string]string{}
		for _, f := range files {
			used[f.name] = true
			require.NotContains(t, string(f.data), "APIVERSION", f.name)
			require.NotContains(t, string(f.data), "github.com/quorate-dev", f.name)
			parsed, err := parser.ParseFile(token.NewFileSet(), f.name, f.data, parser.ParseComments)
			require.NoError(t, err)
			for _, object := range regexp.MustCompile(`(?m)^func (\w+)`).FindAllStringSubmatch(string(f.data), -1) {
				require.Empty(t, declared[object[1]], "%s: %s in %s too", r, object[1], f.name)
				declared[object[1]] = f.name
			}
			require.Equal(t, "main", parsed.Name.Name)
		}
		for _, name := range []string{"main", "newObject", "newMigrated", "forLoader", "load", "migrateFile"} {
			require.Contains(t, declared, name, r.String())
		}
	}
	entries, err := program.ReadDir("_program")
	require.NoError(t, err)
	for _, entry := range entries {
		require.True(t, used[entry.Name()], "no release uses %s", entry.Name())
		data, err := program.ReadFile("_program/" + entry.Name())
		require.NoError(t, err)
		formatted, err := format.Source(data)
		require.NoError(t, err)
		require.Equal(t, string(formatted), string(data), "gofmt %s", entry.Name())
	}
}

// A build asks for nothing that is not settled: the release itself, and of
// staging modules either its own tree's or those published with it.
func TestModules(t *testing.T) {
	for _, r := range Releases {
		files, err := r.moduleFiles()
		require.NoError(t, err)
		mod, sum := string(files[0].data), string(files[1].data)
		require.Contains(t, mod, kubernetes+" "+r.String()+"\n")
		require.Contains(t, sum, kubernetes+" "+r.String()+" h1:")
		staging := regexp.MustCompile(`(?m)^\tk8s\.io/api => (.*)$`).FindStringSubmatch(mod)
		require.NotNil(t, staging, r.String())
		if r.stagedInTree() {
			require.Equal(t, "./staging/api", staging[1], r.String())
		} else {
			require.Equal(t, "k8s.io/api v0"+strings.TrimPrefix(r.Version, "1"), staging[1])
		}
	}
}

func TestLinkedVersion(t *testing.T) {
	flags := strings.Fields(Release{Version: "1.30.3"}.linkedVersion())
	require.True(t, slices.Contains(flags, "-X=k8s.io/component-base/version.gitVersion=v1.30.3"))
	require.True(t, slices.Contains(flags, "-X=k8s.io/component-base/version.gitMinor=30"))
}

func TestGoModules(t *testing.T) {
	mod := []byte(`module k8s.io/kubernetes

require (
	github.com/a/b v1.2.3
	github.com/c/d v0.0.0-20180101000000-0123456789ab // indirect
	k8s.io/api v0.0.0
	k8s.io/klog v0.3.1
)

replace (
	github.com/a/b => github.com/a/b v1.2.0
	github.com/e/f => github.com/g/f v1.0.0
	k8s.io/api => ./staging/src/k8s.io/api
)
`)
	require.Equal(t, []string{"github.com/a/b v1.2.3", "github.com/c/d v0.0.0-20180101000000-0123456789ab", "k8s.io/klog v0.3.1"}, thirdParty(mod))
	require.Equal(t, []string{"github.com/a/b => github.com/a/b v1.2.0", "github.com/e/f => github.com/g/f v1.0.0"}, thirdPartyReplaces(mod))

	dir := t.TempDir()
	require.NoError(t, writeFiles(dir, []file{{"go.mod", mod}}))
	names, err := Release{Version: "1.15.12"}.staging(downloaded{GoMod: filepath.Join(dir, "go.mod")})
	require.NoError(t, err)
	require.Equal(t, []string{"api"}, names)

	require.NoError(t, os.MkdirAll(filepath.Join(dir, "staging", "src", "k8s.io", "client-go"), 0o755))
	names, err = Release{Version: "1.12.10"}.staging(downloaded{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, []string{"client-go"}, names)
}

func TestCopyGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "api")
	require.NoError(t, copyGo(dir, fstest.MapFS{
		"core/types.go":      {Data: []byte("package core\n")},
		"core/types_test.go": {Data: []byte("package core\n")},
		"core/BUILD":         {Data: []byte("not go\n")},
	}))
	require.FileExists(t, filepath.Join(dir, "core", "types.go"))
	require.NoFileExists(t, filepath.Join(dir, "core", "types_test.go"))
	require.NoFileExists(t, filepath.Join(dir, "core", "BUILD"))
}

// What is in the cache is not built again, and what a build that was cut off
// left is not taken for a binary.
func TestBuildFindsExistingOracles(t *testing.T) {
	cache := t.TempDir()
	r := Releases[0]
	path, err := Path(cache, r)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.False(t, built(path))
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	binary, err := Build(t.Context(), cache, r)
	require.NoError(t, err)
	require.Equal(t, path, binary)

	other, err := Path(cache, Releases[1])
	require.NoError(t, err)
	require.NotEqual(t, filepath.Dir(path), filepath.Dir(other))
}

// A build that fails says whose it was, and leaves the cache as it found it.
func TestBuildThatFails(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no go command
	cache := t.TempDir()
	_, err := Build(t.Context(), cache, Releases[0])
	var failed *BuildError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, Releases[0], failed.Release)
	left, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestSamples(t *testing.T) {
	tree := os.DirFS("testdata")
	for _, r := range Releases {
		samples, err := Samples(tree, r)
		require.NoError(t, err)
		accepted, refused := 0, 0
		for _, s := range samples {
			require.NotContains(t, s.Data, "RELEASE")
			if s.Refused {
				refused++
			} else {
				accepted++
			}
		}
		require.GreaterOrEqual(t, accepted, 3, r.String())
		require.GreaterOrEqual(t, refused, 10, r.String())
	}
	s := Sample{File: File{Name: "a"}, Refused: true, Why: "because"}
	require.Empty(t, s.Wrong(Verdict{Name: "a", Errors: []string{"just because"}}))
	require.NotEmpty(t, s.Wrong(Verdict{Name: "a", Errors: []string{"for another reason"}}))
	require.NotEmpty(t, s.Wrong(Verdict{Name: "a"}))
	require.NotEmpty(t, s.Wrong(Verdict{Name: "b", Errors: []string{"because"}}))
	s.Refused = false
	require.Empty(t, s.Wrong(Verdict{Name: "a"}))
	require.NotEmpty(t, s.Wrong(Verdict{Name: "a", Errors: []string{"because"}}))
}

// noOracle are minors whose newest release has no oracle yet, with the reason.
var noOracle = map[int]string{}

// The newest minor has an oracle, or a reason why not. Where this fails, pin its
// newest release (cmd/oracles, "make oracles") and see in sources and Migrates
// what moved.
func TestReleasesReachTheNewestMinor(t *testing.T) {
	last := Releases[len(Releases)-1].Minor()
	if _, known := noOracle[quorate.MaxMinor]; last != quorate.MaxMinor && !known {
		t.Errorf("quorate.MaxMinor is 1.%d, and this ends at 1.%d: internal/oracle/release.go, Releases", quorate.MaxMinor, last)
	}
	for minor := range noOracle {
		if minor <= last {
			t.Errorf("noOracle has 1.%d, which has one", minor)
		}
	}
}
