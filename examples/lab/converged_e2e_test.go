package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/transport"
)

// convergedRounds is how often each of what is compared is timed; the best counts.
const convergedRounds = 5

// measureConverged runs the recipe against a cluster that is as described, over
// new connections, and holds its time against one command on each host side by
// side: over the same transport, and by OpenSSH's client. It changes nothing, and
// takes one round trip a host, and one for each member of etcd that the first
// control plane makes. Times are printed, not asserted.
func measureConverged(t *testing.T, l *machines.Lab, p prepared) {
	t.Helper()
	best := map[string]time.Duration{}
	timed := func(what string, f func() error) {
		start := time.Now()
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if took := time.Since(start); best[what] == 0 || took < best[what] {
			best[what] = took
		}
	}
	const run, own, openSSH = "run", "transport/ssh", "ssh"
	var trips map[string]int
	for range convergedRounds {
		hosts, config, err := recipe(t.Context(), l, p)
		if err != nil {
			t.Fatal(err)
		}
		cluster, err := ha.New(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := cluster.Plan()
		if err != nil {
			t.Fatal(err)
		}
		timed(run, func() error {
			sum, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), steps)
			if sum.Outcomes[plan.Unchanged] != sum.Steps {
				err = errors.Join(err, fmt.Errorf("not every step was unchanged: %v", sum.Outcomes))
			}
			trips = sum.RoundTrips
			return err
		})
		if err := hosts.Close(); err != nil {
			t.Error(err)
		}

		if hosts, _, err = recipe(t.Context(), l, p); err != nil {
			t.Fatal(err)
		}
		timed(own, func() error {
			return onEveryHost(l, func(host string) error { return runTrue(t.Context(), hosts, host) })
		})
		if err := hosts.Close(); err != nil {
			t.Error(err)
		}
		timed(openSSH, func() error {
			return onEveryHost(l, func(host string) error {
				_, err := l.SSH(t.Context(), host, "true")
				return err
			})
		})
	}
	t.Logf("a run that changes nothing, best of %d: %v; one ssh command a host: %v, %.2f times (the goal is at most 2); "+
		"one command a host over transport/ssh: %v, %.2f times; round trips %v", convergedRounds,
		best[run].Round(time.Millisecond), best[openSSH].Round(time.Millisecond), best[run].Seconds()/best[openSSH].Seconds(),
		best[own].Round(time.Millisecond), best[run].Seconds()/best[own].Seconds(), trips)
	for i, h := range l.Hosts() {
		most := 1
		if i == 0 {
			most += len(l.Hosts()) - 1 // a tunnel to each member of etcd, one on each control plane
		}
		if trips[h.Name] > most {
			t.Errorf("%s took %d round trips, want %d at most", h.Name, trips[h.Name], most)
		}
	}
}

// onEveryHost does one thing on all hosts side by side.
func onEveryHost(l *machines.Lab, f func(host string) error) error {
	hosts := l.Hosts()
	errs := make([]error, len(hosts))
	var all sync.WaitGroup
	for i, h := range hosts {
		all.Go(func() { errs[i] = f(h.Name) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func runTrue(ctx context.Context, hosts transport.Transport, name string) error {
	conn, err := hosts.Dial(ctx, name)
	if err != nil {
		return err
	}
	return errors.Join(conn.Run(ctx, transport.Cmd{Argv: []string{"true"}}), conn.Close())
}
