package statedir

import (
	"context"
	"io/fs"

	"github.com/quorate-dev/quorate"
)

// Before has f called before each change of the disk; its error ends everything,
// as a kill does.
func (cfg Config) Before(f func(op string) error) Config {
	cfg.before = f
	return cfg
}

// Apart does as on a file system that cannot exchange names.
func (cfg Config) Apart() Config {
	cfg.apart = true
	return cfg
}

// WriteFileBefore is WriteFile with f called before each change of the disk.
func WriteFileBefore(ctx context.Context, path string, content quorate.Content, mode fs.FileMode, f func(op string) error) error {
	return writeFile(ctx, path, content, mode, f)
}
