package plan_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/plantest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/vip"
)

// A cluster from bare hosts to Ready nodes, and once more. The hosts are in
// memory; with transport/ssh in place of plantest they are real.
func Example() {
	cluster := three() // or clusterfile.Load
	bundle, err := pki.New(cluster, pki.Config{})
	if err != nil {
		log.Fatal(err)
	}
	token, err := kubeadm.NewToken(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := vip.NewAuth(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	ha, err := plan.HA(plan.HAConfig{
		Cluster: cluster, Certs: bundle, Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: auth,
	})
	if err != nil {
		log.Fatal(err)
	}

	hosts, err := plantest.New(cluster)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = hosts.Close() }()
	runner := plan.Runner{Transport: hosts}
	for range 2 {
		summary, err := runner.Run(context.Background(), ha)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("changed:", summary.Changed(), "nodes:", hosts.Nodes())
	}
	// Output:
	// changed: true nodes: [cp-1 cp-2 cp-3 worker-1]
	// changed: false nodes: [cp-1 cp-2 cp-3 worker-1]
}

// Hosts are looked at by themselves: here one has swap on, and nothing is known of
// the VRIDs on its network.
func ExamplePreflight() {
	cluster := three()
	bundle, err := pki.New(cluster, pki.Config{})
	if err != nil {
		log.Fatal(err)
	}
	token, err := kubeadm.NewToken(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	auth, err := vip.NewAuth(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	hosts, err := plantest.New(cluster)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = hosts.Close() }()
	swaps := transport.File{Path: "/proc/swaps", Data: transport.Bytes([]byte("Filename Type\n/dev/sda2 partition\n"))}
	if err := hosts.Host("cp-2").Put(swaps); err != nil {
		log.Fatal(err)
	}

	report, err := plan.Preflight(context.Background(), plan.PreflightConfig{
		HAConfig:  plan.HAConfig{Cluster: cluster, Certs: bundle, Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: auth},
		Transport: hosts,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(report.Text())
	fmt.Println(report.Err() != nil)
	// Output:
	// looked at cp-1, cp-2, cp-3, worker-1
	// error   cp-2 (swap)
	//         swap is on (/dev/sda2), with which the kubelet does not start
	//         -> swapoff -a and take it out of /etc/fstab, or set kubeadm.kubelet.failSwapOn to false
	// info    cp-1, cp-2, cp-3 (vrid)
	//         not checked: the host has no tcpdump to listen for VRRP with
	//         -> install tcpdump and look again, or make sure that nobody on this network has the VRID 51
	// errors: 1, warnings: 0, not checked: 1, ignored: 0
	// true
}

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
	_, err := h.Script(ctx, `printf %s "$1" >/etc/motd`, m.text)
	return err
}

// A step of one's own, run dry.
func ExampleRunner_dryRun() {
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(file("/etc/motd", "hello")); err != nil {
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

// A run's events as JSON Lines, and read back, as another program would.
func ExampleEventWriter() {
	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Action: motd{"welcome"}})
	if err != nil {
		log.Fatal(err)
	}
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(file("/etc/motd", "hello")); err != nil {
		log.Fatal(err)
	}
	var lines bytes.Buffer
	events := plan.NewEventWriter(&lines)
	runner := plan.Runner{Transport: hosts, Observe: events.Observe}
	if _, err := runner.Run(context.Background(), p); err != nil {
		log.Fatal(err)
	}
	if err := events.Err(); err != nil {
		log.Fatal(err) // the run is done, and its events are not complete
	}
	for e, err := range plan.DecodeEvents(&lines) {
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

// A run's events in a log, of which a failure is an error and a retry a warning.
func ExampleLogTo() {
	p, err := plan.New(plan.Step{ID: "motd/web-1", Host: "web-1", Action: motd{"welcome"}})
	if err != nil {
		log.Fatal(err)
	}
	hosts := faketransport.New()
	if err := hosts.Host("web-1").Put(file("/etc/motd", "hello")); err != nil {
		log.Fatal(err)
	}
	changing := func(_ []string, a slog.Attr) slog.Attr { // what is another in each run
		if a.Key == slog.TimeKey || a.Key == "run" || a.Key == "elapsed" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: changing}))
	runner := plan.Runner{Transport: hosts, Observe: plan.LogTo(logger)}
	if _, err := runner.Run(context.Background(), p); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=INFO msg=run-started steps=1
	// level=INFO msg=step-applying step=motd/web-1 host=web-1 title=motd/web-1 changes="[update /etc/motd]" attempt=1
	// level=INFO msg=step-ended step=motd/web-1 host=web-1 title=motd/web-1 outcome=changed changes="[update /etc/motd]" attempt=1
	// level=INFO msg=run-ended
}
