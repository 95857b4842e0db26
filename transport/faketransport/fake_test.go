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

// stat tells a file from one that has replaced it, and before a change from after.
func TestFilesAreToldApart(t *testing.T) {
	fake := faketransport.New()
	fake.Host("cp-1")
	conn, err := fake.Dial(t.Context(), "cp-1")
	if err != nil {
		t.Fatal(err)
	}
	out, err := transport.Output(t.Context(), conn, "sh", "-c", `
cd /tmp && echo one >a && cp a b
for change in : 'echo two >>a' 'chmod 0600 a' 'truncate -s 3 a' 'mv b a'; do
	before=$(stat -c '%i %Y %Z' a)
	eval "$change"
	[ "$before" = "$(stat -c '%i %Y %Z' a)" ] && echo same || echo other
done
command -v /tmp/a
command -v /tmp/b || echo none`)
	if want := "same\nother\nother\nother\nother\n/tmp/a\nnone\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v", out, err)
	}
}
