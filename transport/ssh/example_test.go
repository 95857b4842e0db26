package ssh_test

import (
	"context"
	"fmt"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

// A fake host served over real SSH, reached with the host key pinned by a
// known_hosts line.
func Example() {
	ctx := context.Background()
	fake := faketransport.New()
	fake.Host("cp-1")
	served, _ := fake.Dial(ctx, "cp-1")
	server, err := sshtest.Start(sshtest.Config{Conn: served})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()

	hosts, err := ssh.New(ssh.Config{
		Targets:  map[string]ssh.Target{"cp-1": server.Target()},
		Auth:     ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(server.ClientKey())}},
		HostKeys: ssh.HostKeys{KnownHosts: server.KnownHosts()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = hosts.Close() }()
	conn, err := hosts.Dial(ctx, "cp-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()
	file := transport.File{Path: "/etc/motd", Mode: 0o644, Data: transport.Bytes([]byte("quorate\n"))}
	if err := transport.FilesOf(conn).Write(ctx, file); err != nil {
		fmt.Println(err)
		return
	}
	out, err := transport.Output(ctx, conn, "cat", "/etc/motd")
	fmt.Print(string(out), err)
	// Output: quorate
	// <nil>
}
