package transport

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate/transport/internal/frame"
)

// FilesOf returns the Filer of a connection: its own if it has one (see As), else
// one made from commands, which needs a POSIX sh and coreutils (or busybox) on
// the host and the rights of the user that commands run as. Contents travel by
// standard input only, and no error quotes one.
func FilesOf(conn Conn) Filer {
	if f, ok := As[Filer](conn); ok {
		return f
	}
	return shellFiler{conn}
}

// shellFiler does each operation with one command, whatever the number of files.
type shellFiler struct{ conn Conn }

// Stat implements Filer.
func (s shellFiler) Stat(ctx context.Context, paths ...string) ([]FileInfo, error) {
	if err := checkPaths("stat", paths...); err != nil || len(paths) == 0 {
		return nil, err
	}
	out, err := runScript(ctx, s.conn, script{text: describeScript(paths), limit: int64(len(paths)) * 512})
	if err != nil {
		return nil, scriptError("stat", paths, err)
	}
	return parseStats(paths, string(out))
}

// Read implements Filer.
func (s shellFiler) Read(ctx context.Context, p string, limit int64) ([]byte, error) {
	if err := checkPaths("read", p); err != nil {
		return nil, err
	}
	out, err := runScript(ctx, s.conn, script{text: readScript, args: []string{p, strconv.FormatInt(limit+1, 10)}, limit: limit + 1})
	if err != nil {
		return nil, scriptError("read", []string{p}, err)
	}
	if int64(len(out)) > limit {
		return nil, fileError("read", p, fmt.Errorf("more than %d bytes: %w", limit, ErrTooLarge))
	}
	return out, nil
}

// ReadAll implements BatchReader.
func (s shellFiler) ReadAll(ctx context.Context, limit int64, paths ...string) ([]Data, error) {
	if err := checkPaths("read", paths...); err != nil || len(paths) == 0 {
		return nil, err
	}
	// Base64 takes 77 bytes for 57 of the content; a line ends each file.
	room := int64(len(paths)) * ((limit/57+2)*77 + 2)
	args := append([]string{strconv.FormatInt(limit+1, 10)}, paths...)
	out, err := runScript(ctx, s.conn, script{text: readAllScript, args: args, limit: room})
	if err != nil {
		return nil, scriptError("read", paths, err)
	}
	texts := strings.SplitAfter(string(out), ".\n")
	if len(texts) != len(paths)+1 || texts[len(paths)] != "" {
		return nil, fileError("read", only(paths), fmt.Errorf("the host answered %d files for %d paths", len(texts)-1, len(paths)))
	}
	all := make([]Data, len(paths))
	for i, p := range paths {
		b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.TrimSuffix(texts[i], ".\n"), "\n", ""))
		if err == nil && int64(len(b)) > limit {
			err = fmt.Errorf("more than %d bytes: %w", limit, ErrTooLarge)
		}
		if err != nil {
			return nil, fileError("read", p, err)
		}
		all[i] = Bytes(b)
	}
	return all, nil
}

// Write implements Filer.
func (s shellFiler) Write(ctx context.Context, files ...File) error {
	if err := validateFiles("write", files...); err != nil || len(files) == 0 {
		return err
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	_, err := runScript(ctx, s.conn, script{text: stageScript + writeScript(files)})
	return scriptError("write", paths, withoutContent(err))
}

// stageOf is where the files of one directory are staged.
type stageOf struct {
	dir   string
	files []int
}

// writeScript stages every file and syncs them, and only then renames them, so
// that a full disk leaves all the old files in place. The whole of it is one
// function: input that is cut short is a syntax error and runs nothing.
//
// Contents are words of echo, which is a builtin of every shell: no process has
// them in its arguments, and no shell keeps them in a file of its own, as bash does
// with here-documents.
func writeScript(files []File) string {
	stages, stageOfFile := stagesOf(files)
	var b strings.Builder
	var all []string
	for i := range stages {
		all = append(all, fmt.Sprintf("discard \"$stage%[1]d\" \"$identity%[1]d\"\n", i))
		fmt.Fprintf(&b, "stage%[1]d='' identity%[1]d=''\n", i)
	}
	fmt.Fprintf(&b, "cleanup() {\ndiscard \"$stage\" \"$identity\"\n%s}\nmain() {\n", strings.Join(all, ""))
	for i, stage := range stages {
		fmt.Fprintf(&b, "file=%d\nmake_stage %s\nstage%[3]d=$stage identity%[3]d=$identity stage=''\n", stage.files[0], frame.Quote(stage.dir), i)
		for _, n := range stage.files {
			receive(&b, n, files[n])
		}
		b.WriteString("sync_staged\n")
	}
	for n, f := range files {
		fmt.Fprintf(&b, "file=%d\n%splace f%[1]d %[3]s\n", n, enterScript(stageOfFile[n]), frame.Quote(path.Base(f.Path)))
	}
	for i := range stages {
		fmt.Fprintf(&b, "%sleave \"$stage%[2]d\"\nstage%[2]d=''\n", enterScript(i), i)
	}
	b.WriteString("}\n")
	return b.String()
}

// receive writes what stages a file.
func receive(b *strings.Builder, n int, f File) {
	mode, owner := placement(f)
	fmt.Fprintf(b, "file=%d\nvacant %s\n", n, frame.Quote("../"+path.Base(f.Path)))
	if f.Data.Len() == 0 {
		fmt.Fprintf(b, ": >f%d || fail failed\n", n)
	} else {
		fmt.Fprintf(b, "echo '%s' | base64 -d >f%d || fail failed\n", base64Lines(f.Data.Bytes()), n)
	}
	fmt.Fprintf(b, "whole f%d %d\nown f%[1]d %[3]s %[4]s\n", n, f.Data.Len(), mode, frame.Quote(owner))
}

func enterScript(stage int) string {
	return fmt.Sprintf("enter \"$stage%[1]d\" \"$identity%[1]d\" || fail unsafe\n", stage)
}

// stagesOf groups files by their directories, in the order in which these come up, and
// says which group each is in.
func stagesOf(files []File) (stages []stageOf, of []int) {
	at := map[string]int{}
	for n, f := range files {
		dir := parentOf(f.Path)
		i, ok := at[dir]
		if !ok {
			i = len(stages)
			at[dir] = i
			stages = append(stages, stageOf{dir: dir})
		}
		stages[i].files = append(stages[i].files, n)
		of = append(of, i)
	}
	return stages, of
}

// parentOf is the directory of a path as the scripts take it: empty for /.
func parentOf(p string) string { return p[:strings.LastIndexByte(p, '/')] }

// base64Lines encodes in lines of 76 characters: not every tool likes one line
// of megabytes.
func base64Lines(data []byte) string {
	const bytesPerLine = 57
	var lines []string
	for len(data) > 0 {
		n := min(bytesPerLine, len(data))
		lines = append(lines, base64.StdEncoding.EncodeToString(data[:n]))
		data = data[n:]
	}
	return strings.Join(lines, "\n")
}

// Upload implements Filer. Its standard input is the content, so that the script
// is in argv.
func (s shellFiler) Upload(ctx context.Context, f File, r io.Reader) error {
	if err := validateFiles("upload", f); err != nil {
		return err
	}
	mode, owner := placement(f)
	sealed := seal(ctx, r)
	_, err := runScript(ctx, s.conn, script{
		text: stageScript + uploadScript, args: []string{parentOf(f.Path), path.Base(f.Path), mode, owner}, stdin: sealed,
	})
	if failed := sealed.failure(); failed != nil && ctx.Err() == nil {
		return fileError("upload", f.Path, failed)
	}
	return scriptError("upload", []string{f.Path}, withoutContent(err))
}

// Remove implements Filer.
func (s shellFiler) Remove(ctx context.Context, paths ...string) error {
	if err := checkPaths("remove", paths...); err != nil || len(paths) == 0 {
		return err
	}
	_, err := runScript(ctx, s.conn, script{text: removeScript, args: paths})
	return scriptError("remove", paths, err)
}

// placement is the octal mode and the owner:group of a file.
func placement(f File) (mode, owner string) {
	bits := f.Mode
	if bits == 0 {
		bits = 0o600
	}
	owner = f.Owner
	if f.Group != "" {
		owner += ":" + f.Group
	}
	return fmt.Sprintf("%04o", bits), owner
}

// only is the path if there is one alone.
func only(paths []string) string {
	if len(paths) == 1 {
		return paths[0]
	}
	return ""
}

var errCut = errors.New("the stream was cut short")
