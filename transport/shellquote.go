package transport

import (
	"fmt"
	"strings"
	"syscall"
)

// withoutContent is an error of a command that was handed contents, with
// nothing in it that the host could have taken from them. What the host prints
// may quote its input, as a shell does that traces what it runs: of that, only
// what is known to be a tool's or the system's own message is kept.
func withoutContent(err error) error {
	var number syscall.Errno
	err = FilterWords(err, func(text string) string {
		kept, n := ownMessages(text)
		if n != 0 {
			number = n
		}
		return kept
	})
	if number == 0 {
		return err
	}
	switch e := err.(type) { //nolint:errorlint // one error after the other
	case *ExitError:
		return &refusal{*e, number}
	case *scriptFailure:
		if exit, ok := e.cause.(*ExitError); ok { //nolint:errorlint // one error after the other
			return &scriptFailure{e.file, &refusal{*exit, number}}
		}
	}
	return err
}

// tools are the programs that the scripts run.
var tools = []string{"base64", "cat", "chmod", "chown", "id", "mkdir", "mktemp", "mv", "rm", "rmdir", "sh", "sha256sum", "stat", "sync", "tail", "truncate", "wc"}

// systemMessages are what the C locale calls errors of the system, in glibc and
// in musl.
var systemMessages = []struct {
	text   string
	number syscall.Errno
}{
	{"No space left on device", syscall.ENOSPC},
	{"Disk quota exceeded", syscall.EDQUOT},
	{"Quota exceeded", syscall.EDQUOT},
	{"Read-only file system", syscall.EROFS},
	{"Permission denied", syscall.EACCES},
	{"Operation not permitted", syscall.EPERM},
	{"No such file or directory", syscall.ENOENT},
	{"Not a directory", syscall.ENOTDIR},
	{"Is a directory", syscall.EISDIR},
	{"Directory not empty", syscall.ENOTEMPTY},
	{"File exists", syscall.EEXIST},
	{"File name too long", syscall.ENAMETOOLONG},
	{"Filename too long", syscall.ENAMETOOLONG},
	{"File too large", syscall.EFBIG},
	{"Input/output error", syscall.EIO},
	{"I/O error", syscall.EIO},
	{"Too many levels of symbolic links", syscall.ELOOP},
	{"Symbolic link loop", syscall.ELOOP},
	{"Stale file handle", syscall.ESTALE},
	{"Device or resource busy", syscall.EBUSY},
	{"Resource busy", syscall.EBUSY},
	{"Text file busy", syscall.ETXTBSY},
	{"Cannot allocate memory", syscall.ENOMEM},
	{"Out of memory", syscall.ENOMEM},
	{"Too many open files", syscall.EMFILE},
	{"Argument list too long", syscall.E2BIG},
	{"Invalid argument", syscall.EINVAL},
	{"Function not implemented", syscall.ENOSYS},
}

// toolMessages are what tools say beyond that.
var toolMessages = []string{"invalid user", "invalid group", "unknown user", "unknown group", "invalid input", "command not found", "not found", "invalid option", "unrecognized option", "applet not found"}

// ownMessages is what of a text is known to be a message, and the last error of the
// system among it, 0 if there is none.
func ownMessages(text string) (string, syscall.Errno) {
	var kept []string
	var number syscall.Errno
	hidden := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		message, n := ownMessage(line)
		if message == "" {
			hidden++
			continue
		}
		if n != 0 {
			number = n
		}
		if len(kept) == 0 || kept[len(kept)-1] != message {
			kept = append(kept, message)
		}
	}
	if hidden > 0 {
		kept = append(kept, fmt.Sprintf("(%d other lines are not shown, since they may quote what was sent)", hidden))
	}
	return strings.Join(kept, "\n"), number
}

// ownMessage is a line's tool and message, empty if it is neither's.
func ownMessage(line string) (string, syscall.Errno) {
	tool := ""
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ':' || r == ' ' }) {
		for _, known := range tools {
			if tool == "" && (word == known || strings.HasSuffix(word, "/"+known)) {
				tool = known + ": "
			}
		}
	}
	for _, m := range systemMessages {
		if strings.Contains(line, m.text) {
			return tool + m.text, m.number
		}
	}
	for _, m := range toolMessages {
		if strings.Contains(line, m) {
			return tool + m, 0
		}
	}
	return "", 0
}
