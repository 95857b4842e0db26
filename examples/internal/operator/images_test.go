package operator_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/internal/hostiletest"
)

// A list of images is read by exact names, each once, and nothing follows it.
func TestImagesAreReadStrictly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "images.json")
	require.NoError(t, operator.WriteImages(t.Context(), path, operator.Images{Node: map[string][]string{"/a.tar": {"pause:1"}}}))
	got, err := operator.ReadImages(path)
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"/a.tar": {"pause:1"}}, got.Node)
	for name, text := range map[string]string{
		"another case": `{"Node":{}}`, "a letter that is folded": `{"controlPlane":{},"node":{},"nodes":{}}`, "twice": `{"node":{},"node":{"/x":[]}}`,
		"a path twice": `{"node":{"/x":[],"/x":["evil"]}}`, "more after it": `{"node":{}}{}`, "null": `null`, "cut": `{"node":`, "a list": `[]`,
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := operator.ReadImages(path)
		require.ErrorContains(t, err, path, name)
	}
}

func FuzzReadImages(f *testing.F) {
	for _, s := range []string{`{"node":{"/a":["b"]},"controlPlane":{}}`, `{"node":{"` + hostiletest.Marker + `\u001b":[]}}`, `{`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "images.json")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		images, err := operator.ReadImages(path)
		if err == nil {
			_ = images.Prerequisites()
		} else {
			require.Empty(t, hostiletest.Problem(err.Error()))
		}
	})
}
