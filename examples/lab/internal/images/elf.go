package images

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// withLibraries returns entries for programs or plugins of a root file system
// and for everything the dynamic loader will look for: their libraries, the
// libraries' libraries, and the loader.
func withLibraries(root string, files []string) ([]entry, error) {
	found := map[string]entry{}
	for queue := slices.Clone(files); len(queue) > 0; queue = queue[1:] {
		file := queue[0]
		if _, seen := found[file]; seen {
			continue
		}
		source, err := securejoin.SecureJoin(root, file) // follows links inside root
		if err != nil {
			return nil, err
		}
		needed, err := neededBy(root, source)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		found[file] = entry{path: file, source: source}
		queue = append(queue, needed...)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b entry) int { return strings.Compare(a.path, b.path) }), nil
}

// neededBy returns the paths, inside root, of the loader and the libraries that
// an ELF file names.
func neededBy(root, file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var out []string
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		loader, err := io.ReadAll(p.Open())
		if err != nil {
			return nil, err
		}
		out = append(out, strings.TrimRight(string(loader), "\x00"))
	}
	names, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range names {
		library, err := findLibrary(root, f.Machine, name)
		errs = append(errs, err)
		out = append(out, library)
	}
	return out, errors.Join(errs...)
}

// libraryDirs are where Debian's loader looks.
func libraryDirs(m elf.Machine) []string {
	triplet := map[elf.Machine]string{elf.EM_X86_64: "x86_64-linux-gnu", elf.EM_AARCH64: "aarch64-linux-gnu"}[m]
	return []string{path.Join("/usr/lib", triplet), "/usr/lib"}
}

func findLibrary(root string, m elf.Machine, name string) (string, error) {
	for _, dir := range libraryDirs(m) {
		candidate := path.Join(dir, name)
		resolved, err := securejoin.SecureJoin(root, candidate)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(resolved); err == nil {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("library %s is not in the root file system", name)
}
