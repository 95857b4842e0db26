package oracle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// binaryName is the file's name in a release's directory of the cache.
const binaryName = "oracle"

// Path returns where a release's binary is, or would be, in a cache directory. It
// differs for other sources, other versions of modules and another Go.
func Path(cacheDir string, r Release) (string, error) {
	key, err := r.key()
	if err != nil {
		return "", err
	}
	return filepath.Join(cacheDir, "kubeadm-"+r.Version+"-"+key, binaryName), nil
}

func (r Release) key() (string, error) {
	files, err := r.allFiles()
	if err != nil {
		return "", err
	}
	h := sha256.New() // writing to a hash never fails
	_, _ = fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, r.linkedVersion())
	for _, f := range files {
		_, _ = fmt.Fprintln(h, f.name, len(f.data))
		_, _ = h.Write(f.data)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

func (r Release) allFiles() ([]file, error) {
	sources, err := r.programFiles()
	if err != nil {
		return nil, err
	}
	mod, err := r.moduleFiles()
	return append(sources, mod...), err
}

// Build returns the path of a release's binary below a cache directory and builds
// it there if it is missing. A build that is cut off leaves nothing that a later
// one would take for a binary; two at a time do not disturb each other.
func Build(ctx context.Context, cacheDir string, r Release) (binary string, err error) {
	defer func() {
		if err != nil {
			err = &BuildError{Release: r, Err: err}
		}
	}()
	if cacheDir, err = filepath.Abs(cacheDir); err != nil {
		return "", err
	}
	if binary, err = Path(cacheDir, r); err != nil {
		return "", err
	}
	if built(binary) {
		return binary, nil
	}
	files, err := r.allFiles()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(cacheDir, ".building-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := writeFiles(work, files); err != nil {
		return "", err
	}
	if err := r.stage(ctx, work, "readonly"); err != nil {
		return "", err
	}
	out := filepath.Join(work, "out")
	if _, err := goTool(ctx, work, "readonly", "build", "-trimpath", "-ldflags="+r.linkedVersion(), "-o", filepath.Join(out, binaryName), "."); err != nil {
		return "", err
	}
	if err := os.Rename(out, filepath.Dir(binary)); err != nil && !built(binary) {
		return "", err // and not because another build was first
	}
	return binary, nil
}

func built(binary string) bool {
	info, err := os.Stat(binary)
	return err == nil && info.Mode().IsRegular()
}

func writeFiles(dir string, files []file) error {
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// stagingDir is where a module keeps its copy of the staging modules.
const stagingDir = "staging"

// stage copies the staging modules of a release that has them in its tree, and
// adds the go.mod that each lacks.
func (r Release) stage(ctx context.Context, work, mode string) error {
	if !r.stagedInTree() {
		return nil
	}
	source, err := r.download(ctx, work, mode)
	if err != nil {
		return err
	}
	names, err := r.staging(source)
	if err != nil {
		return err
	}
	for _, name := range names {
		from := os.DirFS(filepath.Join(source.Dir, "staging", "src", "k8s.io", name))
		if err := stageModule(work, name, from); err != nil {
			return err
		}
	}
	if r.cut() == "" {
		return nil
	}
	return stageModule(work, "kubernetes", without{os.DirFS(source.Dir), []string{"staging", "test", r.cut()}})
}

func stageModule(work, name string, from fs.FS) error {
	to := filepath.Join(work, stagingDir, name)
	if err := copyGo(to, from); err != nil {
		return err
	}
	return writeFiles(to, []file{{"go.mod", []byte("module k8s.io/" + name + "\n")}})
}

// without is a file system that lacks some of its files and directories.
type without struct {
	fs.FS
	paths []string
}

func (w without) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(w.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return slices.Contains(w.paths, path.Join(name, e.Name())) }), err
}

// copyGo copies what a build needs of a tree.
func copyGo(to string, from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		data, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
}

// downloaded is a module in the go command's cache.
type downloaded struct{ Dir, GoMod, Sum string }

// download gets the release's own module. It does so outside the module at work,
// where the release may be replaced by a copy of it, and checks the sum itself.
func (r Release) download(ctx context.Context, work, mode string) (downloaded, error) {
	var d downloaded
	aside := filepath.Join(work, ".download")
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return d, err
	}
	if err := writeFiles(aside, []file{{"go.mod", []byte(modHeader)}}); err != nil {
		return d, err
	}
	out, err := goTool(ctx, aside, "mod", "mod", "download", "-json", kubernetes+"@"+r.String())
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(out, &d); err != nil || mode == "mod" {
		return d, err
	}
	sums, err := os.ReadFile(filepath.Join(work, "go.sum"))
	if err == nil && !strings.Contains(string(sums), r.sumLine(d)) {
		err = fmt.Errorf("%s@%s is not what was pinned: its sum is %s", kubernetes, r, d.Sum)
	}
	return d, err
}

func (r Release) sumLine(d downloaded) string {
	return kubernetes + " " + r.String() + " " + d.Sum + "\n"
}

// longestOutput of the go command is kept of a build that fails.
const longestOutput = 4000

// goTool runs go in a module, whatever workspace or flags are set around it, and
// returns its standard output.
func goTool(ctx context.Context, dir, mode string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod="+mode+" -buildvcs=false",
		"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		text := stderr.String()
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(text[max(0, len(text)-longestOutput):]))
	}
	return stdout.Bytes(), nil
}
