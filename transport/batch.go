package transport

import (
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// BatchReader is the ability of a Filer to read several files in one round
// trip. Every Filer in this module has it. It is safe for concurrent use.
type BatchReader interface {
	// ReadAll gives the content of the regular files at the paths, in their
	// order. Each may have limit bytes at most. A file that is larger, is not
	// there or cannot be read is an error as that of Filer.Read, and then
	// nothing is given.
	ReadAll(ctx context.Context, limit int64, paths ...string) ([]Data, error)
}

//go:embed scripts/readall.sh
var readAllScript string

// ReadAll implements BatchReader.
func (s shellFiler) ReadAll(ctx context.Context, limit int64, paths ...string) ([]Data, error) {
	if err := checkPaths("read", paths...); err != nil || len(paths) == 0 {
		return nil, err
	}
	// Base64 takes 77 bytes for 57 of the content; a line ends each file.
	room := int64(len(paths)) * ((limit/57+2)*77 + 2)
	args := append([]string{strconv.FormatInt(limit+1, 10)}, paths...)
	out, err := s.script(ctx, commonScript+readAllScript, room, args...)
	if err != nil {
		return nil, fileError("read", only(paths), cause(err))
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
