package faketransport_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// A host with one scripted command: files and shell scripts work for real, and
// everything is recorded.
func Example() {
	fake := faketransport.New()
	host := fake.Host("cp-1")
	host.Handle(faketransport.Prefix("systemctl", "restart"), faketransport.Reply(""))

	ctx := context.Background()
	conn, _ := fake.Dial(ctx, "cp-1")
	files := transport.FilesOf(conn)
	_ = files.Write(ctx, transport.File{Path: "/etc/etcd.env", Data: transport.Bytes([]byte("NAME=cp-1\n"))})
	out, _ := transport.Output(ctx, conn, "sh", "-c", "grep -q NAME /etc/etcd.env && systemctl restart etcd && cat /etc/etcd.env")
	fmt.Print(string(out))
	_, err := transport.Output(ctx, conn, "reboot")
	fmt.Println(strings.Split(err.Error(), "\n")[0])
	fmt.Print(fake.Log())
	// Output:
	// NAME=cp-1
	// cp-1: reboot: exit status 127: faketransport: cp-1: not scripted: reboot
	// cp-1: dial
	// cp-1: write /etc/etcd.env (0600)
	// cp-1: run sh -c 'grep -q NAME /etc/etcd.env && systemctl restart etcd && cat /etc/etcd.env'
	// cp-1: exec systemctl restart etcd
	// cp-1: run reboot -> exit 127
}

// A host whose second write loses its connection after one of two files, and
// then its power.
func ExampleFault() {
	fake := faketransport.New()
	host := fake.Host("cp-1")
	host.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Write), Nth: 2, Files: 1, Before: faketransport.Reset})

	ctx := context.Background()
	conn, _ := fake.Dial(ctx, "cp-1")
	files := transport.FilesOf(conn)
	fmt.Println(files.Write(ctx, transport.File{Path: "/etc/a"}))
	fmt.Println(files.Write(ctx, transport.File{Path: "/etc/b"}, transport.File{Path: "/etc/c"}))
	fmt.Println(host.Files())
	host.Heal()
	host.SetDown(true)
	_, err := fake.Dial(ctx, "cp-1")
	fmt.Println(err)
	host.SetDown(false)
	_, err = fake.Dial(ctx, "cp-1")
	fmt.Println(err)
	// Output:
	// <nil>
	// cp-1: connection lost: connection reset by the fake host
	// [/etc/a /etc/b]
	// cp-1: unreachable: the host is down
	// <nil>
}

// Each fault does what it says, and a healed host works again.
func TestFaults(t *testing.T) {
	ctx := t.Context()
	fake := faketransport.New()
	h := fake.Host("a")
	dial := func() transport.Conn {
		t.Helper()
		conn, err := fake.Dial(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	conn := dial()

	h.Inject(faketransport.Fault{On: faketransport.OnRun(faketransport.Exact("true")), Nth: 2, Before: faketransport.Fails(faketransport.Exit(9))})
	for i, want := range []int{0, 9, 0} {
		err := conn.Run(ctx, transport.Cmd{Argv: []string{"true"}})
		var exit *transport.ExitError
		if errors.As(err, &exit) != (want != 0) || want != 0 && (exit.Code != want || exit.Host != "a") {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
	h.Heal()

	// The command runs, but its end is lost with the connection.
	h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Run), Nth: 1, After: faketransport.ResetAfter})
	err := conn.Run(ctx, transport.Cmd{Argv: []string{"touch", "/etc/done"}})
	var lost *transport.DialError
	if !errors.As(err, &lost) || lost.Reason != transport.Lost || lost.Host != "a" {
		t.Errorf("got %v", err)
	}
	if _, err := h.File("/etc/done"); err != nil {
		t.Error(err)
	}
	if err := conn.Run(ctx, transport.Cmd{Argv: []string{"true"}}); !errors.As(err, &lost) {
		t.Errorf("the connection goes on: %v", err)
	}
	h.Heal()
	conn = dial()

	// One of two files is placed before the failure.
	h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Write), Files: 1, Before: faketransport.Reset})
	err = conn.(transport.Filer).Write(ctx, transport.File{Path: "/etc/one"}, transport.File{Path: "/etc/two"})
	if !errors.As(err, &lost) {
		t.Errorf("got %v", err)
	}
	if got := strings.Join(h.Files(), " "); got != "/etc/done /etc/one" {
		t.Errorf("files: %s", got)
	}
	h.Heal()

	h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: faketransport.Fails(&transport.DialError{Reason: transport.Auth})})
	if _, err := fake.Dial(ctx, "a"); !errors.As(err, &lost) || lost.Reason != transport.Auth {
		t.Errorf("got %v", err)
	}
	h.Heal()

	h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: faketransport.Refuse})
	if _, err := fake.Dial(ctx, "a"); !errors.As(err, &lost) || lost.Reason != transport.Unreachable || !errors.Is(err, faketransport.ErrRefused) {
		t.Errorf("got %v", err)
	}
	h.Heal()

	conn = dial()
	h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Write), Before: faketransport.DiskFull})
	err = conn.(transport.Filer).Write(ctx, transport.File{Path: "/etc/three"})
	var full *transport.FileError
	if !errors.As(err, &full) || full.Host != "a" || full.Path != "/etc/three" || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if _, err := h.File("/etc/three"); err == nil {
		t.Error("a file was written to a full disk")
	}
	h.Heal()

	h.SetClock(time.Hour)
	out, err := transport.Output(ctx, conn, "sh", "-c", "date +%s.%N")
	seconds, _, _ := strings.Cut(string(out), ".")
	if at, parsed := strconv.ParseInt(seconds, 10, 64); err != nil || parsed != nil || time.Until(time.Unix(at, 0)) < 59*time.Minute {
		t.Errorf("an hour ahead, date says %q, %v", out, err)
	}
	h.SetClock(0)

	mortal, stop := context.WithCancel(ctx)
	h.Inject(faketransport.Fault{Nth: 1, After: faketransport.Dies(stop)})
	if err := conn.Run(mortal, transport.Cmd{Argv: []string{"touch", "/etc/last"}}); !errors.Is(err, context.Canceled) || mortal.Err() == nil {
		t.Errorf("got %v", err)
	}
	if _, err := h.File("/etc/last"); err != nil {
		t.Error(err)
	}
	h.Heal()

	lossy := func(seed uint64) (kept string) {
		h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: faketransport.Lossy(0.5, seed)})
		defer h.Heal()
		for range 32 {
			if _, err := fake.Dial(ctx, "a"); err == nil {
				kept += "."
			} else {
				kept += "x"
			}
		}
		return kept
	}
	if once := lossy(1); once != lossy(1) || once == lossy(2) || !strings.Contains(once, ".") || !strings.Contains(once, "x") {
		t.Errorf("lost: %s", once)
	}

	h.SetDown(true)
	if err := conn.Run(ctx, transport.Cmd{Argv: []string{"true"}}); !errors.As(err, &lost) || lost.Reason != transport.Lost {
		t.Errorf("got %v", err)
	}
	if _, err := fake.Dial(ctx, "a"); !errors.As(err, &lost) || lost.Reason != transport.Unreachable {
		t.Errorf("got %v", err)
	}
	h.SetDown(false)
	dial()
}

// A slow host answers later, and a caller who does not wait so long gets ctx's error.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := faketransport.New()
		fake.Host("a").Inject(faketransport.Fault{Before: faketransport.Slow(500 * time.Millisecond)})
		begin := time.Now()
		conn, err := fake.Dial(t.Context(), "a")
		if err != nil || time.Since(begin) != 500*time.Millisecond {
			t.Fatalf("%v after %s", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := conn.Run(ctx, transport.Cmd{Argv: []string{"true"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
