package faketransport_test

import (
	"net"
	"testing"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

// The fake passes the suite with its own Filer.
func TestConformance(t *testing.T) {
	transporttest.Run(t, harness(t, func(f *faketransport.Transport) transport.Transport { return f }))
}

// The shell Filer's scripts run for real in the fake's interpreter.
func TestConformanceThroughShell(t *testing.T) {
	transporttest.Run(t, harness(t, func(f *faketransport.Transport) transport.Transport {
		return transporttest.WithoutFiler(f)
	}))
}

func harness(t *testing.T, wrap func(*faketransport.Transport) transport.Transport) transporttest.Harness {
	fake := faketransport.New()
	h := fake.Host("cp-1")
	h.HandleDial(new(net.Dialer).DialContext)
	for _, dir := range []string{"/srv/test", "/srv/full"} {
		if err := h.Mkdir(dir); err != nil {
			t.Fatal(err)
		}
	}
	h.Limit("/srv/full", 512<<10)
	return transporttest.Harness{
		Transport: wrap(fake), Host: "cp-1", Dir: "/srv/test",
		Owner: "nobody", Group: "daemon", FullDir: "/srv/full", Simulated: true,
	}
}

// prints runs a script on a new host, and compares what it prints.
func prints(t *testing.T, script, want string) {
	t.Helper()
	fake := faketransport.New()
	fake.Host("cp-1")
	conn, err := fake.Dial(t.Context(), "cp-1")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := transport.Output(t.Context(), conn, "sh", "-c", script); err != nil || string(out) != want {
		t.Errorf("got %q, %v", out, err)
	}
}

// stat differs for a file and its replacement, and before and after a change.
func TestStatKinds(t *testing.T) {
	prints(t, `
cd /tmp && echo one >a && cp a b
for change in : 'echo two >>a' 'chmod 0600 a' 'truncate -s 3 a' 'mv b a'; do
	before=$(stat -c '%i %Y %Z' a)
	eval "$change"
	[ "$before" = "$(stat -c '%i %Y %Z' a)" ] && echo same || echo other
done
command -v /tmp/a
command -v /tmp/b || echo none`,
		"same\nother\nother\nother\nother\n/tmp/a\nnone\n")
}

// grep goes through all its files, whatever is wrong with one of them; what takes one
// file says so.
func TestGrepOfSeveralFiles(t *testing.T) {
	prints(t, `
cd /tmp && echo one >a && printf 'two\none more\n' >b
grep one a b; echo $?
grep -q two a b; echo $?
grep -qx one missing a 2>/dev/null; echo $?
grep two missing b 2>/dev/null; echo $?
grep three a b; echo $?
grep one <a; echo $?
head -n 1 a b 2>&1; echo $?`,
		"a:one\nb:one more\n0\n0\n0\nb:two\n2\n1\none\n0\nhead: faketransport takes one file\n1\n")
}
