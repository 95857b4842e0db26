package oracle

import (
	"embed"
	"fmt"
	"strings"
)

// The program, one file for each thing that differs between releases. The
// directory's name keeps it out of this module, which has none of its imports.
//
//go:embed _program/*.go
var program embed.FS

// One go.mod and go.sum for each release, written by [Pin] and not by hand: a
// build takes exactly what was judged when they were committed, and the go
// command checks every module against the sums.
//
//go:embed _modules
var modules embed.FS

// file is one that a module is made of.
type file struct {
	name string
	data []byte
}

// programFiles returns the program's source for a release.
func (r Release) programFiles() ([]file, error) {
	files := []file{{"release.go", fmt.Appendf(nil, "package main\n\n// release is what the program is linked with.\nconst release = %q\n", r.String())}}
	for _, name := range r.sources() {
		data, err := program.ReadFile("_program/" + name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, []byte(strings.ReplaceAll(string(data), "APIVERSION", r.API))})
	}
	return files, nil
}

// moduleFiles returns the pinned go.mod and go.sum of a release.
func (r Release) moduleFiles() ([]file, error) {
	var files []file
	for _, name := range []string{"mod", "sum"} {
		data, err := modules.ReadFile("_modules/" + r.Version + "." + name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{"go." + name, data})
	}
	return files, nil
}

// linkedVersion sets the release's version in its code, as its own build
// does: checks of skew compare with that. Where the variables are has changed;
// the linker leaves out those that a release does not have.
func (r Release) linkedVersion() string {
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/kubernetes/pkg/version", "k8s.io/client-go/pkg/version", "k8s.io/component-base/version"} {
		flags = append(flags,
			fmt.Sprintf("-X=%s.gitVersion=%s", pkg, r),
			fmt.Sprintf("-X=%s.gitMajor=1", pkg),
			fmt.Sprintf("-X=%s.gitMinor=%d", pkg, r.Minor()))
	}
	return strings.Join(flags, " ")
}
