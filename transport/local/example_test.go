package local_test

import (
	"context"
	"fmt"
	"log"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
)

func Example() {
	ctx := context.Background()
	conn, err := (&local.Transport{}).Dial(ctx, "localhost")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	out, err := transport.Output(ctx, conn, "echo", "no shell expands $HOME")
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// no shell expands $HOME
	// <nil>
}
