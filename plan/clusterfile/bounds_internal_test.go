package clusterfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
)

// Where a problem is and whether another covers it is found without a look at
// every line and every problem: with as many as here that took longer than any
// test may run (a file of 100 KiB took 15 seconds).
func TestLookUpManyPaths(t *testing.T) {
	const n = 300_000
	r := &reader{lines: map[string]int{"": 1}}
	for i := range n {
		at := fmt.Sprintf("nodes[%d]", i)
		r.lines[at] = i + 2
		r.Refuse(at, "refused")
	}
	refused := r.refused()
	for i := range n {
		at := fmt.Sprintf("nodes[%d].addresses[0]", i)
		if line := r.line(at); line != i+2 {
			t.Fatalf("%s is in line %d", at, line)
		}
		if !covered(at, refused) || covered(fmt.Sprintf("pods[%d]", i), refused) {
			t.Fatal(at)
		}
	}
}

func TestHolders(t *testing.T) {
	for path, want := range map[string][]string{
		"":                        nil,
		"name":                    {"name"},
		"nodes[0].name":           {"nodes[0].name", "nodes[0]", "nodes"},
		`kubelet["a.b"][1]`:       {`kubelet["a.b"][1]`, `kubelet["a.b"]`, `kubelet["a`, "kubelet"},
		"nodes[0].addresses[1].x": {"nodes[0].addresses[1].x", "nodes[0].addresses[1]", "nodes[0].addresses", "nodes[0]", "nodes"},
	} {
		var got []string
		for at := range holders(path) {
			got = append(got, at)
		}
		require.Equal(t, want, got, path)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, err := Load([]byte("nodes:\n" + strings.Repeat("- {}\n", 5_000)))
	var invalid *quorate.InvalidError
	require.True(t, errors.As(err, &invalid))
	require.Len(t, invalid.Problems, maxProblems+1)
	require.Regexp(t, `^and [0-9]+ more$`, invalid.Problems[maxProblems].Message)
	require.Less(t, len(err.Error()), 200_000)
}

func TestPathsAndQuotedValuesAreBounded(t *testing.T) {
	long := strings.Repeat("k", maxPath)
	_, err := Load([]byte("kubeadm:\n  kubelet:\n    ? " + long + "\n    : 1\n    ? " + long + "\n    : 1\nversion: " + strings.Repeat("v", 10_000) + "\n"))
	require.ErrorContains(t, err, "a key of 1024 bytes under keys of 15: want at most 1024 in all")
	require.Less(t, len(err.Error()), 4000)
	_, err = Load([]byte("version: \"\\e[2J\\u202e\"\nname: [\"\\e[2J\"]\nendpoint: \"\\u202e\"\n"))
	require.NotContains(t, err.Error(), "\x1b")
	require.NotContains(t, err.Error(), "\u202e")
}
