package machines

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mountOverlay lays upper over the read-only layers, topmost first.
func mountOverlay(ctx context.Context, layers []string, upper, work, target string) error {
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(layers, ":"), upper, work)
	_, err := run(ctx, "mount", "-t", "overlay", "overlay", "-o", options, target)
	return err
}

// mountDisk mounts a disk of its own, made once in a file of so many MiB.
func mountDisk(ctx context.Context, image, target string, size int) error {
	if mounts, err := mountsBelow(target); err != nil || len(mounts) > 0 {
		return err // a disk outlives a power cut
	}
	if _, err := os.Stat(image); errors.Is(err, fs.ErrNotExist) {
		tmp := image + ".new"
		if _, err := run(ctx, "truncate", "-s", fmt.Sprintf("%dM", size), tmp); err != nil {
			return err
		}
		if _, err := run(ctx, "mkfs.ext4", "-q", "-F", tmp); err != nil {
			return err
		}
		if err := os.Rename(tmp, image); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if _, err := run(ctx, "mount", "-o", "loop", image, target); err != nil {
		return err
	}
	// etcd's data directory is etcd's alone.
	if err := os.Remove(filepath.Join(target, "lost+found")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Chmod(target, 0o700)
}

// removeTree unmounts everything at and below dir, then removes it. It removes
// nothing while a mount is left: that could delete what is mounted.
func removeTree(ctx context.Context, dir string) error {
	dir, err := realPath(dir)
	if err != nil {
		return err
	}
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	slices.Reverse(mounts) // later mounts lie on or below earlier ones
	var errs []error
	for _, m := range mounts {
		if _, err := run(ctx, "umount", m); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return os.RemoveAll(dir)
}

// realPath returns a directory as the kernel names it in its table of mounts:
// absolute and without symbolic links, as far as the path exists.
func realPath(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(dir)
	if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
		return resolved, err
	}
	parent, err := realPath(filepath.Dir(dir))
	return filepath.Join(parent, filepath.Base(dir)), err
}

func mountsBelow(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return parseMountsBelow(f, dir)
}

// mountinfoEscapes are the characters that proc(5) writes as octal.
var mountinfoEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// parseMountsBelow reads mount points at and below dir in mounting order, by
// the format of /proc/PID/mountinfo in proc(5).
func parseMountsBelow(r io.Reader, dir string) ([]string, error) {
	var out []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		point := mountinfoEscapes.Replace(fields[4])
		if point == dir || strings.HasPrefix(point, dir+"/") {
			out = append(out, point)
		}
	}
	return out, lines.Err()
}
