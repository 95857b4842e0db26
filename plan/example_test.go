package plan_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// A step of one's own, run dry.
func ExampleRunner_dryRun() {
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(fixture.File("/etc/motd", "hello")); err != nil {
		log.Fatal(err)
	}
	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Action: fixture.Motd{Text: "welcome"}})
	if err != nil {
		log.Fatal(err)
	}
	runner := plan.Runner{Transport: hosts, DryRun: true, Observe: func(e plan.Event) {
		for _, c := range e.Diff {
			fmt.Println(e.Step, e.Outcome, "-", c)
		}
	}}
	if _, err := runner.Run(context.Background(), p); err != nil {
		log.Fatal(err)
	}
	// Output: motd/web-1 would-change - update /etc/motd
}

// What a run would do, for people. JSON, Mermaid and DOT say the same to others.
func ExampleRunner_Preview() {
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(transport.File{Path: "/etc/motd", Mode: 0o644, Data: transport.Bytes([]byte("hello\n"))}); err != nil {
		log.Fatal(err)
	}
	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Title: "greet", Action: plan.Deploy{Files: []quorate.File{
		{Path: "/etc/motd", Mode: 0o644, Content: quorate.Public([]byte("welcome\n"))},
		{Path: "/etc/token", Content: quorate.Sensitive([]byte("hunter2"))},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	runner := plan.Runner{Transport: hosts}
	preview, err := runner.Preview(context.Background(), p)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(preview.Text())
	if _, err := runner.Apply(context.Background(), p, preview); err != nil {
		log.Fatal(err) // a *plan.StaleError if something has changed since
	}
	// Output:
	// 1 step on 1 host: 1 would change
	//
	// web-1: 1 would change (2 round trips)
	//   ~ motd/web-1: greet
	//       update /etc/motd (content)
	//         @@ -1 +1 @@
	//         -hello
	//         +welcome
	//       create /etc/token  [not shown: secret]
}

// A run's events in a log, of which a failure is an error and a retry a warning.
func ExampleLogTo() {
	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Action: fixture.Motd{Text: "welcome"}})
	if err != nil {
		log.Fatal(err)
	}
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(fixture.File("/etc/motd", "hello")); err != nil {
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
	// level=INFO msg=step-applying step=motd/web-1 host=web-1 title=motd/web-1 changes="[update /etc/motd]" attempt=1
	// level=INFO msg=step-ended step=motd/web-1 host=web-1 title=motd/web-1 outcome=changed changes="[update /etc/motd]" attempt=1
	// level=INFO msg=run-ended
}
