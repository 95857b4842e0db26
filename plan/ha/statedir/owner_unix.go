//go:build unix

package statedir

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// foreign says whose a file is, if it is not this process's user's.
func foreign(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if me := os.Geteuid(); ok && stat.Uid != uint32(me) { // #nosec G115 -- a user's number
		return fmt.Sprintf("belongs to user %d, and this program runs as user %d", stat.Uid, me)
	}
	return ""
}

// foreignLink is foreign for a link, which may be root's too: /var/run is.
func foreignLink(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid == 0 {
		return ""
	}
	return foreign(info)
}
