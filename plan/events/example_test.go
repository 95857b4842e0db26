package events_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// motd greets those who log in.
var motd = plan.Deploy{Files: []quorate.File{{Path: "/etc/motd", Mode: 0o644, Content: quorate.Public([]byte("welcome\n"))}}}

// A run's events as JSON Lines, and read back, as another program would.
func ExampleWriter() {
	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Action: motd})
	if err != nil {
		log.Fatal(err)
	}
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(transport.File{Path: "/etc/motd", Mode: 0o644, Data: transport.Bytes([]byte("hello\n"))}); err != nil {
		log.Fatal(err)
	}
	var lines bytes.Buffer
	stream := events.NewWriter(&lines)
	runner := plan.Runner{Transport: hosts, Observe: stream.Observe}
	if _, err := runner.Run(context.Background(), p); err != nil {
		log.Fatal(err)
	}
	if err := stream.Err(); err != nil {
		log.Fatal(err) // the run is done, and its stream is not complete
	}
	for e, err := range events.Decode(&lines) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Kind, e.Diff)
	}
	// Output:
	// run-started []
	// step-started []
	// step-applying [update /etc/motd (content)]
	// step-ended [update /etc/motd (content)]
	// run-ended []
}

// A run's events in a log, of which a failure is an error and a retry a warning.
func ExampleLogTo() {
	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Action: motd})
	if err != nil {
		log.Fatal(err)
	}
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(transport.File{Path: "/etc/motd", Mode: 0o644, Data: transport.Bytes([]byte("hello\n"))}); err != nil {
		log.Fatal(err)
	}
	changing := func(_ []string, a slog.Attr) slog.Attr { // what is another in each run
		if a.Key == slog.TimeKey || a.Key == "run" || a.Key == "elapsed" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: changing}))
	runner := plan.Runner{Transport: hosts, Observe: events.LogTo(logger)}
	if _, err := runner.Run(context.Background(), p); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=INFO msg=run-started steps=1
	// level=INFO msg=step-applying step=motd/web-1 host=web-1 title=motd/web-1 changes="[update /etc/motd (content)]" attempt=1
	// level=INFO msg=step-ended step=motd/web-1 host=web-1 title=motd/web-1 outcome=changed changes="[update /etc/motd (content)]" attempt=1
	// level=INFO msg=run-ended
}
