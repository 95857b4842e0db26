package plan_test

import (
	"context"
	"fmt"
	"log"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// motd is an Action of one's own.
type motd struct{ text string }

func (m motd) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Run(ctx, "cat", "/etc/motd")
	if err != nil || string(out) == m.text {
		return nil, err
	}
	return plan.Diff{{Verb: "update", Subject: "/etc/motd"}}, nil
}

func (m motd) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	return h.WriteFiles(ctx, quorate.File{Path: "/etc/motd", Mode: 0o644, Content: quorate.Public([]byte(m.text))})
}

// Describe lets previews and journals know the Action.
func (m motd) Describe() plan.Description {
	return plan.Description{Kind: "example.com/motd", Inputs: []quorate.Content{quorate.Public([]byte(m.text))}}
}

// A step of one's own, run dry.
func ExampleRunner_dryRun() {
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(transport.File{Path: "/etc/motd", Mode: 0o644, Data: transport.Bytes([]byte("hello"))}); err != nil {
		log.Fatal(err)
	}
	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Action: motd{"welcome"}})
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
