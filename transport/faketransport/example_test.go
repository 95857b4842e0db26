package faketransport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

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

	conn = dial()
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
