package faketransport

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"
)

func statTool(c *call) error {
	opts, operands, err := c.options("L", "c")
	if err != nil {
		return err
	}
	for _, operand := range operands {
		info, err := c.fs().stat(c.abs(operand), has(opts, 'L'))
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
		case info.mode.Type() == fs.ModeSymlink:
			kind = "symbolic link"
		case info.size == 0:
			kind = "regular empty file"
		}
		text := strings.NewReplacer(
			"%a", strconv.FormatUint(uint64(info.mode.Perm()), 8), "%n", operand, "%s", strconv.FormatInt(info.size, 10),
			"%i", strconv.FormatInt(info.inode, 10), "%Y", strconv.FormatInt(info.changed, 10), "%Z", strconv.FormatInt(info.changed, 10),
			"%U", info.owner, "%G", info.group, "%u", strconv.Itoa(info.uid), "%g", strconv.Itoa(info.gid), "%F", kind, "%%", "%",
		).Replace(format)
		if err := c.print("%s\n", text); err != nil {
			return err
		}
	}
	return nil
}

func mkdir(c *call) error {
	opts, operands, err := c.options("p", "m")
	if err != nil {
		return err
	}
	mode := 0o777 &^ c.umask
	for _, operand := range operands {
		p := c.abs(operand)
		if has(opts, 'p') {
			err = c.fs().mkdirAll(p, mode)
		} else {
			err = c.fs().mkdir(p, mode)
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
	return c.fs().chmod(p, fs.FileMode(mode))
}

func chmod(c *call) error {
	_, operands, err := c.options("", "")
	if err != nil {
		return err
	}
	if len(operands) < 2 {
		return c.fail("missing operand")
	}
	for _, operand := range operands[1:] {
		if err := c.setMode(c.abs(operand), operands[0]); err != nil {
			return c.failed(operand, err)
		}
	}
	return nil
}

func chown(c *call) error {
	_, operands, err := c.options("h", "")
	if err != nil {
		return err
	}
	if len(operands) < 2 {
		return c.fail("missing operand")
	}
	owner, group, _ := strings.Cut(operands[0], ":")
	for _, operand := range operands[1:] {
		if err := c.fs().chown(c.abs(operand), owner, group); err != nil {
			return c.failed(operand, err)
		}
	}
	return nil
}

func rm(c *call) error {
	opts, operands, err := c.options("rRf", "")
	if err != nil {
		return err
	}
	for _, operand := range operands {
		p := c.abs(operand)
		if has(opts, 'r') || has(opts, 'R') {
			c.fs().removeAll(p)
			continue
		}
		err := c.fs().remove(p, false)
		if errors.Is(err, syscall.ENOENT) && has(opts, 'f') {
			continue
		}
		if err != nil {
			return c.fail("cannot remove '%s': %s", operand, libc(err))
		}
	}
	return nil
}

func rmdir(c *call) error {
	_, operands, err := c.options("", "")
	if err != nil {
		return err
	}
	for _, operand := range operands {
		if err := c.fs().remove(c.abs(operand), true); err != nil {
			return c.failed(operand, err)
		}
	}
	return nil
}

// destination is where mv, cp and ln put a file: into a directory, or at the
// path.
func (c *call) destination(from, to string) string {
	if info, err := c.fs().stat(c.abs(to), true); err == nil && info.IsDir() {
		return path.Join(c.abs(to), path.Base(from))
	}
	return c.abs(to)
}

func mv(c *call) error {
	_, operands, err := c.options("f", "")
	if err != nil {
		return err
	}
	if len(operands) != 2 {
		return c.fail("faketransport moves one file")
	}
	if err := c.fs().rename(c.abs(operands[0]), c.destination(operands[0], operands[1])); err != nil {
		return c.failed(operands[0], err)
	}
	return nil
}

func cp(c *call) error {
	opts, operands, err := c.options("fa", "")
	if err != nil {
		return err
	}
	if len(operands) != 2 {
		return c.fail("faketransport copies one file")
	}
	if has(opts, 'a') {
		if err := c.fs().copyAll(c.abs(operands[0]), c.destination(operands[0], operands[1])); err != nil {
			return c.failed(operands[0], err)
		}
		return nil
	}
	data, err := c.fs().read(c.abs(operands[0]))
	if err != nil {
		return c.failed(operands[0], err)
	}
	info, err := c.fs().stat(c.abs(operands[0]), true)
	if err != nil {
		return c.failed(operands[0], err)
	}
	n, err := c.fs().create(c.destination(operands[0], operands[1]), info.mode.Perm()&^c.umask, false, true)
	if err == nil {
		_, err = c.fs().write(n, 0, data)
	}
	if err != nil {
		return c.failed(operands[1], err)
	}
	return nil
}

func ln(c *call) error {
	opts, operands, err := c.options("sfn", "")
	if err != nil {
		return err
	}
	if !has(opts, 's') || len(operands) != 2 {
		return c.fail("faketransport makes one symbolic link")
	}
	at := c.abs(operands[1])
	if has(opts, 'f') {
		_ = c.fs().remove(at, false) // not there is fine, and the rest symlink tells
	}
	if err := c.fs().symlink(operands[0], at); err != nil {
		return c.failed(operands[1], err)
	}
	return nil
}

func readlink(c *call) error {
	opts, operands, err := c.options("f", "")
	if err != nil {
		return err
	}
	if len(operands) != 1 {
		return c.fail("one operand")
	}
	if has(opts, 'f') {
		c.fs().mu.Lock()
		at, err := c.fs().resolve(c.abs(operands[0]), true)
		c.fs().mu.Unlock()
		if err != nil {
			return Exit(1)
		}
		return c.print("%s\n", at)
	}
	info, err := c.fs().stat(c.abs(operands[0]), false)
	if err != nil || info.mode.Type() != fs.ModeSymlink {
		return Exit(1)
	}
	return c.print("%s\n", info.link)
}

func ls(c *call) error {
	_, operands, err := c.options("1A", "")
	if err != nil {
		return err
	}
	if len(operands) == 0 {
		operands = []string{"."}
	}
	for _, operand := range operands {
		info, err := c.fs().stat(c.abs(operand), true)
		if err != nil {
			return c.fail("cannot access '%s': %s", operand, libc(err))
		}
		if !info.IsDir() {
			if err := c.print("%s\n", operand); err != nil {
				return err
			}
			continue
		}
		entries, err := c.fs().readDir(c.abs(operand))
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

func touch(c *call) error {
	_, operands, err := c.options("", "")
	if err != nil {
		return err
	}
	for _, operand := range operands {
		if _, err := c.fs().create(c.abs(operand), 0o666&^c.umask, false, false); err != nil {
			return c.failed(operand, err)
		}
	}
	return nil
}

func truncate(c *call) error {
	opts, operands, err := c.options("", "s")
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(opts['s'])
	if err != nil || size < 0 || len(operands) != 1 {
		return c.fail("faketransport takes -s BYTES FILE")
	}
	n, err := c.fs().create(c.abs(operands[0]), 0o666&^c.umask, false, false)
	if err != nil {
		return c.failed(operands[0], err)
	}
	c.fs().mu.Lock()
	defer c.fs().mu.Unlock()
	if size <= len(n.data) {
		n.data = n.data[:size]
	} else {
		n.data = append(n.data, make([]byte, size-len(n.data))...)
	}
	c.fs().touch(n)
	return nil
}

func mktemp(c *call) error {
	opts, operands, err := c.options("d", "")
	if err != nil {
		return err
	}
	template := "/tmp/tmp.XXXXXX"
	if len(operands) > 0 {
		template = c.abs(operands[0])
	}
	c.fs().mu.Lock()
	at := c.fs().tempLocked(strings.TrimRight(template, "X"))
	c.fs().mu.Unlock()
	if has(opts, 'd') {
		err = c.fs().mkdir(at, 0o700)
	} else {
		_, err = c.fs().create(at, 0o600, true, false)
	}
	if err != nil {
		return c.fail("failed to create file via template '%s': %s", template, libc(err))
	}
	return c.print("%s\n", at)
}

// syncTool has nothing to do but to miss files.
func syncTool(c *call) error {
	_, operands, err := c.options("d", "")
	if err != nil {
		return err
	}
	for _, operand := range operands {
		if _, err := c.fs().stat(c.abs(operand), true); err != nil {
			return c.failed(operand, err)
		}
	}
	return nil
}
