package transporttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/quorate-dev/quorate/transport"
)

const marker = "TOP-SECRET-MARKER"

func files(t *testing.T, h Harness) {
	conn := h.dial(t)
	f := conn.filer()
	ctx := t.Context()
	// Each test has a directory of its own.
	n := 0
	dir := func(t *testing.T) string {
		t.Helper()
		n++
		d := fmt.Sprintf("%s/files-%d", h.Dir, n)
		mustRun(t, conn, "mkdir", "-p", d)
		t.Cleanup(func() { mustRun(t, conn, "rm", "-rf", d) })
		return d
	}

	t.Run("write, stat, read", func(t *testing.T) {
		d := dir(t)
		want := []transport.File{
			{Path: d + "/default", Data: transport.Bytes([]byte("a"))},
			{Path: d + "/empty", Mode: 0o644},
			{Path: d + "/exec", Mode: 0o755, Data: transport.Bytes([]byte("#!/bin/sh\n"))},
			{Path: d + "/binary", Mode: 0o400, Data: transport.Bytes(noise(100_000))},
			{Path: d + "/new/parent/file", Mode: 0o640, Data: transport.Bytes([]byte("no newline"))},
		}
		check(t, f.Write(ctx, want...))
		for i, info := range stat(t, f, paths(want)...) {
			mode := want[i].Mode
			if mode == 0 {
				mode = 0o600
			}
			data := want[i].Data.Bytes()
			if !info.Exists || info.Dir || info.Mode != mode || info.Size != int64(len(data)) ||
				info.SHA256 != sha256.Sum256(data) || info.Path != want[i].Path {
				t.Errorf("%s: got %+v", want[i].Path, info)
			}
			if info.Owner == "" || info.Group == "" {
				t.Errorf("%s: no owner: %+v", want[i].Path, info)
			}
			got, err := f.Read(ctx, want[i].Path, 1<<20)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: read %d bytes, %v", want[i].Path, len(got), err)
			}
		}
		for _, info := range stat(t, f, d+"/new", d+"/new/parent") {
			if !info.Exists || !info.Dir || info.Mode != 0o755 {
				t.Errorf("parent %+v", info)
			}
		}
		if names := list(t, conn, d); len(names) != 5 {
			t.Errorf("the directory holds %q", names)
		}
	})

	t.Run("replace", func(t *testing.T) {
		p := dir(t) + "/f"
		check(t, f.Write(ctx, transport.File{Path: p, Mode: 0o644, Data: transport.Bytes([]byte("the long old content"))}))
		check(t, f.Write(ctx, transport.File{Path: p, Mode: 0o600, Data: transport.Bytes([]byte("new"))}))
		if got := read(t, f, p); got != "new" {
			t.Errorf("got %q", got)
		}
		if info := stat(t, f, p)[0]; info.Mode != 0o600 {
			t.Errorf("mode %v", info.Mode)
		}
	})

	t.Run("a symbolic link is replaced, not followed", func(t *testing.T) {
		d := dir(t)
		check(t, f.Write(ctx, transport.File{Path: d + "/target", Data: transport.Bytes([]byte("old"))}))
		mustRun(t, conn, "ln", "-s", d+"/target", d+"/link")
		if info := stat(t, f, d+"/link")[0]; !info.Exists || info.Size != 3 {
			t.Errorf("stat of a link returned %+v", info)
		}
		check(t, f.Write(ctx, transport.File{Path: d + "/link", Data: transport.Bytes([]byte("new"))}))
		if got := read(t, f, d+"/target"); got != "old" {
			t.Errorf("the target was written: %q", got)
		}
	})

	t.Run("nothing there", func(t *testing.T) {
		d := dir(t)
		check(t, f.Write(ctx, transport.File{Path: d + "/file"}))
		for _, p := range []string{d + "/missing", d + "/no/such/dir", d + "/file/below"} {
			if info := stat(t, f, p)[0]; info != (transport.FileInfo{Path: p}) {
				t.Errorf("got %+v", info)
			}
			if _, err := f.Read(ctx, p, 10); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Read %s: %v", p, err)
			}
			check(t, f.Remove(ctx, p))
		}
	})

	t.Run("nothing asked", func(t *testing.T) {
		infos, err := f.Stat(ctx)
		if len(infos) != 0 || err != nil {
			t.Errorf("Stat returned %v, %v", infos, err)
		}
		check(t, f.Write(ctx))
		check(t, f.Remove(ctx))
	})

	t.Run("limit", func(t *testing.T) {
		p := dir(t) + "/f"
		check(t, f.Write(ctx, transport.File{Path: p, Data: transport.Bytes([]byte("0123456789"))}))
		if got, err := f.Read(ctx, p, 10); err != nil || string(got) != "0123456789" {
			t.Errorf("at the limit: %q, %v", got, err)
		}
		if _, err := f.Read(ctx, p, 9); !errors.Is(err, transport.ErrTooLarge) {
			t.Errorf("over the limit: %v", err)
		}
	})

	t.Run("read many", func(t *testing.T) {
		batch, ok := f.(transport.BatchReader)
		if !ok {
			t.Skip("this Filer reads one by one")
		}
		d := dir(t)
		want := []transport.File{
			{Path: d + "/text", Data: transport.Bytes([]byte("one\n.\ntwo\n"))},
			{Path: d + "/empty"},
			{Path: d + "/binary", Data: transport.Bytes(noise(100_000))},
			{Path: d + "/with a 'quote'", Data: transport.Bytes([]byte("no newline"))},
		}
		check(t, f.Write(ctx, want...))
		got, err := batch.ReadAll(ctx, 100_000, paths(want)...)
		check(t, err)
		if len(got) != len(want) {
			t.Fatalf("%d answers for %d paths", len(got), len(want))
		}
		for i, w := range want {
			if !bytes.Equal(got[i].Bytes(), w.Data.Bytes()) {
				t.Errorf("%s: %d bytes, want %d", w.Path, got[i].Len(), w.Data.Len())
			}
		}
		if got, err := batch.ReadAll(ctx, 10); len(got) != 0 || err != nil {
			t.Errorf("nothing asked: %v, %v", got, err)
		}
		if _, err := batch.ReadAll(ctx, 99_999, paths(want)...); !errors.Is(err, transport.ErrTooLarge) || !strings.Contains(err.Error(), d+"/binary") {
			t.Errorf("over the limit: %v", err)
		}
		if _, err := batch.ReadAll(ctx, 10, d+"/empty", d+"/missing"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), d+"/missing") {
			t.Errorf("missing: %v", err)
		}
		if _, err := batch.ReadAll(ctx, 10, d+"/empty", d); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a directory: %v", err)
		}
		if _, err := batch.ReadAll(ctx, 10, "relative"); err == nil {
			t.Error("took a relative path")
		}
	})

	t.Run("weird names", func(t *testing.T) {
		d := dir(t)
		var want []transport.File
		for i, word := range awkwardWords {
			name := strings.ReplaceAll(word, "/", "-")
			if name == "" {
				continue
			}
			p := d + "/" + name
			if i%6 == 0 { // as a directory too
				p = d + "/dir" + name + "/" + name
			}
			want = append(want, transport.File{Path: p, Data: transport.Bytes([]byte(word))})
		}
		check(t, f.Write(ctx, want...))
		for i, info := range stat(t, f, paths(want)...) {
			if !info.Exists || info.SHA256 != sha256.Sum256(want[i].Data.Bytes()) {
				t.Errorf("%q: %+v", want[i].Path, info)
			}
		}
		for i, got := range readAll(t, f, paths(want)...) {
			if got != string(want[i].Data.Bytes()) {
				t.Errorf("%q: read %q", want[i].Path, got)
			}
		}
		check(t, f.Upload(ctx, transport.File{Path: want[3].Path}, strings.NewReader("up")))
		if got := read(t, f, want[3].Path); got != "up" {
			t.Errorf("upload: %q", got)
		}
		check(t, f.Remove(ctx, paths(want)...))
		for _, info := range stat(t, f, paths(want)...) {
			if info.Exists {
				t.Errorf("%q is still there", info.Path)
			}
		}
	})

	t.Run("bad paths and owners are refused", func(t *testing.T) {
		for _, bad := range []transport.File{
			{Path: ""}, {Path: "relative"}, {Path: "/a/../b"}, {Path: "/a//b"}, {Path: "/a/"}, {Path: "/nul\x00"},
			{Path: h.Dir + "/x", Mode: 0o4755}, {Path: h.Dir + "/x", Owner: "-R"}, {Path: h.Dir + "/x", Group: "a b"},
		} {
			if err := f.Write(ctx, bad); err == nil {
				t.Errorf("Write took %+v", bad)
			}
			if err := f.Upload(ctx, bad, strings.NewReader("")); err == nil {
				t.Errorf("Upload took %+v", bad)
			}
		}
		if _, err := f.Stat(ctx, "relative"); err == nil {
			t.Error("Stat took a relative path")
		}
		if err := f.Remove(ctx, "relative"); err == nil {
			t.Error("Remove took a relative path")
		}
		if _, err := f.Read(ctx, "relative", 1); err == nil {
			t.Error("Read took a relative path")
		}
	})

	t.Run("a reader sees the old file or the new", func(t *testing.T) {
		p := dir(t) + "/f"
		one, two := strings.Repeat("1", 200_000), strings.Repeat("2", 200_000)
		put := func(s string) error {
			return f.Write(ctx, transport.File{Path: p, Data: transport.Bytes([]byte(s))})
		}
		check(t, put(one))
		done := make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			for {
				b, err := f.Read(ctx, p, 1<<20)
				if err != nil || string(b) != one && string(b) != two {
					t.Errorf("read %d bytes, %v", len(b), err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
		for i := range 10 {
			check(t, put([]string{two, one}[i%2]))
		}
		close(done)
		reader.Wait()
	})

	t.Run("large upload", func(t *testing.T) {
		p := dir(t) + "/f"
		data := noise(8<<20 + 17)
		check(t, f.Upload(ctx, transport.File{Path: p, Mode: 0o644}, bytes.NewReader(data)))
		info := stat(t, f, p)[0]
		if info.Size != int64(len(data)) || info.SHA256 != sha256.Sum256(data) || info.Mode != 0o644 {
			t.Errorf("got %+v", info)
		}
	})

	t.Run("only the owner may read from the first byte", func(t *testing.T) {
		d := dir(t)
		// A file that is being written lies in d, or in a directory there that nobody
		// else can open.
		const show = `show() {
	for f in "$1"/* "$1"/.*; do
		case $f in */. | */..) continue ;; esac
		if [ -d "$f" ]; then
			[ "$(stat -c %a "$f")" = 700 ] || echo "open directory $f"
			show "$f"
		elif [ -f "$f" ]; then
			stat -c '%a %s %n' "$f"
		fi
	done
}
show "$1"`
		seen := ""
		peek := func() {
			h.eventually(t, "some content is on the host", func() bool {
				seen = mustRun(t, conn, "sh", "-c", show, "sh", d)
				return strings.Contains(seen, "\n") && strings.Fields(seen)[1] != "0"
			})
		}
		r := io.MultiReader(bytes.NewReader(noise(1<<20)), onRead(peek), strings.NewReader("end"))
		check(t, f.Upload(ctx, transport.File{Path: d + "/f", Mode: 0o666}, r))
		if !strings.HasPrefix(seen, "600 ") || strings.HasSuffix(seen, d+"/f\n") || strings.Count(seen, "\n") != 1 {
			t.Errorf("while uploading the directory held %q", seen)
		}
		if names := list(t, conn, d); len(names) != 1 || names[0] != "f" {
			t.Errorf("afterwards it held %q", names)
		}
	})

	t.Run("a failed upload changes nothing", func(t *testing.T) {
		d := dir(t)
		check(t, f.Write(ctx, transport.File{Path: d + "/f", Data: transport.Bytes([]byte("old"))}))
		broken := errors.New("the source broke")
		err := f.Upload(ctx, transport.File{Path: d + "/f"}, io.MultiReader(bytes.NewReader(noise(1<<17)), failing{broken}))
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		unchanged(t, conn, f, d)
	})

	t.Run("a cancelled upload changes nothing", func(t *testing.T) {
		d := dir(t)
		check(t, f.Write(ctx, transport.File{Path: d + "/f", Data: transport.Bytes([]byte("old"))}))
		uploading, cancel := context.WithCancel(ctx)
		defer cancel()
		never, w := io.Pipe()
		t.Cleanup(func() { _ = w.Close() })
		r := io.MultiReader(bytes.NewReader(noise(1<<17)), onRead(cancel), io.LimitReader(never, 0), bytes.NewReader(noise(1<<20)))
		if err := f.Upload(uploading, transport.File{Path: d + "/f"}, r); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		h.eventually(t, "the temporary file goes", func() bool { return len(list(t, conn, d)) == 1 })
		unchanged(t, conn, f, d)
	})

	t.Run("a failed write leaves the rest alone and no temporary file", func(t *testing.T) {
		d := dir(t)
		mustRun(t, conn, "mkdir", d+"/dir")
		check(t, f.Write(ctx, transport.File{Path: d + "/f", Data: transport.Bytes([]byte("old"))}))
		secret := transport.Bytes([]byte(marker))
		failingFile := transport.File{Path: d + "/dir", Data: secret}
		err := f.Write(ctx, failingFile, transport.File{Path: d + "/f", Data: secret}, transport.File{Path: d + "/g", Data: secret})
		var fileErr *transport.FileError
		if !errors.As(err, &fileErr) || fileErr.Op != "write" || !strings.Contains(err.Error(), d+"/dir") {
			t.Errorf("got %v", err)
		}
		for _, shown := range []string{fmt.Sprintf("%v %+v %#v", err, err, err), fmt.Sprintf("%v %+v %#v", failingFile, failingFile, &failingFile)} {
			if strings.Contains(shown, marker) {
				t.Errorf("shows the content: %s", shown)
			}
		}
		mustRun(t, conn, "rmdir", d+"/dir")
		unchanged(t, conn, f, d)
	})

	t.Run("an owner that is not there", func(t *testing.T) {
		d := dir(t)
		check(t, f.Write(ctx, transport.File{Path: d + "/f", Data: transport.Bytes([]byte("old"))}))
		err := f.Write(ctx, transport.File{Path: d + "/f", Owner: "no-such-user-here", Data: transport.Bytes([]byte("new"))})
		if err == nil {
			t.Error("no error")
		}
		unchanged(t, conn, f, d)
	})

	t.Run("owner", func(t *testing.T) {
		if h.Owner == "" {
			t.Skip("the harness has no owner to set")
		}
		p := dir(t) + "/f"
		check(t, f.Write(ctx, transport.File{Path: p, Mode: 0o640, Owner: h.Owner, Group: h.Group}))
		info := stat(t, f, p)[0]
		if info.Owner != h.Owner || h.Group != "" && info.Group != h.Group || info.Mode != 0o640 {
			t.Errorf("got %+v", info)
		}
	})

	t.Run("a full disk", func(t *testing.T) {
		if h.FullDir == "" {
			t.Skip("the harness has no full file system")
		}
		p := path.Join(h.FullDir, "f")
		check(t, f.Write(ctx, transport.File{Path: p, Data: transport.Bytes([]byte("old"))}))
		if err := f.Write(ctx, transport.File{Path: p, Data: transport.Bytes(noise(2 << 20))}); err == nil {
			t.Error("Write: no error")
		}
		unchanged(t, conn, f, h.FullDir)
		if err := f.Upload(ctx, transport.File{Path: p}, bytes.NewReader(noise(2<<20))); err == nil {
			t.Error("Upload: no error")
		}
		unchanged(t, conn, f, h.FullDir)
	})

	t.Run("a directory is not removed", func(t *testing.T) {
		d := dir(t)
		if err := f.Remove(ctx, d); err == nil {
			t.Error("no error")
		}
		if !stat(t, f, d)[0].Dir {
			t.Error("it is gone")
		}
		if _, err := f.Read(ctx, d, 10); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("reading it: %v", err)
		}
	})
}

// unchanged checks that a directory holds the one file f with its old content.
func unchanged(t *testing.T, conn *conn, f transport.Filer, dir string) {
	t.Helper()
	if names := list(t, conn, dir); len(names) != 1 || names[0] != "f" {
		t.Errorf("%s holds %q", dir, names)
	}
	if got := read(t, f, dir+"/f"); got != "old" {
		t.Errorf("the old file holds %d bytes now", len(got))
	}
}

func paths(files []transport.File) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, f transport.Filer, paths ...string) []transport.FileInfo {
	t.Helper()
	infos, err := f.Stat(t.Context(), paths...)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != len(paths) {
		t.Fatalf("%d answers for %d paths", len(infos), len(paths))
	}
	return infos
}

func read(t *testing.T, f transport.Filer, path string) string {
	t.Helper()
	b, err := f.Read(t.Context(), path, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// readAll reads many, in one round trip where that can be.
func readAll(t *testing.T, f transport.Filer, paths ...string) []string {
	t.Helper()
	var texts []string
	batch, ok := f.(transport.BatchReader)
	if !ok {
		for _, p := range paths {
			texts = append(texts, read(t, f, p))
		}
		return texts
	}
	all, err := batch.ReadAll(t.Context(), 1<<20, paths...)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		texts = append(texts, string(d.Bytes()))
	}
	return texts
}

// onRead calls back when a stream has come to it, and has nothing itself.
type onRead func()

func (f onRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
