package transport

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// FilesOf gives the Filer of a connection: its own if it has one, else one
// made from commands, which needs a POSIX sh and coreutils (or busybox) on the
// host and the rights of the user that commands run as. Contents travel by
// standard input only.
func FilesOf(conn Conn) Filer {
	if f, ok := conn.(Filer); ok {
		return f
	}
	return shellFiler{conn}
}

// shellFiler does each operation with one command. Scripts go by standard
// input to sh -s, with paths as positional parameters, so that no path and no
// content is ever part of shell text; only Upload, whose standard input is the
// content, passes its script in argv.
type shellFiler struct{ conn Conn }

var (
	//go:embed scripts/common.sh
	commonScript string
	//go:embed scripts/stat.sh
	statScript string
	//go:embed scripts/read.sh
	readScript string
	//go:embed scripts/remove.sh
	removeScript string
	//go:embed scripts/place.sh
	placeScript string
	//go:embed scripts/upload.sh
	uploadScript string
)

// Exit codes by which the scripts tell what no message can.
const (
	exitMissing    = 44
	exitPermission = 45
)

func (s shellFiler) Stat(ctx context.Context, paths ...string) ([]FileInfo, error) {
	if err := checkPaths("stat", paths...); err != nil || len(paths) == 0 {
		return nil, err
	}
	out, err := s.script(ctx, commonScript+statScript, int64(len(paths))*512, paths...)
	if err != nil {
		return nil, fileError("stat", only(paths), cause(err))
	}
	return parseStats(paths, string(out))
}

// parseStats reads what scripts/stat.sh prints: a line for each path, or in
// three parts, for all paths at once, what would stand in these lines.
func parseStats(paths []string, out string) ([]FileInfo, error) {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) > len(paths) {
		lines = mergeStats(lines, len(paths))
	}
	if len(lines) != len(paths) {
		return nil, fileError("stat", only(paths), fmt.Errorf("the host answered %d lines for %d paths", len(lines), len(paths)))
	}
	infos := make([]FileInfo, len(paths))
	for i, line := range lines {
		var err error
		if infos[i], err = parseStat(paths[i], line); err != nil {
			return nil, fileError("stat", paths[i], err)
		}
	}
	return infos, nil
}

// mergeStats joins the parts, the first n lines long; nil if they do not fit.
func mergeStats(parts []string, n int) []string {
	lines, rest := parts[:n:n], parts[n:]
	for i, kind := range lines {
		if kind == "-" {
			continue
		}
		if len(rest) == 0 {
			return nil
		}
		lines[i] += " " + rest[0]
		rest = rest[1:]
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, "f ") {
			continue
		}
		// sha256sum's line goes on with the name, and begins with a backslash
		// where the name holds one.
		if len(rest) == 0 {
			return nil
		}
		sum, _, _ := strings.Cut(strings.TrimPrefix(rest[0], `\`), " ")
		lines[i] += " " + sum
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return nil
	}
	return lines
}

// parseStat reads a line of scripts/stat.sh: "-", or kind, octal mode, user,
// uid, group, gid, size and, for a regular file, its hash.
func parseStat(path, line string) (FileInfo, error) {
	info := FileInfo{Path: path}
	if line == "-" {
		return info, nil
	}
	unexpected := fmt.Errorf("unexpected answer %q", line)
	f := strings.Split(line, " ")
	if len(f) < 7 {
		return info, unexpected
	}
	mode, err := strconv.ParseUint(f[1], 8, 32)
	if err != nil {
		return info, unexpected
	}
	size, err := strconv.ParseInt(f[6], 10, 64)
	if err != nil {
		return info, unexpected
	}
	info.Exists, info.Dir = true, f[0] == "d"
	info.Mode = fs.FileMode(mode).Perm()
	info.Owner, info.Group = nameOrNumber(f[2], f[3]), nameOrNumber(f[4], f[5])
	if f[0] != "f" {
		return info, nil
	}
	info.Size = size
	if len(f) != 8 || len(f[7]) != 2*sha256.Size {
		return info, unexpected
	}
	if _, err := hex.Decode(info.SHA256[:], []byte(f[7])); err != nil {
		return info, unexpected
	}
	return info, nil
}

// nameOrNumber is the number where stat knows no name.
func nameOrNumber(name, number string) string {
	if name == "UNKNOWN" {
		return number
	}
	return name
}

func (s shellFiler) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := checkPaths("read", path); err != nil {
		return nil, err
	}
	out, err := s.script(ctx, commonScript+readScript, limit+1, path, strconv.FormatInt(limit+1, 10))
	if err != nil {
		return nil, fileError("read", path, cause(err))
	}
	if int64(len(out)) > limit {
		return nil, fileError("read", path, fmt.Errorf("more than %d bytes: %w", limit, ErrTooLarge))
	}
	return out, nil
}

func (s shellFiler) Write(ctx context.Context, files ...File) error {
	if err := validateFiles("write", files...); err != nil || len(files) == 0 {
		return err
	}
	var paths, args []string
	for _, f := range files {
		paths = append(paths, f.Path)
		args = append(args, placeArgs(f)...)
	}
	_, err := s.script(ctx, writeScript(files), OutputLimit, args...)
	return fileError("write", only(paths), cause(err))
}

// writeScript stages every file, syncs them together, and only then renames
// them, so that a full disk leaves all the old files in place. The whole of it
// is one function: input that is cut short is a syntax error and runs nothing.
func writeScript(files []File) string {
	var b strings.Builder
	var temps, dirs []string
	b.WriteString(commonScript + placeScript)
	for i := range files {
		temps = append(temps, fmt.Sprintf("t%d", i))
		dirs = append(dirs, fmt.Sprintf(`"${p%d%%/*}/"`, i))
	}
	quoted := `"$` + strings.Join(temps, `" "$`) + `"`
	fmt.Fprintf(&b, "tmp= %s=\ncleanup() { discard \"$tmp\" %s; }\n", strings.Join(temps, "= "), quoted)
	b.WriteString("main() {\n")
	for i, f := range files {
		b.WriteString("make_temp \"$1\"\n")
		fmt.Fprintf(&b, "base64 -d >\"$tmp\" <<'EOF' || fail \"$1\"\n%sEOF\n", base64Lines(f.Data.Bytes()))
		fmt.Fprintf(&b, "whole \"$1\" %d\n", f.Data.Len())
		fmt.Fprintf(&b, "own \"$1\" \"$2\" \"$3\"\np%d=$1 t%d=$tmp tmp=\nshift 3\n", i, i)
	}
	fmt.Fprintf(&b, "sync_files %s\n", quoted)
	for i := range files {
		fmt.Fprintf(&b, "place \"$t%d\" \"$p%d\"\nt%d=\n", i, i, i)
	}
	fmt.Fprintf(&b, "sync_dirs %s\n}\nmain \"$@\"\n", strings.Join(unique(dirs, files), " "))
	return b.String()
}

// unique keeps of the directory expressions one for each directory.
func unique(dirs []string, files []File) []string {
	var out []string
	seen := map[string]bool{}
	for i, f := range files {
		dir := f.Path[:strings.LastIndexByte(f.Path, '/')]
		if !seen[dir] {
			seen[dir] = true
			out = append(out, dirs[i])
		}
	}
	return out
}

// base64Lines encodes in lines of 76 characters: not every tool likes one line
// of megabytes.
func base64Lines(data []byte) string {
	const bytesPerLine = 57
	var b strings.Builder
	for len(data) > 0 {
		n := min(bytesPerLine, len(data))
		b.WriteString(base64.StdEncoding.EncodeToString(data[:n]))
		b.WriteByte('\n')
		data = data[n:]
	}
	return b.String()
}

func (s shellFiler) Upload(ctx context.Context, f File, r io.Reader) error {
	if err := validateFiles("upload", f); err != nil {
		return err
	}
	sealed := seal(ctx, r)
	argv := append([]string{"sh", "-c", commonScript + placeScript + uploadScript, "sh"}, placeArgs(f)...)
	_, err := run(ctx, s.conn, Cmd{Argv: argv, Stdin: sealed}, OutputLimit)
	if failed := sealed.failure(); failed != nil && ctx.Err() == nil {
		err = failed
	}
	return fileError("upload", f.Path, cause(err))
}

func (s shellFiler) Remove(ctx context.Context, paths ...string) error {
	if err := checkPaths("remove", paths...); err != nil || len(paths) == 0 {
		return err
	}
	_, err := s.script(ctx, commonScript+removeScript, OutputLimit, paths...)
	return fileError("remove", only(paths), cause(err))
}

func (s shellFiler) script(ctx context.Context, script string, limit int64, args ...string) ([]byte, error) {
	argv := append([]string{"sh", "-s", "--"}, args...)
	return run(ctx, s.conn, Cmd{Argv: argv, Stdin: strings.NewReader(script)}, limit)
}

// placeArgs is how a file travels in argv: path, octal mode, owner:group.
func placeArgs(f File) []string {
	mode := f.Mode
	if mode == 0 {
		mode = 0o600
	}
	owner := f.Owner
	if f.Group != "" {
		owner += ":" + f.Group
	}
	return []string{f.Path, fmt.Sprintf("%04o", mode), owner}
}

// only is the path if there is one alone; else the scripts name it.
func only(paths []string) string {
	if len(paths) == 1 {
		return paths[0]
	}
	return ""
}

// cause makes the scripts' exit codes errors that errors.Is knows.
func cause(err error) error {
	var exit *ExitError
	if !errors.As(err, &exit) {
		return err
	}
	switch exit.Code {
	case exitMissing:
		if said := strings.TrimSpace(exit.Stderr); said != "" {
			return fmt.Errorf("%s: %s: %w", exit.Host, said, fs.ErrNotExist)
		}
		return fmt.Errorf("%s: %w", exit.Host, fs.ErrNotExist)
	case exitPermission:
		return fmt.Errorf("%s: %s: %w", exit.Host, strings.TrimSpace(exit.Stderr), fs.ErrPermission)
	}
	return err
}
