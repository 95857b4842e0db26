package oracle_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate/kubeadm/internal/oracle"
)

// built calls f with the binary of every release that the cache directory of
// QUORATE_ORACLES has. Under QUORATE_CI it must have all of CI's.
func built(t *testing.T, f func(t *testing.T, r oracle.Release, binary string)) {
	cache := os.Getenv("QUORATE_ORACLES")
	if cache == "" {
		t.Skip("QUORATE_ORACLES names no directory with built oracles: make oracle sets it")
	}
	for _, r := range oracle.Releases {
		t.Run(r.Version, func(t *testing.T) {
			binary, err := oracle.Path(cache, r)
			require.NoError(t, err)
			if _, err := os.Stat(binary); err != nil {
				if r.CI && os.Getenv("QUORATE_CI") != "" {
					t.Fatalf("not built: %v", err)
				}
				t.Skipf("not built: %v", err)
			}
			f(t, r, binary)
		})
	}
}

// Every sample gets the verdict that it is a sample of, and nothing that an
// accepted one says is lost on the way to what kubeadm acts on.
func TestSamples(t *testing.T) {
	built(t, func(t *testing.T, r oracle.Release, binary string) {
		samples, err := oracle.Samples(os.DirFS("testdata"), r)
		require.NoError(t, err)
		verdicts, err := oracle.Run(t.Context(), binary, filesOf(samples))
		require.NoError(t, err)
		for i, s := range samples {
			if wrong := s.Wrong(verdicts[i]); wrong != "" {
				t.Error(wrong)
				continue
			}
			require.NotContains(t, fmt.Sprint(verdicts[i].Errors, verdicts[i].Warnings), "abcdef.", "%s: a token in a message", s.Name)
			if s.Refused {
				require.Empty(t, verdicts[i].Objects, s.Name)
				continue
			}
			require.Len(t, verdicts[i].Warnings, len(s.Warns), "%s: %q", s.Name, verdicts[i].Warnings)
			for _, what := range s.Warns {
				require.Contains(t, strings.Join(verdicts[i].Warnings, "\n"), what, s.Name)
			}
			for _, lost := range lostOnTheWay(t, s.Data, verdicts[i].Objects) {
				t.Errorf("%s: %s", s.Name, lost)
			}
		}
	})
}

// Order and number of verdicts are those of the files, one file does not colour
// the next, and nothing is left behind.
func TestVerdictsAreIndependent(t *testing.T) {
	built(t, func(t *testing.T, r oracle.Release, binary string) {
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		samples, err := oracle.Samples(os.DirFS("testdata"), r)
		require.NoError(t, err)
		files := filesOf(samples)
		together, err := oracle.Run(t.Context(), binary, append(files, files...))
		require.NoError(t, err)
		require.Equal(t, errorsOf(together[:len(files)]), errorsOf(together[len(files):]))
		none, err := oracle.Run(t.Context(), binary, []oracle.File{})
		require.NoError(t, err)
		require.Empty(t, none)
		left, err := os.ReadDir(tmp)
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

// A file is migrated to the same whatever was migrated before it, to nothing but
// the release's own API version, without a token in a message.
func TestMigrationsAreIndependent(t *testing.T) {
	built(t, func(t *testing.T, r oracle.Release, binary string) {
		var files []oracle.File
		for _, from := range r.Migrates {
			samples, err := oracle.Samples(os.DirFS("testdata"), oracle.Release{Version: r.Version, API: from})
			require.NoError(t, err)
			files = append(files, filesOf(samples)...)
		}
		migrations, err := oracle.Migrate(t.Context(), binary, files)
		require.NoError(t, err)
		slices.Reverse(files)
		again, err := oracle.Migrate(t.Context(), binary, files)
		require.NoError(t, err)
		slices.Reverse(again)
		accepted := 0
		for i, m := range migrations {
			require.Equal(t, m.Data, again[i].Data, m.Name)
			require.Len(t, again[i].Errors, len(m.Errors), m.Name) // some quote addresses in memory
			require.NotContains(t, fmt.Sprint(m.Errors, m.Warnings), "abcdef.", "%s: a token in a message", m.Name)
			if len(m.Errors) > 0 {
				require.Empty(t, m.Data, m.Name)
				continue
			}
			require.Contains(t, m.Data, "apiVersion: kubeadm.k8s.io/"+r.API+"\n", m.Name)
			accepted++
		}
		require.GreaterOrEqual(t, accepted, 3*len(r.Migrates))
	})
}

func TestRunWithoutOracle(t *testing.T) {
	var failed *oracle.RunError
	_, err := oracle.Run(t.Context(), "testdata/no-such-program", nil)
	require.ErrorAs(t, err, &failed)
	_, err = oracle.Migrate(t.Context(), "testdata/no-such-program", nil)
	require.ErrorAs(t, err, &failed)
}

func filesOf(samples []oracle.Sample) []oracle.File {
	files := make([]oracle.File, len(samples))
	for i, s := range samples {
		files[i] = s.File
	}
	return files
}

func errorsOf(verdicts []oracle.Verdict) [][]string {
	var all [][]string
	for _, v := range verdicts {
		all = append(all, v.Errors)
	}
	return all
}

// lostOnTheWay names the values that a file has and the objects lack.
func lostOnTheWay(t *testing.T, data string, objects map[string]json.RawMessage) []string {
	t.Helper()
	var all []string
	for doc := range strings.SplitSeq(data, "---\n") {
		var written map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(doc), &written))
		kind := fmt.Sprint(written["kind"])
		// Objects converted from internal ones have no type; their key has it.
		delete(written, "kind")
		delete(written, "apiVersion")
		var arrived any
		require.Contains(t, objects, kind)
		require.NoError(t, json.Unmarshal(objects[kind], &arrived))
		all = append(all, missing(kind, written, arrived)...)
	}
	return all
}

// missing names the leaves of written that arrived does not hold. A zero may be
// absent, an empty list may not: it means no taints.
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
