package clusterfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/clusterfile"
)

// Files that read well and describe what cannot work are refused at the path
// that their first line names, and nowhere else, with the line of the value.
func TestRefusedDescriptions(t *testing.T) {
	files, err := filepath.Glob("testdata/refused/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			path, ok := strings.CutPrefix(first, "# refused: ")
			if !ok {
				t.Fatal("does not say where it is refused")
			}
			_, err = clusterfile.Load(text)
			var invalid *quorate.InvalidError
			if !errors.As(err, &invalid) || len(invalid.Problems) != 1 || invalid.Problems[0].Path != path || invalid.Problems[0].Line == 0 {
				t.Errorf("got %v\nwant one problem at %s", err, path)
			}
			if _, err := clusterfile.Parse(text); err != nil {
				t.Errorf("refused for its form: %v", err)
			}
		})
	}
}
