package faketransport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport/internal/memfs"
)

func fileOp(kind Kind, paths ...string) Op {
	op := Op{Kind: kind}
	for _, p := range paths {
		op.Files = append(op.Files, transport.File{Path: p})
	}
	return op
}

// withoutData is what the record may hold of files.
func withoutData(kind Kind, files ...transport.File) Op {
	op := Op{Kind: kind}
	for _, f := range files {
		f.Data, f.Mode = transport.Data{}, memfs.Permissions(f.Mode)
		op.Files = append(op.Files, f)
	}
	return op
}

// fileError keeps the cause's own text free of the path, which is printed once.
func (c *conn) fileError(op Kind, path string, err error) error {
	if err == nil {
		return nil
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(err, syscall.ENOTDIR) && (op == Read || op == Stat) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return &transport.FileError{Host: c.host.name, Op: string(op), Path: path, Err: err}
}

// Stat implements transport.Filer.
func (c *conn) Stat(ctx context.Context, paths ...string) ([]transport.FileInfo, error) {
	infos := make([]transport.FileInfo, 0, len(paths))
	err := c.do(ctx, fileOp(Stat, paths...), func(context.Context, Op) error {
		for _, p := range paths {
			if err := transport.ValidatePath(p); err != nil {
				return c.fileError(Stat, "", err)
			}
			info, err := c.host.fs().FileInfo(p)
			if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR) {
				return c.fileError(Stat, p, err)
			}
			infos = append(infos, info)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

// Read implements transport.Filer.
func (c *conn) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	var data []byte
	err := c.do(ctx, fileOp(Read, path), func(context.Context, Op) error {
		var err error
		data, err = c.read(path, limit)
		return c.fileError(Read, path, err)
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// ReadAll implements transport.BatchReader; hooks and the record see one Read.
func (c *conn) ReadAll(ctx context.Context, limit int64, paths ...string) ([]transport.Data, error) {
	all := make([]transport.Data, 0, len(paths))
	err := c.do(ctx, fileOp(Read, paths...), func(context.Context, Op) error {
		for _, p := range paths {
			data, err := c.read(p, limit)
			if err != nil {
				return c.fileError(Read, p, err)
			}
			all = append(all, transport.Bytes(data))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (c *conn) read(path string, limit int64) ([]byte, error) {
	if err := transport.ValidatePath(path); err != nil {
		return nil, err
	}
	data, err := c.host.fs().ReadFile(path)
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("more than %d bytes: %w", limit, transport.ErrTooLarge)
	}
	return data, err
}

// Write implements transport.Filer.
func (c *conn) Write(ctx context.Context, files ...transport.File) error {
	return c.do(ctx, withoutData(Write, files...), func(ctx context.Context, op Op) error {
		var invalid []error
		for _, f := range files {
			invalid = append(invalid, f.Validate())
		}
		if err := errors.Join(invalid...); err != nil {
			return c.fileError(Write, "", err)
		}
		var placed []placement
		defer func() { c.discard(placed) }()
		for _, f := range files[:len(op.Files)] {
			p, err := c.stage(ctx, f, bytes.NewReader(f.Data.Bytes()))
			placed = append(placed, p)
			if err != nil {
				return c.fileError(Write, f.Path, err)
			}
		}
		for i, p := range placed {
			if err := c.host.fs().Rename(p.temp, p.path); err != nil {
				return c.fileError(Write, p.path, err)
			}
			placed[i].temp = ""
		}
		return nil
	})
}

// Upload implements transport.Filer.
func (c *conn) Upload(ctx context.Context, f transport.File, r io.Reader) error {
	return c.do(ctx, withoutData(Upload, f), func(ctx context.Context, _ Op) error {
		if err := f.Validate(); err != nil {
			return c.fileError(Upload, "", err)
		}
		p, err := c.stage(ctx, f, r)
		if err == nil {
			err = c.host.fs().Rename(p.temp, p.path)
		}
		if err != nil {
			c.discard([]placement{p})
		}
		return c.fileError(Upload, f.Path, err)
	})
}

// placement is a staged file on its way to its path.
type placement struct{ temp, path string }

func (c *conn) discard(placed []placement) {
	for _, p := range placed {
		if p.temp != "" {
			c.host.fs().RemoveAll(p.temp)
		}
	}
}

func (c *conn) stage(ctx context.Context, f transport.File, r io.Reader) (placement, error) {
	temp, w, err := c.host.fs().Stage(f.Path)
	p := placement{temp, f.Path}
	if err != nil {
		return p, err
	}
	if _, err := io.Copy(w, &ctxReader{ctx, r}); err != nil {
		return p, err
	}
	return p, w.Own(f)
}

// Remove implements transport.Filer.
func (c *conn) Remove(ctx context.Context, paths ...string) error {
	return c.do(ctx, fileOp(Remove, paths...), func(context.Context, Op) error {
		for _, p := range paths {
			if err := transport.ValidatePath(p); err != nil {
				return c.fileError(Remove, "", err)
			}
		}
		for _, p := range paths {
			err := c.host.fs().Remove(p, false)
			if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR) {
				return c.fileError(Remove, p, err)
			}
		}
		return nil
	})
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
