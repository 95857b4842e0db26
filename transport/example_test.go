package transport_test

import (
	"context"
	"fmt"
	"log"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Any Conn writes files, whether it has that ability itself or only commands.
func ExampleFilesOf() {
	ctx := context.Background()
	hosts := faketransport.New() // or ssh.New, or &local.Transport{}
	hosts.Host("web-1")
	conn, err := hosts.Dial(ctx, "web-1")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close() }()

	files := transport.FilesOf(conn)
	secret := transport.File{Path: "/etc/app/key", Mode: 0o600, Data: transport.Bytes([]byte("s3cret"))}
	if err := files.Write(ctx, secret); err != nil {
		log.Fatal(err)
	}
	found, err := files.Stat(ctx, "/etc/app/key", "/etc/app/other")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found[0].Exists, found[0].Mode, found[1].Exists)
	fmt.Println(secret.Data)
	// Output:
	// true -rw------- false
	// [6 bytes]
}

func ExampleOutput() {
	ctx := context.Background()
	hosts := faketransport.New()
	hosts.Host("web-1").Handle(faketransport.Exact("uptime"), faketransport.Reply("up 3 days\n"))
	conn, err := hosts.Dial(ctx, "web-1")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	out, err := transport.Output(ctx, conn, "uptime")
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// up 3 days
	// <nil>
}

// logging is a Conn that prints the programs it runs.
type logging struct{ transport.Conn }

func (l logging) Run(ctx context.Context, cmd transport.Cmd) error {
	fmt.Println("run", cmd.Argv[0])
	return l.Conn.Run(ctx, cmd)
}

func (l logging) Unwrap() transport.Conn { return l.Conn }

// A Conn around another keeps its abilities by Unwrap.
func ExampleWrapper() {
	ctx := context.Background()
	hosts := faketransport.New()
	hosts.Host("web-1")
	inner, err := hosts.Dial(ctx, "web-1")
	if err != nil {
		log.Fatal(err)
	}
	var conn transport.Conn = logging{inner}
	defer func() { _ = conn.Close() }()

	_, tunnels := transport.As[transport.Dialer](conn)
	_, plain := conn.(transport.Dialer)
	fmt.Println(tunnels, plain)
	fmt.Println(conn.Run(ctx, transport.Cmd{Argv: []string{"true"}}))
	// Output:
	// true false
	// run true
	// <nil>
}
