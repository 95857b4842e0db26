package plan

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestUnified(t *testing.T) {
	for _, tt := range []struct{ name, before, after, want string }{
		{"equal", "a\n", "a\n", ""},
		{"from nothing", "", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{"to nothing", "a\n", "", "@@ -1 +0,0 @@\n-a\n"},
		{"one line", "a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"an end of line", "a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"},
		{"two places", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "one\n2\n3\n4\n5\n6\n7\n8\nnine\n",
			"@@ -1,4 +1,4 @@\n-1\n+one\n 2\n 3\n 4\n@@ -6,4 +6,4 @@\n 6\n 7\n 8\n-9\n+nine\n"},
		{"two near places", "1\n2\n3\n", "one\n2\nthree\n", "@@ -1,3 +1,3 @@\n-1\n+one\n 2\n-3\n+three\n"},
	} {
		require.Equal(t, tt.want, unified(tt.before, tt.after), tt.name)
	}
}

// Texts of few different lines have much in common in many ways.
func someText(t *rapid.T, name string) string {
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "\n"}), 0, 40).Draw(t, name)
	return strings.Join(lines, "") + rapid.SampledFrom([]string{"", "end"}).Draw(t, name+"'s end")
}

// The edits lead from one text to the other, and no others that do are fewer.
func TestEditScript(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := splitLines(someText(t, "before")), splitLines(someText(t, "after"))
		var olds, news strings.Builder
		changed := 0
		for _, e := range lineEdits(a, b) {
			text := strings.Join(e.lines, "")
			if e.kind != '+' {
				olds.WriteString(text)
			}
			if e.kind != '-' {
				news.WriteString(text)
			}
			if e.kind != ' ' {
				changed += len(e.lines)
			}
		}
		require.Equal(t, strings.Join(a, ""), olds.String())
		require.Equal(t, strings.Join(b, ""), news.String())
		require.Equal(t, len(a)+len(b)-2*common(a, b), changed)
	})
}

// common is the length of the longest common subsequence.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			up := row[j+1]
			if row[j+1] = max(up, row[j]); x == y {
				row[j+1] = diagonal + 1
			}
			diagonal = up
		}
	}
	return row[len(b)]
}

// patch makes one text of the other by what unified says.
func TestPatchAppliesUnified(t *testing.T) {
	if _, err := exec.LookPath("patch"); err != nil {
		t.Skip("no patch here")
	}
	path := filepath.Join(t.TempDir(), "f")
	count := 0
	rapid.Check(t, func(t *rapid.T) {
		before, after := someText(t, "before"), someText(t, "after")
		if count++; count > 30 || before == after {
			return // a process each
		}
		require.NoError(t, os.WriteFile(path, []byte(before), 0o600))
		cmd := exec.Command("patch", "--silent", "--posix", "--unified", path)
		cmd.Stdin = strings.NewReader(unified(before, after))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		got, err := os.ReadFile(path)
		if after == "" && os.IsNotExist(err) {
			return
		}
		require.NoError(t, err)
		require.Equal(t, after, string(got))
	})
}

// Large texts with nothing in common are shown one in place of the other, in
// bounded time.
func TestUnifiedLimit(t *testing.T) {
	var before, after strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&before, "old %d\n", i)
		fmt.Fprintf(&after, "new %d\n", i)
	}
	got := unified(before.String(), after.String())
	require.True(t, strings.HasPrefix(got, "@@ -1,4000 +1,4000 @@\n-old 0\n"))
	require.Equal(t, 8001, strings.Count(got, "\n"))
}
