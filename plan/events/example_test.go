package events_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// A run's events as JSON Lines, and read back, as another program would.
func ExampleWriter() {
	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Action: fixture.Motd{Text: "welcome"}})
	if err != nil {
		log.Fatal(err)
	}
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(fixture.File("/etc/motd", "hello")); err != nil {
		log.Fatal(err)
	}
	var lines bytes.Buffer
	stream := events.NewWriter(&lines)
	runner := plan.Runner{Transport: hosts, Observe: stream.Observe}
	if _, err := runner.Run(context.Background(), p); err != nil {
		log.Fatal(err)
	}
	if err := stream.Err(); err != nil {
		log.Fatal(err) // the run is done, and its stream are not complete
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
	// step-applying [update /etc/motd]
	// step-ended [update /etc/motd]
	// run-ended []
}
