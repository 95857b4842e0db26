package frame

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
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
var required = []string{"dash", "bash", "busybox", "fish", "tcsh", "bsd-csh"}

// through runs a line as sshd does: as the argument of a login shell's -c.
func through(t testing.TB, shell []string, line string) (stdout, stderr string, pid int) {
	t.Helper()
	argv := append(slices.Clone(shell), "-c", line)
	cmd := exec.Command(argv[0], argv[1:]...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
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
// the command in the process that it announces.
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
			if !f.HasBegun() || f.PID() != pid || out.String() != want || problems.Len() > 0 {
				t.Errorf("begun %v, process %d of %d\nstdout %q\nwant   %q\nstderr %q\nsaid   %q", f.HasBegun(), f.PID(), pid, out.String(), want, stderr, f.Said(1000))
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
		before, body := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "body")
		pid := rapid.IntRange(1, 1<<22).Draw(t, "pid")
		var stdout, stderr bytes.Buffer
		f := New("m", &stdout, &stderr)
		for stream, text := range map[*Stream]string{f.Stdout: before + "[m]" + body, f.Stderr: before + "[m " + strconv.Itoa(pid) + "]" + body} {
			for len(text) > 0 {
				n := rapid.IntRange(1, len(text)).Draw(t, "n")
				if w, err := stream.Write([]byte(text[:n])); err != nil || w != n {
					t.Fatal(w, err)
				}
				text = text[n:]
			}
		}
		if stdout.String() != body || stderr.String() != body || f.PID() != pid || !f.HasBegun() {
			t.Fatalf("%q, %q, %d", stdout.String(), stderr.String(), f.PID())
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
	if f.HasBegun() || f.PID() != 0 {
		t.Error("it counts as begun")
	}
}

// A process ID that is none is refused: a signal would go to somebody else.
func TestProcessIDs(t *testing.T) {
	for _, id := range []string{"", "0", "-1", "1x", "99999999999999999999", strings.Repeat("9", 30), " 5"} {
		f := New("m", nil, nil)
		if _, err := f.Stderr.Write([]byte("[m " + id + "]")); err == nil || f.PID() != 0 {
			t.Errorf("%q: process %d, %v", id, f.PID(), err)
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
