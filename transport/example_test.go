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
