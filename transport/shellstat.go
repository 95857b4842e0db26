package transport

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate/transport/internal/frame"
)

// statGroup is how many paths are described together. Shells take time by the
// square of it.
const statGroup = 64

// describeScript describes the paths, a group after the other.
func describeScript(paths []string) string {
	var b strings.Builder
	b.WriteString(statScript + "main() {\n:\n")
	n := 0
	for group := range slices.Chunk(paths, statGroup) {
		fmt.Fprintf(&b, "file=%d\ngroup%s\n", n, frame.Words(group))
		n += len(group)
	}
	b.WriteString("}\n")
	return b.String()
}

// parseStats reads what describeScript's main prints.
func parseStats(paths []string, out string) ([]FileInfo, error) {
	infos := make([]FileInfo, 0, len(paths))
	for group := range slices.Chunk(paths, statGroup) {
		text, rest, _ := strings.Cut(out, "\n.\n")
		out = rest
		some, err := parseGroup(group, text)
		if err != nil {
			return nil, err
		}
		infos = append(infos, some...)
	}
	if out != "" {
		return nil, fileError("stat", only(paths), fmt.Errorf("the host answered more than was requested: %.100q", out))
	}
	return infos, nil
}

// parseGroup reads a line for each path, or in three parts, for all paths at
// once, what would be in these lines.
func parseGroup(paths []string, out string) ([]FileInfo, error) {
	lines := strings.Split(out, "\n")
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
		// sha256sum's line goes on with the name, and starts with a backslash
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
