package oracle

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Sample is a file whose verdict is known beforehand.
type Sample struct {
	File
	// Refused reports that the release must refuse it, with an error that contains
	// Why.
	Refused bool
	Why     string
	// Warns has, for each warning that the release must print for an accepted file,
	// what it contains; there is no other.
	Warns []string
}

// Samples reads those that are for a release: API/accepted and API/refused below
// a tree, where RELEASE in a file is replaced by the release's version. A refused
// file starts with a comment, "# refused: WHY", an accepted one with "# warns
// 1.MINOR: WHAT" for each warning that releases of that minor print.
func Samples(tree fs.FS, r Release) ([]Sample, error) {
	var samples []Sample
	for _, verdict := range []string{"accepted", "refused"} {
		names, err := fs.Glob(tree, path.Join(r.API, verdict, "*.yaml"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			data, err := fs.ReadFile(tree, name)
			if err != nil {
				return nil, err
			}
			s := Sample{File: File{Name: name, Data: strings.ReplaceAll(string(data), "RELEASE", r.String())}}
			warns := fmt.Sprintf("# warns 1.%d: ", r.Minor())
			for line := range strings.Lines(s.Data) {
				if what, ok := strings.CutPrefix(line, warns); ok {
					s.Warns = append(s.Warns, strings.TrimSpace(what))
				}
			}
			if verdict == "refused" {
				first, _, _ := strings.Cut(s.Data, "\n")
				why, ok := strings.CutPrefix(first, "# refused: ")
				if !ok {
					return nil, fmt.Errorf("%s does not say why it is refused", name)
				}
				s.Refused, s.Why = true, why
			}
			samples = append(samples, s)
		}
	}
	return samples, nil
}

// Wrong says what a verdict has wrong about a sample, "" if it is right.
func (s Sample) Wrong(v Verdict) string {
	switch {
	case v.Name != s.Name:
		return fmt.Sprintf("%s: the verdict is on %q", s.Name, v.Name)
	case !s.Refused && !v.Accepted():
		return fmt.Sprintf("%s: refused: %q", s.Name, v.Errors)
	case !s.Refused:
		return ""
	case v.Accepted():
		return s.Name + ": accepted"
	case !strings.Contains(strings.Join(v.Errors, "\n"), s.Why):
		return fmt.Sprintf("%s: refused, but not for %q: %q", s.Name, s.Why, v.Errors)
	}
	return ""
}
