package kubeadm_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// seeds are files of every kind and version: rendered ones, those that were misread
// and the corpus.
func seeds(f *testing.F) {
	f.Helper()
	f.Add([]byte(byHand))
	for _, pattern := range []string{"testdata/*/*/cp-[12].yaml", "testdata/cases/*.yaml", "testdata/corpus/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
}

// No input makes Parse panic, a refusal says why, and what it accepts and can
// be rendered reads back as the same.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, _, err := kubeadm.Parse(data, version(t, "v1.37.2"))
		var invalid *quorate.InvalidError
		if err != nil {
			if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
				t.Fatal(err)
			}
			return
		}
		text, err := cfg.YAML()
		if err != nil {
			return
		}
		again, left, err := kubeadm.Parse(text.Bytes(), cfg.Version)
		if err != nil || len(left) > 0 {
			t.Fatalf("%v, left %v, of\n%s", err, left, text.Bytes())
		}
		if second, err := again.YAML(); err != nil || !second.Equal(text) {
			t.Fatalf("%v\n%s\n%s", err, text.Bytes(), second.Bytes())
		}
	})
}

var anyToken = regexp.MustCompile(`[a-z0-9]{6}\.[a-z0-9]{16}`)

// No input makes Migrate panic or a message of it show a token, a refusal is typed,
// and what it writes is written the same again.
func FuzzMigrate(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, to := range []string{"v1.37.2", "v1.30.3", "v1.13.12", "v1.11.10"} {
			text, problems, err := kubeadm.Migrate(data, version(t, to))
			if err != nil {
				if invalid := new(quorate.InvalidError); !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
					t.Fatalf("%T: %v", err, err)
				}
				if anyToken.MatchString(err.Error()) {
					t.Fatalf("a token is shown: %v", err)
				}
				continue
			}
			for _, p := range problems {
				if p.Severity != quorate.Warned || anyToken.MatchString(p.String()) {
					t.Fatalf("%v", p)
				}
			}
			again, _, err := kubeadm.Migrate(text.Bytes(), version(t, to))
			if err != nil || !again.Equal(text) {
				t.Fatalf("to %s: %v\n%s\nis read and written as\n%s", to, err, text.Bytes(), again.Bytes())
			}
		}
	})
}
