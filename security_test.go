package quorate_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each promise of docs/security.md and docs/embedding.md names a test that exists.
func TestSecurityPageNamesTests(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	require.NoError(t, err)
	embedding, err := os.ReadFile("docs/embedding.md")
	require.NoError(t, err)
	_, promises, ok := strings.Cut(string(embedding), "| Promise |")
	require.True(t, ok)
	page = append(append(page, "\n| Promise |"...), promises...)
	exists := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			exists[m[1]] = true
		}
		return err
	}))
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Promise") {
			continue
		}
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(line, -1)
		require.NotEmpty(t, named, "a promise without a test: %s", line)
		for _, m := range named {
			require.True(t, exists[m[1]], "there is no %s", m[1])
		}
	}
}
