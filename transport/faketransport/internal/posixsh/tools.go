package posixsh

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// tool returns one of the built-in coreutils, with the options that scripts of this
// module use. Another option is an error, never ignored.
func tool(name string) (func(*call) error, bool) {
	f, ok := map[string]func(*call) error{
		"base64":    parsed("d", "w", base64Tool),
		"basename":  basename,
		"cat":       parsed("", "", cat),
		"chmod":     parsed("", "", chmod),
		"chown":     parsed("h", "", chown),
		"cp":        parsed("fa", "", cp),
		"date":      date,
		"dirname":   dirname,
		"env":       envTool,
		"grep":      parsed("qFxEi", "", grep),
		"head":      parsed("", "cn", head),
		"hostname":  hostname,
		"id":        parsed("ugn", "", id),
		"ln":        parsed("sfn", "", ln),
		"ls":        parsed("1A", "", ls),
		"mkdir":     parsed("p", "m", mkdir),
		"mktemp":    parsed("d", "", mktemp),
		"mv":        parsed("fT", "", mv),
		"readlink":  parsed("f", "", readlink),
		"rm":        parsed("rRf", "", rm),
		"rmdir":     parsed("", "", rmdir),
		"sha256sum": parsed("", "", sha256sum),
		"sleep":     sleep,
		"stat":      parsed("L", "c", statTool),
		"sudo":      sudo,
		"sync":      parsed("d", "", syncTool),
		"tail":      parsed("", "cn", tailTool),
		"tee":       parsed("", "", tee),
		"touch":     parsed("", "", touch),
		"truncate":  parsed("", "s", truncate),
		"uname":     parsed("srm", "", uname),
		"wc":        parsed("cl", "", wc),
		lookUp:      lookUpTool,
	}[name]
	return f, ok
}

// call is one use of a tool.
type call struct {
	*Machine
	Command
	ctx  context.Context //nolint:containedctx // lives as long as the call
	name string
}

// fail prints a message as coreutils do and exits with 1.
func (c *call) fail(format string, args ...any) error {
	fmt.Fprintf(c.Stderr, c.name+": "+format+"\n", args...)
	return exit(1)
}

// failed is fail for a path.
func (c *call) failed(p string, err error) error { return c.fail("%s: %s", p, libc(err)) }

// libc is the text of an error as strerror has it.
func libc(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	var errno syscall.Errno
	text := err.Error()
	if errors.As(err, &errno) {
		r := []rune(text)
		r[0] = unicode.ToUpper(r[0])
		text = string(r)
	}
	return text
}

func (c *call) print(format string, args ...any) error {
	_, err := fmt.Fprintf(c.Stdout, format, args...)
	return err
}

// options are those of a call by their letter; flags have an empty value.
type options map[byte]string

// parsed is a tool whose command line consists of options by letter, which are flags
// or take a value, and operands.
func parsed(flags, valued string, run func(*call, options, []string) error) func(*call) error {
	return func(c *call) error {
		opts, operands, err := c.options(flags, valued)
		if err != nil {
			return err
		}
		return run(c, opts, operands)
	}
}

// options parses the arguments. Its error has been printed already.
func (c *call) options(flags, valued string) (options, []string, error) {
	opts := options{}
	args := c.Argv[1:]
	var operands []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			operands = append(operands, args...)
			break
		}
		if arg == "-" || !strings.HasPrefix(arg, "-") {
			operands = append(operands, arg)
			continue
		}
		for i := 1; i < len(arg); i++ {
			letter := arg[i]
			switch {
			case strings.IndexByte(flags, letter) >= 0:
				opts[letter] = ""
				continue
			case strings.IndexByte(valued, letter) >= 0 && i+1 < len(arg):
				opts[letter] = arg[i+1:]
			case strings.IndexByte(valued, letter) >= 0 && len(args) > 0:
				opts[letter], args = args[0], args[1:]
			default:
				return nil, nil, c.fail("faketransport has no option %s of it", arg)
			}
			break
		}
	}
	return opts, operands, nil
}

func has(opts options, letter byte) bool { _, ok := opts[letter]; return ok }

// input opens an operand, - or none meaning standard input.
func (c *call) input(operands []string) (io.Reader, error) {
	if len(operands) == 0 || operands[0] == "-" {
		return &ctxReader{c.ctx, c.Stdin}, nil
	}
	if len(operands) > 1 {
		return nil, c.fail("faketransport takes one file")
	}
	r, err := c.FS.Open(c.abs(operands[0]))
	if err != nil {
		return nil, c.failed(operands[0], err)
	}
	return &ctxReader{c.ctx, r}, nil
}

func orStdin(operands []string) []string {
	if len(operands) == 0 {
		return []string{"-"}
	}
	return operands
}

// eachInput opens the operands one after another, standard input if there are none.
func (c *call) eachInput(operands []string, read func(name string, r io.Reader) error) error {
	for _, operand := range orStdin(operands) {
		r, err := c.input([]string{operand})
		if err != nil {
			return err
		}
		if err := read(operand, r); err != nil {
			return err
		}
	}
	return nil
}

// eachFile calls change with the path of each operand, and prints what fails first.
func (c *call) eachFile(operands []string, change func(path string) error) error {
	for _, operand := range operands {
		if err := change(c.abs(operand)); err != nil {
			return c.failed(operand, err)
		}
	}
	return nil
}

func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	return io.ReadAll(&ctxReader{ctx, r})
}

// copyOut copies to standard output; a full disk behind it is a message.
func (c *call) copyOut(r io.Reader) error {
	_, err := io.Copy(c.Stdout, r)
	if errors.Is(err, syscall.ENOSPC) {
		return c.fail("write error: %s", libc(err))
	}
	return err
}

func cat(c *call, _ options, operands []string) error {
	return c.eachInput(operands, func(_ string, r io.Reader) error { return c.copyOut(r) })
}

func tee(c *call, _ options, operands []string) error {
	out := []io.Writer{c.Stdout}
	for _, operand := range operands {
		h, err := c.FS.Create(c.abs(operand), 0o666&^c.Umask, false, true)
		if err != nil {
			return c.failed(operand, err)
		}
		out = append(out, h)
	}
	_, err := io.Copy(io.MultiWriter(out...), &ctxReader{c.ctx, c.Stdin})
	return err
}

func base64Tool(c *call, opts options, operands []string) error {
	in, err := c.input(operands)
	if err != nil {
		return err
	}
	if has(opts, 'd') {
		data, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		plain, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(data)), ""))
		if err != nil {
			return c.fail("invalid input")
		}
		return c.copyOut(bytes.NewReader(plain))
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	text := base64.StdEncoding.EncodeToString(data)
	if opts['w'] == "0" {
		return c.print("%s", text)
	}
	for len(text) > 0 {
		n := min(76, len(text))
		if err := c.print("%s\n", text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

func sha256sum(c *call, _ options, operands []string) error {
	return c.eachInput(operands, func(name string, r io.Reader) error {
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			return err
		}
		return c.print("%x  %s\n", h.Sum(nil), name)
	})
}

// count reads the number of -c or -n; head and tail differ in the rest.
func (c *call) count(opts options) (n int, bytes bool, err error) {
	text, bytes := opts['c'], has(opts, 'c')
	if !bytes {
		if text = opts['n']; text == "" {
			text = "10"
		}
	}
	n, err = strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, false, c.fail("faketransport takes no count %q", text)
	}
	return n, bytes, nil
}

func head(c *call, opts options, operands []string) error {
	n, isBytes, err := c.count(opts)
	if err != nil {
		return err
	}
	in, err := c.input(operands)
	if err != nil {
		return err
	}
	if isBytes {
		return c.copyOut(io.LimitReader(in, int64(n)))
	}
	lines := bufio.NewReader(in)
	for range n {
		line, err := lines.ReadString('\n')
		if _, werr := io.WriteString(c.Stdout, line); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func tailTool(c *call, opts options, operands []string) error {
	n, isBytes, err := c.count(opts)
	if err != nil {
		return err
	}
	in, err := c.input(operands)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	if isBytes {
		return c.copyOut(bytes.NewReader(data[max(0, len(data)-n):]))
	}
	lines := strings.SplitAfter(string(data), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return c.print("%s", strings.Join(lines[max(0, len(lines)-n):], ""))
}

func wc(c *call, opts options, operands []string) error {
	in, err := c.input(operands)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	n := len(data)
	if has(opts, 'l') {
		n = bytes.Count(data, []byte("\n"))
	} else if !has(opts, 'c') {
		return c.fail("faketransport has -c and -l only")
	}
	return c.print("%s\n", strings.TrimSpace(fmt.Sprint(n, " ", strings.Join(operands, ""))))
}

func grep(c *call, opts options, operands []string) error {
	if len(operands) == 0 {
		return c.fail("no pattern")
	}
	pattern := operands[0]
	if has(opts, 'F') {
		pattern = regexp.QuoteMeta(pattern)
	}
	if has(opts, 'x') {
		pattern = "^(?:" + pattern + ")$"
	}
	if has(opts, 'i') {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return c.fail("%v", err)
	}
	files := orStdin(operands[1:])
	found, failed := false, false
	for _, file := range files {
		in, err := c.input([]string{file})
		if err != nil {
			failed = true
			continue
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			if !re.MatchString(line) {
				continue
			}
			found = true
			if has(opts, 'q') {
				return nil
			}
			if len(files) > 1 {
				line = file + ":" + line
			}
			if err := c.print("%s\n", line); err != nil {
				return err
			}
		}
	}
	switch {
	case failed:
		return exit(2)
	case !found:
		return exit(1)
	}
	return nil
}

func sleep(c *call) error {
	if len(c.Argv) != 2 {
		return c.fail("one operand")
	}
	seconds, err := strconv.ParseFloat(c.Argv[1], 64)
	if err != nil {
		return c.fail("invalid time interval %q", c.Argv[1])
	}
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// date knows -u, which is all the same here, and of a format %s, %N and the parts
// of a date and time.
func date(c *call) error {
	args := slices.DeleteFunc(slices.Clone(c.Argv[1:]), func(s string) bool { return s == "-u" })
	if len(args) != 1 || !strings.HasPrefix(args[0], "+") {
		return c.fail("faketransport knows only date [-u] +FORMAT")
	}
	now := c.Now().UTC()
	text := strings.NewReplacer("%s", strconv.FormatInt(now.Unix(), 10), "%N", fmt.Sprintf("%09d", now.Nanosecond()),
		"%Y", now.Format("2006"), "%m", now.Format("01"), "%d", now.Format("02"),
		"%H", now.Format("15"), "%M", now.Format("04"), "%S", now.Format("05")).Replace(args[0][1:])
	if strings.Contains(text, "%") {
		return c.fail("faketransport knows only %%s %%N %%Y %%m %%d %%H %%M %%S of a format")
	}
	return c.print("%s\n", text)
}

func hostname(c *call) error { return c.print("%s\n", c.Host) }

func uname(c *call, opts options, _ []string) error {
	switch {
	case has(opts, 'm'):
		return c.print("x86_64\n")
	case has(opts, 'r'):
		return c.print("6.1.0-fake\n")
	}
	return c.print("Linux\n")
}

func id(c *call, opts options, _ []string) error {
	if has(opts, 'n') {
		return c.print("root\n")
	}
	if has(opts, 'u') || has(opts, 'g') {
		return c.print("0\n")
	}
	return c.print("uid=0(root) gid=0(root) groups=0(root)\n")
}

func basename(c *call) error { return c.print("%s\n", path.Base(c.Argv[len(c.Argv)-1])) }
func dirname(c *call) error  { return c.print("%s\n", path.Dir(c.Argv[len(c.Argv)-1])) }

func lookUpTool(c *call) error {
	for _, name := range c.Argv[1:] {
		if name == "sh" || shellTools[name] || c.HasProgram(name) {
			if !path.IsAbs(name) {
				name = "/usr/bin/" + name
			}
			if err := c.print("%s\n", name); err != nil {
				return err
			}
			continue
		}
		dirs := strings.Split(c.Path(), ":")
		if path.IsAbs(name) {
			dirs = []string{""}
		}
		i := slices.IndexFunc(dirs, func(dir string) bool {
			_, err := c.FS.Stat(path.Join(dir, name), true)
			return err == nil
		})
		if i < 0 {
			return exit(127)
		}
		if err := c.print("%s\n", path.Join(dirs[i], name)); err != nil {
			return err
		}
	}
	return nil
}

// sudo runs its operands as they are: everything here belongs to root.
func sudo(c *call) error {
	args := c.Argv[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		flag := args[0]
		args = args[1:]
		switch flag {
		case "-n", "-H":
			continue
		case "-u", "-g":
			if len(args) > 0 {
				args = args[1:]
			}
			continue
		case "--":
		default:
			return c.fail("faketransport has no option %s of it", flag)
		}
		break
	}
	return c.runRest(args)
}

func envTool(c *call) error {
	args := c.Argv[1:]
	for len(args) > 0 && (strings.Contains(args[0], "=") || args[0] == "--") {
		args = args[1:] // no tool here reads a variable
	}
	return c.runRest(args)
}

func (c *call) runRest(argv []string) error {
	if len(argv) == 0 {
		return c.fail("no command")
	}
	in := c.Command
	in.Argv = argv
	return c.Exec(c.ctx, in)
}

// ctxReader ends a long copy between two reads.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
