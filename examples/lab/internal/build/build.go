// Package build makes the static binaries of a cluster from Go modules and
// keeps them in a cache directory: Kubernetes, etcd, containerd, CoreDNS, and
// two small programs of the lab's own (pause, web).
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/sync/errgroup"
)

// Builder builds binaries. Cache is required.
type Builder struct {
	// Cache is the directory that holds finished binaries, one directory below
	// it for each set and its inputs.
	Cache string
	// Versions to build. Default [Default].
	Versions Versions
	// Built, when set, is called for each set that had to be built. It may be
	// called concurrently.
	Built func(set string, took time.Duration)
}

// sideBySide is how many sets are built at a time. Compiling keeps all
// processors busy by itself; a second set fills the gap while one links.
const sideBySide = 2

// All returns the path of every binary by its name, building those that the
// cache lacks. Cold, it takes some twelve minutes on two cores.
func (b Builder) All(ctx context.Context) (map[string]string, error) {
	if b.Versions == (Versions{}) {
		b.Versions = Default
	}
	all, err := units(b.Versions)
	if err != nil {
		return nil, err
	}
	cache, err := filepath.Abs(b.Cache)
	if err != nil {
		return nil, err
	}
	b.Cache = cache
	dirs := make([]string, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sideBySide)
	for i, u := range all {
		group.Go(func() error {
			dir, err := b.unit(ctx, u)
			dirs[i] = dir
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for i, u := range all {
		for name := range u.binaries {
			paths[name] = filepath.Join(dirs[i], name)
		}
	}
	return paths, nil
}

// unit returns the directory with a unit's binaries.
func (b Builder) unit(ctx context.Context, u unit) (string, error) {
	key, err := u.key()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.Cache, u.name+"-"+key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	start := time.Now()
	if err := b.build(ctx, u, dir); err != nil {
		return "", fmt.Errorf("build %s: %w", u.name, err)
	}
	if b.Built != nil {
		b.Built(u.name, time.Since(start))
	}
	return dir, nil
}

// key names everything that the binaries depend on. The staging modules follow
// from the required one.
func (u unit) key() (string, error) {
	h := sha256.New() // writing to a hash never fails
	_, _ = fmt.Fprintln(h, runtime.Version(), runtime.GOARCH, u.goMod(nil), u.stagingVersion, u.ldflags)
	for _, name := range slices.Sorted(maps.Keys(u.binaries)) {
		_, _ = fmt.Fprintln(h, name, u.binaries[name])
	}
	if u.source != "" {
		source, err := programs.ReadFile(u.source)
		if err != nil {
			return "", err
		}
		h.Write(source)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// build makes the binaries in a module of their own and moves them to dir when
// all are there.
func (b Builder) build(ctx context.Context, u unit, dir string) (err error) {
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(b.Cache, ".building-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := b.writeModule(ctx, u, work); err != nil {
		return err
	}
	out := filepath.Join(work, "out")
	for name, pkg := range u.buildArgs(out) {
		args := append([]string{"build", "-trimpath", "-ldflags=" + strings.Join(append([]string{"-s -w"}, u.ldflags...), " "), "-o", name}, pkg...)
		if _, err := b.goTool(ctx, work, args...); err != nil {
			return err
		}
	}
	if err := os.Chmod(out, 0o755); err != nil {
		return err
	}
	return os.Rename(out, dir)
}

// buildArgs returns the packages to build by output. Packages whose last element
// is the binary's name share one call of go build, which is much faster than
// one each.
func (u unit) buildArgs(out string) map[string][]string {
	args := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(u.binaries)) {
		pkg := u.binaries[name]
		target := filepath.Join(out, name)
		if strings.HasSuffix(pkg, "/"+name) {
			target = out + string(filepath.Separator)
		}
		args[target] = append(args[target], pkg)
	}
	return args
}

func (b Builder) writeModule(ctx context.Context, u unit, dir string) error {
	var staging []string
	if u.staging != "" {
		var err error
		if staging, err = b.stagingModules(ctx, dir, u.staging+"@"+u.require[u.staging]); err != nil {
			return err
		}
	}
	if u.source != "" {
		source, err := programs.ReadFile(u.source)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "main.go"), source, 0o600); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.mod"), []byte(u.goMod(staging)), 0o600)
}

// stagingModules reads which modules a module keeps in its own tree.
func (b Builder) stagingModules(ctx context.Context, dir, module string) ([]string, error) {
	out, err := b.goTool(ctx, dir, "mod", "download", "-json", module)
	if err != nil {
		return nil, err
	}
	var info struct{ GoMod string }
	if err := json.Unmarshal(out, &info); err != nil {
		return nil, err
	}
	mod, err := os.ReadFile(info.GoMod)
	if err != nil {
		return nil, err
	}
	return parseStaging(mod)
}

func parseStaging(goMod []byte) ([]string, error) {
	parsed, err := modfile.Parse("go.mod", goMod, nil)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range parsed.Replace {
		if strings.HasPrefix(r.New.Path, "./staging/") {
			out = append(out, r.Old.Path)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("go.mod names no staging module")
	}
	return out, nil
}

// goTool runs go in a module and returns its standard output.
func (b Builder) goTool(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH,
		"GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false")
	if _, err := os.UserHomeDir(); err != nil {
		// go finds no place for its own caches without a home.
		home := filepath.Join(filepath.Dir(b.Cache), "home")
		if err := os.MkdirAll(home, 0o755); err != nil {
			return nil, err
		}
		cmd.Env = append(cmd.Env, "HOME="+home)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		text := stderr.String()
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(text[max(0, len(text)-4000):]))
	}
	return stdout.Bytes(), nil
}
