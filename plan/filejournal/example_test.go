//go:build unix

package filejournal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/filejournal"
)

// While alice runs a plan, bob's run is refused; afterwards the journal says what she
// has done.
func Example() {
	dir, err := os.MkdirTemp("", "journal-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	journal := &filejournal.Journal{Path: filepath.Join(dir, "prod.journal")}
	p, err := plan.New(plan.Step{ID: "tune", Host: "cp-1", Action: always{new(int)}})
	if err != nil {
		panic(err)
	}

	alice := &plan.Runner{Transport: nowhere{}, Journal: journal, Operator: plan.Operator{Name: "alice", Machine: "laptop"}}
	bob := &plan.Runner{Transport: nowhere{}, Journal: journal, Operator: plan.Operator{Name: "bob"}}
	alice.Observe = func(e plan.Event) {
		if e.Kind != plan.StepApplying {
			return
		}
		_, err := bob.Run(context.Background(), p)
		if locked := (*plan.LockedError)(nil); errors.As(err, &locked) {
			fmt.Println("bob has to wait for", locked.Holder.Operator)
		}
	}
	if _, err := alice.Run(context.Background(), p); err != nil {
		panic(err)
	}
	for r, err := range journal.Records(context.Background()) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s of %q: %v %q\n", r.Kind, r.Step, r.Changes, r.Outcome)
	}
	// Output:
	// bob has to wait for alice (on laptop)
	// run-started of "": [] ""
	// intent of "tune": [update /etc/thing (content)] ""
	// outcome of "tune": [] "changed"
	// run-ended of "": [] ""
}
