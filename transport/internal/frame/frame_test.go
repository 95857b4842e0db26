//go:build unix

package frame

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/internal/tier"
)

// shells that a user may have for a login shell. The last of each line are what
// Debian calls them.
var shells = [][]string{
	{"sh"}, {"dash"}, {"bash"}, {"busybox", "sh"}, {"fish"}, {"tcsh"}, {"bsd-csh"}, {"csh"}, {"zsh"}, {"ksh"}, {"mksh"},
}

// required fail the test in CI where they are not installed.
var required = []string{"dash", "bash", "busybox", "fish", "tcsh", "bsd-csh", "zsh"}

// through runs a line as sshd does: as the argument of a login shell's -c.
func through(t testing.TB, shell []string, line string) (stdout, stderr string, pid int) {
	t.Helper()
	argv := append(slices.Clone(shell), "-c", line)
	cmd := exec.Command(argv[0], argv[1:]...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a session of sshd's has
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), problems.String(), cmd.Process.Pid
}

func mustLine(t testing.TB, script string) string {
	t.Helper()
	line, err := Line(script)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func everyByte() string {
	var b []byte
	for c := 1; c < 256; c++ {
		b = append(b, byte(c))
	}
	return string(b)
}

// Every login shell hands over exactly the words, runs none of them, and starts
// the command in the process group that it announces.
func TestLoginShells(t *testing.T) {
	argv := []string{
		"printf", `%s\0`, everyByte(), "", " ", "it's \"both\"", `\`, `\\`, `\'`, `false \`, "!", "!!", "!ls", "a!b", "line\nbreak", "\n", "trail\n",
		"$HOME", "${HOME}", "$(touch /nonexistent/x)", "`id`", "*", "~", "~root", ";", "a;b", "&&", "|", "<", ">", "(", ")", "{a,b}", "#", "%s %b", `\0101`,
		"-n", "--", "NAME=value", "^a^b", "café", "日本", strings.Repeat("long' ", 2000),
	}
	want := strings.Join(argv[2:], "\x00") + "\x00"
	for _, shell := range shells {
		t.Run(shell[0], func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell[0]); err != nil {
				if slices.Contains(required, shell[0]) {
					tier.Missing(t, "%v", err)
				}
				t.Skip(err)
			}
			stdout, stderr, pid := through(t, shell, mustLine(t, Script("m", argv)))
			var out, problems bytes.Buffer
			f := New("m", &out, &problems)
			if _, err := f.Stdout.Write([]byte(stdout)); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Stderr.Write([]byte(stderr)); err != nil {
				t.Fatal(err)
			}
			status, ended := f.Status()
			if !f.HasBegun() || f.Group() != pid || out.String() != want || problems.Len() > 0 || status != 0 || !ended {
				t.Errorf("begun %v, process group %d of %d\nstdout %q\nwant   %q\nstderr %q\nsaid   %q", f.HasBegun(), f.Group(), pid, out.String(), want, stderr, f.Said(1000))
			}
		})
	}
}

// What a line may hold is refused before it is sent, not by the host.
func TestLineTooLong(t *testing.T) {
	fits := strings.Repeat("x", 120<<10)
	stdout, _, _ := through(t, []string{"sh"}, mustLine(t, Script("m", []string{"printf", "%s", fits})))
	if stdout != "[m]"+fits {
		t.Errorf("%d bytes of %d", len(stdout), len(fits))
	}
	if _, err := Line(Script("m", []string{"printf", "%s", strings.Repeat("x", 128<<10)})); err == nil || !strings.Contains(err.Error(), "131071") {
		t.Errorf("got %v", err)
	}
}

// The beginning is found however the stream is cut, whatever came before it,
// and exactly what comes after it is passed on.
func TestStreamCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, body := rapid.String().Draw(t, "before"), rapid.StringMatching(`[a\[/m 1]*`).Draw(t, "body")
		if strings.Contains(body, "[/m ") {
			t.Skip("nobody can guess the mark")
		}
		pid := rapid.IntRange(1, 1<<22).Draw(t, "pid")
		// What a daemon that the command left behind prints comes after the status.
		status, after := rapid.IntRange(-1, 255).Draw(t, "status"), rapid.SampledFrom([]string{"", "x", "[/m 7]", "[/m"}).Draw(t, "after")
		end := fmt.Sprintf("[/m %d]%s", status, after)
		if status < 0 {
			end, after = "", ""
		}
		var stdout, stderr bytes.Buffer
		f := New("m", &stdout, &stderr)
		for stream, text := range map[*Stream]string{f.Stdout: before + "[m]" + body, f.Stderr: before + "[m " + strconv.Itoa(pid) + "]" + body + end} {
			for len(text) > 0 {
				n := rapid.IntRange(1, len(text)).Draw(t, "n")
				if w, err := stream.Write([]byte(text[:n])); err != nil || w != n {
					t.Fatal(w, err)
				}
				text = text[n:]
			}
		}
		if err := f.Finish(); err != nil {
			t.Fatal(err)
		}
		if stdout.String() != body || stderr.String() != body+after || f.Group() != pid || !f.HasBegun() {
			t.Fatalf("%q, %q, %d", stdout.String(), stderr.String(), f.Group())
		}
		if got, known := f.Status(); known != (status >= 0) || known && got != status {
			t.Fatalf("status %d, %v", got, known)
		}
	})
}

// A host that prints without end before the command starts is cut off, and
// little of it is kept.
func TestFloodBeforeTheCommand(t *testing.T) {
	f := New("m", nil, nil)
	for name, s := range map[string]*Stream{"stdout": f.Stdout, "stderr": f.Stderr} {
		var err error
		chunk := bytes.Repeat([]byte("flood [m "), 1000)
		for range 100 {
			if _, err = s.Write(chunk[:len(chunk)-len("[m ")]); err != nil {
				break
			}
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if kept := cap(s.before); kept > 2*Limit {
			t.Errorf("%s: keeps %d bytes", name, kept)
		}
	}
	if f.HasBegun() || f.Group() != 0 {
		t.Error("it counts as begun")
	}
}

// However a command ends, its frame has the status, and so has the shell; what waits in the
// command's place when the process group is signalled leaves nothing behind.
func TestStatus(t *testing.T) {
	for name, c := range map[string]struct {
		argv   []string
		status int
	}{
		"success":      {[]string{"true"}, 0},
		"failure":      {[]string{"sh", "-c", "exit 7"}, 7},
		"255":          {[]string{"sh", "-c", "exit 255"}, 255},
		"not there":    {[]string{"/nonexistent/program"}, 127},
		"not a name":   {[]string{"exit", "3"}, 127},
		"no program":   {[]string{"/"}, 126},
		"killed":       {[]string{"sh", "-c", "kill -KILL $$"}, 137},
		"TERM to all":  {[]string{"sh", "-c", "kill -TERM 0; sleep 600"}, 143},
		"INT to all":   {[]string{"sh", "-c", "kill -INT 0; sleep 600"}, 130},
		"TERM trapped": {[]string{"sh", "-c", "trap 'exit 5' TERM; kill -TERM 0; sleep 1"}, 5},
	} {
		for _, shell := range [][]string{{"dash"}, {"bash"}, {"busybox", "sh"}} {
			t.Run(name+", "+shell[0], func(t *testing.T) {
				t.Parallel()
				if _, err := exec.LookPath(shell[0]); err != nil {
					tier.Missing(t, "%v", err)
				}
				var out, problems bytes.Buffer
				f := New("m", &out, &problems)
				argv := append(slices.Clone(shell), "-c", Script("m", c.argv))
				cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // ends by itself
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				cmd.Stdout, cmd.Stderr = f.Stdout, f.Stderr
				var exit *exec.ExitError
				if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				if err := f.Finish(); err != nil {
					t.Fatal(err)
				}
				status, known := f.Status()
				if !known || status != c.status || cmd.ProcessState.ExitCode() != c.status || strings.Contains(problems.String(), "[") {
					t.Errorf("status %d, %v; the shell's %d; stderr %q", status, known, cmd.ProcessState.ExitCode(), problems.String())
				}
			})
		}
	}
}

// The process group that is announced is the one the command is in, also below a shell that is
// its leader, and in the way a line runs the script.
func TestGroup(t *testing.T) {
	for _, shell := range [][]string{{"dash"}, {"bash"}, {"busybox", "sh"}} {
		if _, err := exec.LookPath(shell[0]); err != nil {
			tier.Missing(t, "%v", err)
		}
		line := strings.Replace(mustLine(t, Script("m", []string{"true"})), "exec sh ", "exec "+strings.Join(shell, " ")+" ", 1)
		_, stderr, leader := through(t, shell, "sh -c '"+strings.ReplaceAll(line, "'", `'\''`)+"' | cat")
		f := New("m", nil, nil)
		if _, err := f.Stderr.Write([]byte(stderr)); err != nil || f.Group() != leader {
			t.Errorf("%q: process group %d of %d: %v, %s", shell, f.Group(), leader, err, stderr)
		}
	}
}

// A status that is none is no status.
func TestStatuses(t *testing.T) {
	for _, status := range []string{"", "-1", "256", "1x", "1234", " 5"} {
		f := New("m", nil, nil)
		_, err := f.Stderr.Write([]byte("[m 5]problem[/m " + status + "]"))
		if _, known := f.Status(); err == nil || known {
			t.Errorf("%q: %v, %v", status, known, err)
		}
	}
}

// A process group that is none is refused: a signal would go to somebody else.
func TestProcessGroups(t *testing.T) {
	for _, id := range []string{"", "0", "-1", "1x", "99999999999999999999", strings.Repeat("9", 30), " 5"} {
		f := New("m", nil, nil)
		if _, err := f.Stderr.Write([]byte("[m " + id + "]")); err == nil || f.Group() != 0 {
			t.Errorf("%q: process %d, %v", id, f.Group(), err)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, seed := range []string{"", "'", "a b", "$(id)", "line\n", "-n", "A=b", "*", "\\", "!", "\x81\x88", "\\c"} {
		f.Add(seed, "x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, 0) {
			return
		}
		line, err := Line(Script("m", []string{"printf", `%s\0`, a, b}))
		if err != nil {
			return
		}
		for _, shell := range [][]string{{"sh"}, {"fish"}, {"tcsh"}} {
			if _, err := exec.LookPath(shell[0]); err != nil {
				continue
			}
			if out, said, _ := through(t, shell, line); out != "[m]"+a+"\x00"+b+"\x00" {
				t.Errorf("%s: %q, %q returned %q, %s", shell[0], a, b, out, said)
			}
		}
	})
}
