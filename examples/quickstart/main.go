// Command quickstart shows Quorate at work on this machine alone: no root, no
// network beyond the loopback, under a minute.
//
//	go run ./examples/quickstart
//
// Three hosts live in this process and are reached over real SSH. The plan that
// would turn real hosts into a cluster runs against them, twice. Its etcd is
// real: three processes, started with the flags of the rendered unit and the
// issued certificates. One of them is stopped, and the others keep the quorum.
// systemd, containerd, keepalived and Kubernetes are simulated, and the output
// says where; examples/lab has all of them for real.
//
// Exit codes: 0 everything held, 1 something did not, 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/examples/internal/progress"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// timeLimit ends a run that hangs; on two cores it takes a few seconds.
const timeLimit = 2 * time.Minute

func main() {
	if os.Getenv(beEtcd) != "" {
		runEtcd()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Stdout)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil:
		return
	case interrupted:
		fmt.Fprintln(os.Stderr, "quickstart: interrupted")
		os.Exit(130)
	}
	fmt.Fprintln(os.Stderr, "quickstart:", termsafe.Indented(err.Error()))
	os.Exit(1)
}

// run is main without the process.
func run(ctx context.Context, out io.Writer) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	d, err := newDemo(ctx, end)
	if err != nil {
		return err
	}
	err = d.show(ctx, out)
	if crash := new(crashError); errors.As(context.Cause(ctx), &crash) {
		err = crash // whatever else failed, failed for this
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	say(out, farewell, time.Since(began).Seconds())
	return nil
}

const farewell = `
Done in %.1fs. Every process is stopped and every file removed.

Next:
  go run ./examples/lab up                     the real thing on this machine (Debian or Ubuntu, root)
  go run ./examples/render -cluster examples/clusters/three.yaml -out hosts
                                               every file of every host, to read
  go run ./examples/installer -cluster FILE -dry-run
                                               your own hosts
  go doc github.com/quorate-dev/quorate        where everything lives
`

// show is the demonstration. It has checked what it claims: the first thing that
// does not hold ends it with an error.
func (d *demo) show(ctx context.Context, out io.Writer) error {
	d.introduce(out)
	for _, act := range []struct {
		title string
		play  func(context.Context, io.Writer) error
	}{
		{"The plan turns three bare hosts into a cluster", d.bringUp},
		{"The same plan again", d.runAgain},
		{"etcd's health, with the operator's certificate, through an SSH tunnel to " + d.door(), d.health},
		{"One member is stopped: the leader", d.stopLeader},
		{"It is started again", d.startAgain},
	} {
		say(out, "\n== %s\n", act.title)
		if err := act.play(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) introduce(out io.Writer) {
	say(out, "Quorate quickstart: a highly available control plane, on this machine's loopback\n\n")
	for _, n := range d.config.Cluster.Nodes {
		say(out, "  %s  %-13s ssh %s\n", n.Name, n.Address(), n.SSH)
	}
	say(out, "\n  real:      SSH, certificates, every file the hosts get, the plan and its scripts, etcd\n")
	say(out, "  simulated: the hosts' disks, systemd, kernel settings, containerd, keepalived, kubeadm, kubectl\n")
}

// bringUp runs the plan for the first time.
func (d *demo) bringUp(ctx context.Context, out io.Writer) error {
	sum, err := d.runPlan(ctx, out)
	if err != nil {
		return err
	}
	if !sum.Changed() {
		return errors.New("the plan changed nothing on bare hosts")
	}
	d.seen.first = sum
	d.disclose(out)
	return nil
}

// runAgain shows that nothing is done twice.
func (d *demo) runAgain(ctx context.Context, out io.Writer) error {
	sum, err := d.runPlan(ctx, out)
	d.seen.again = sum
	if err == nil && sum.Changed() {
		return fmt.Errorf("the second run made %d changes, and should have made none", sum.Outcomes[plan.Changed])
	}
	return err
}

func (d *demo) runPlan(ctx context.Context, out io.Writer) (plan.Summary, error) {
	view := progress.New(out, d.plan)
	defer view.Close()
	runner := plan.Runner{Transport: d.ssh, Observe: func(e plan.Event) {
		if isSimulated(e.Step) {
			e.Title += " (simulated)"
		}
		view.Observe(e)
	}}
	return runner.Run(ctx, d.plan)
}

// health reads every member.
func (d *demo) health(ctx context.Context, out io.Writer) error {
	s, err := d.ask(ctx, allHealthy)
	if err != nil {
		return err
	}
	d.seen.before = s
	table(out, d, s)
	return nil
}

// stopLeader stops the member whose loss hurts most, and writes without it.
func (d *demo) stopLeader(ctx context.Context, out io.Writer) error {
	s, err := d.ask(ctx, allHealthy)
	if err != nil {
		return err
	}
	leader, _ := s.Leader()
	d.seen.stopped = leader.Name
	began := time.Now()
	if err := d.systemctl(ctx, out, "stop", d.seen.stopped); err != nil {
		return err
	}
	s, err = d.ask(ctx, func(s etcdclient.Status) bool {
		now, ok := s.Leader()
		return ok && now.ID != leader.ID && s.Healthy() == s.Voters()-1
	})
	if err != nil {
		return err
	}
	elected := time.Since(began)
	d.seen.without = s
	table(out, d, s)
	now, _ := s.Leader()
	say(out, "Quorum holds: %s leads, %.1fs after the stop.\n", now.Name, elected.Seconds())
	began = time.Now()
	d.seen.revision, err = d.put(ctx, key, value)
	if err != nil {
		return fmt.Errorf("write with %s stopped: %w", d.seen.stopped, err)
	}
	say(out, "A write without %s: accepted as revision %d in %s.\n", d.seen.stopped, d.seen.revision, short(time.Since(began)))
	return nil
}

// startAgain brings the member back and reads from it alone what it has missed.
func (d *demo) startAgain(ctx context.Context, out io.Writer) error {
	if err := d.systemctl(ctx, out, "start", d.seen.stopped); err != nil {
		return err
	}
	s, err := d.ask(ctx, allHealthy)
	if err != nil {
		return err
	}
	d.seen.after = s
	table(out, d, s)
	got, err := d.getFrom(ctx, d.seen.stopped, key)
	if err != nil {
		return fmt.Errorf("read from %s: %w", d.seen.stopped, err)
	}
	if got != value {
		return fmt.Errorf("%s has %q under %s after its return, want %q", d.seen.stopped, got, key, value)
	}
	say(out, "%s has what was written while it was down.\n", d.seen.stopped)
	return nil
}

// systemctl runs over SSH, as on any host.
func (d *demo) systemctl(ctx context.Context, out io.Writer, verb, host string) error {
	argv := []string{"systemctl", verb, "etcd.service"}
	say(out, "%s# %s\n", host, strings.Join(argv, " "))
	conn, err := d.ssh.Dial(ctx, host)
	if err != nil {
		return err
	}
	return errors.Join(conn.Run(ctx, transport.Cmd{Argv: argv}), conn.Close())
}

// say ignores write errors: nobody is left to report them to.
func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
