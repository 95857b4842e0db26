package posixsh

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"
)

func statTool(c *call, opts options, operands []string) error {
	for _, operand := range operands {
		info, err := c.FS.Stat(c.abs(operand), has(opts, 'L'))
		if err != nil {
			return c.fail("cannot statx '%s': %s", operand, libc(err))
		}
		format, formatted := opts['c']
		if !formatted {
			format = "  File: %n\n  Size: %s"
		}
		kind := "regular file"
		switch {
		case info.IsDir():
			kind = "directory"
		case info.Mode().Type() == fs.ModeSymlink:
			kind = "symbolic link"
		case info.Size() == 0:
			kind = "regular empty file"
		}
		text := strings.NewReplacer(
			"%a", strconv.FormatUint(uint64(info.Mode().Perm()), 8), "%n", operand, "%s", strconv.FormatInt(info.Size(), 10),
			"%d", "1", "%i", strconv.FormatInt(info.Inode, 10), "%Y", strconv.FormatInt(info.Changed, 10), "%Z", strconv.FormatInt(info.Changed, 10),
			"%U", info.Owner, "%G", info.Group, "%u", strconv.Itoa(info.UID), "%g", strconv.Itoa(info.GID), "%F", kind, "%%", "%",
		).Replace(format)
		if err := c.print("%s\n", text); err != nil {
			return err
		}
	}
	return nil
}

func mkdir(c *call, opts options, operands []string) error {
	mode := 0o777 &^ c.Umask
	for _, operand := range operands {
		var err error
		p := c.abs(operand)
		if has(opts, 'p') {
			err = c.FS.MkdirAll(p, mode)
		} else {
			err = c.FS.Mkdir(p, mode)
		}
		if m := opts['m']; err == nil && m != "" {
			err = c.setMode(p, m)
		}
		if err != nil {
			return c.fail("cannot create directory '%s': %s", operand, libc(err))
		}
	}
	return nil
}

func (c *call) setMode(p, octal string) error {
	mode, err := strconv.ParseUint(octal, 8, 16)
	if err != nil {
		return errors.New("faketransport takes octal modes only")
	}
	return c.FS.Chmod(p, fs.FileMode(mode))
}

func chmod(c *call, _ options, operands []string) error {
	if len(operands) < 2 {
		return c.fail("missing operand")
	}
	return c.eachFile(operands[1:], func(path string) error { return c.setMode(path, operands[0]) })
}

func chown(c *call, _ options, operands []string) error {
	if len(operands) < 2 {
		return c.fail("missing operand")
	}
	owner, group, _ := strings.Cut(operands[0], ":")
	return c.eachFile(operands[1:], func(path string) error { return c.FS.Chown(path, owner, group) })
}

func rm(c *call, opts options, operands []string) error {
	for _, operand := range operands {
		p := c.abs(operand)
		if has(opts, 'r') || has(opts, 'R') {
			c.FS.RemoveAll(p)
			continue
		}
		err := c.FS.Remove(p, false)
		if errors.Is(err, syscall.ENOENT) && has(opts, 'f') {
			continue
		}
		if err != nil {
			return c.fail("cannot remove '%s': %s", operand, libc(err))
		}
	}
	return nil
}

func rmdir(c *call, _ options, operands []string) error {
	return c.eachFile(operands, func(path string) error { return c.FS.Remove(path, true) })
}

// destination is where mv, cp and ln put a file: into a directory, or at the
// path.
func (c *call) destination(from, to string) string {
	if info, err := c.FS.Stat(c.abs(to), true); err == nil && info.IsDir() {
		return path.Join(c.abs(to), path.Base(from))
	}
	return c.abs(to)
}

func mv(c *call, opts options, operands []string) error {
	if len(operands) != 2 {
		return c.fail("faketransport moves one file")
	}
	to := c.abs(operands[1])
	if !has(opts, 'T') {
		to = c.destination(operands[0], operands[1])
	}
	if err := c.FS.Rename(c.abs(operands[0]), to); err != nil {
		return c.failed(operands[0], err)
	}
	return nil
}

func cp(c *call, opts options, operands []string) error {
	if len(operands) != 2 {
		return c.fail("faketransport copies one file")
	}
	if has(opts, 'a') {
		if err := c.FS.CopyAll(c.abs(operands[0]), c.destination(operands[0], operands[1])); err != nil {
			return c.failed(operands[0], err)
		}
		return nil
	}
	data, err := c.FS.ReadFile(c.abs(operands[0]))
	if err != nil {
		return c.failed(operands[0], err)
	}
	info, err := c.FS.Stat(c.abs(operands[0]), true)
	if err != nil {
		return c.failed(operands[0], err)
	}
	h, err := c.FS.Create(c.destination(operands[0], operands[1]), info.Mode().Perm()&^c.Umask, false, true)
	if err == nil {
		_, err = h.Write(data)
	}
	if err != nil {
		return c.failed(operands[1], err)
	}
	return nil
}

func ln(c *call, opts options, operands []string) error {
	if !has(opts, 's') || len(operands) != 2 {
		return c.fail("faketransport makes one symbolic link")
	}
	at := c.abs(operands[1])
	if has(opts, 'f') {
		_ = c.FS.Remove(at, false) // not there is fine, and Symlink reports the rest
	}
	if err := c.FS.Symlink(operands[0], at); err != nil {
		return c.failed(operands[1], err)
	}
	return nil
}

func readlink(c *call, opts options, operands []string) error {
	if len(operands) != 1 {
		return c.fail("one operand")
	}
	if has(opts, 'f') {
		at, err := c.FS.RealPath(c.abs(operands[0]))
		if err != nil {
			return exit(1)
		}
		return c.print("%s\n", at)
	}
	info, err := c.FS.Stat(c.abs(operands[0]), false)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return exit(1)
	}
	return c.print("%s\n", info.Link)
}

func ls(c *call, _ options, operands []string) error {
	if len(operands) == 0 {
		operands = []string{"."}
	}
	for _, operand := range operands {
		info, err := c.FS.Stat(c.abs(operand), true)
		if err != nil {
			return c.fail("cannot access '%s': %s", operand, libc(err))
		}
		if !info.IsDir() {
			if err := c.print("%s\n", operand); err != nil {
				return err
			}
			continue
		}
		entries, err := c.FS.ReadDir(c.abs(operand))
		if err != nil {
			return c.failed(operand, err)
		}
		for _, e := range entries {
			if err := c.print("%s\n", e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

func touch(c *call, _ options, operands []string) error {
	return c.eachFile(operands, func(path string) error {
		_, err := c.FS.Create(path, 0o666&^c.Umask, false, false)
		return err
	})
}

func truncate(c *call, opts options, operands []string) error {
	size, err := strconv.Atoi(opts['s'])
	if err != nil || size < 0 || len(operands) != 1 {
		return c.fail("faketransport takes -s BYTES FILE")
	}
	h, err := c.FS.Create(c.abs(operands[0]), 0o666&^c.Umask, false, false)
	if err != nil {
		return c.failed(operands[0], err)
	}
	h.Truncate(size)
	return nil
}

func mktemp(c *call, opts options, operands []string) error {
	template := "/tmp/tmp.XXXXXX"
	if len(operands) > 0 {
		template = operands[0]
	}
	name := strings.TrimRight(template, "X")
	at := c.FS.TempName(c.abs(name))
	var err error
	if has(opts, 'd') {
		err = c.FS.Mkdir(at, 0o700)
	} else {
		_, err = c.FS.Create(at, 0o600, true, false)
	}
	if err != nil {
		return c.fail("failed to create file via template '%s': %s", template, libc(err))
	}
	return c.print("%s%s\n", name, strings.TrimPrefix(at, c.abs(name)))
}

// syncTool only fails for files that do not exist.
func syncTool(c *call, _ options, operands []string) error {
	return c.eachFile(operands, func(path string) error {
		_, err := c.FS.Stat(path, true)
		return err
	})
}
