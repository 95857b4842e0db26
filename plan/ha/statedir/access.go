package statedir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	othersMayWrite = 0o022
	othersMayUse   = 0o077
	// maxEntries and maxFile bound what is looked at and read. Seven control
	// planes have fewer than a hundred small files.
	maxEntries = 10_000
	maxFile    = 1 << 20
)

// checkTop refuses a directory that others can write to, and one that others can
// put another in the place of.
func checkTop(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &FileError{dir, errors.New("is no directory: use another path")}
	}
	problems := judge(nil, dir, info, othersMayWrite, "chmod go-w "+dir)
	way, links, err := wayTo(dir)
	if err != nil {
		return err
	}
	for _, parent := range way {
		info, err := os.Stat(parent)
		if err != nil {
			return err
		}
		if info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			problems = append(problems, fmt.Sprintf("%s, above it, is writable by everybody (mode %04o): chmod o-w %s, or keep the state elsewhere", parent, info.Mode().Perm(), parent))
		}
	}
	for _, link := range links {
		info, err := os.Lstat(link)
		if err != nil {
			return err
		}
		if whose := foreignLink(info); whose != "" {
			problems = append(problems, fmt.Sprintf("%s, a link on the way to it, %s: use a path without it", link, whose))
		}
	}
	if problems != nil {
		return &AccessError{dir, problems}
	}
	return nil
}

// maxLinks is how many links the system follows.
const maxLinks = 40

// wayTo returns the directories that lead to one, each once, and the links among them: whoever may change
// any of them decides which directory it is.
func wayTo(dir string) (directories, links []string, err error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	for range maxLinks {
		link, rest := "", ""
		// The link nearest to the root is followed first: below it, names mean nothing yet.
		for p := at; p != filepath.Dir(p); p = filepath.Dir(p) {
			info, err := os.Lstat(p)
			if err == nil && info.Mode()&fs.ModeSymlink != 0 {
				link, rest = p, strings.TrimPrefix(at, p)
			}
		}
		last := cmp.Or(link, at)
		for p := filepath.Dir(last); !seen[p]; p = filepath.Dir(p) {
			seen[p] = true
			directories = append(directories, p)
		}
		if link == "" {
			return directories, links, nil
		}
		links = append(links, link)
		target, err := os.Readlink(link)
		if err != nil {
			return nil, nil, err
		}
		if !filepath.IsAbs(target) {
			real, err := filepath.EvalSymlinks(filepath.Dir(link))
			if err != nil {
				return nil, nil, err
			}
			target = filepath.Join(real, target)
		}
		at = filepath.Clean(target + rest)
	}
	return nil, nil, fmt.Errorf("%s: more than %d links", dir, maxLinks)
}

// judge adds what is wrong with a file's owner and mode to problems.
func judge(problems []string, path string, info fs.FileInfo, forbidden fs.FileMode, mend string) []string {
	if whose := foreign(info); whose != "" {
		problems = append(problems, fmt.Sprintf("%s %s: run as that user, or chown -R it", path, whose))
	}
	if mode := info.Mode().Perm(); mode&forbidden != 0 {
		problems = append(problems, fmt.Sprintf("%s has mode %04o, which lets others in: %s", path, mode, mend))
	}
	return problems
}

// entry is a file in the directory of the cluster.
type entry struct {
	path string // relative, slash-separated
	mode fs.FileMode
}

// list returns the files below the directory of the cluster, and refuses those
// that others can write to, keys that others can read, and what is neither a
// file nor a directory.
func (d *disk) list() ([]entry, error) {
	var files []entry
	var problems []string
	var irregular []error
	n := 0
	err := fs.WalkDir(d.root.FS(), current, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if n++; n > maxEntries {
			return &FileError{d.path(current), fmt.Errorf("holds more than %d files: move away what is not the cluster's", maxEntries)}
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		forbidden := fs.FileMode(othersMayWrite)
		if p == current || !info.IsDir() && path.Ext(p) != ".crt" && path.Ext(p) != ".pub" {
			forbidden = othersMayUse
		}
		switch {
		case info.IsDir():
		case !info.Mode().IsRegular():
			irregular = append(irregular, &FileError{d.path(p), fmt.Errorf("is neither a file nor a directory (%s): put the file itself there", info.Mode())})
			return nil
		case info.Size() > maxFile:
			irregular = append(irregular, &FileError{d.path(p), fmt.Errorf("has %d bytes, and nothing of a cluster's more than %d: move it away", info.Size(), maxFile)})
		default:
			files = append(files, entry{p[len(current)+1:], info.Mode().Perm()})
		}
		problems = judge(problems, d.path(p), info, forbidden, "chmod -R go= "+d.path(current))
		return nil
	})
	if problems != nil {
		irregular = append(irregular, &AccessError{d.dir, problems})
	}
	return files, errors.Join(append(irregular, err)...)
}
