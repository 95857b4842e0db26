package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
)

// TestE2EPreflight holds the preflight against real hosts: of hosts that are as
// they should be it finds no error, of each fault that is injected it finds
// that, on the hosts that have it, and no other; and no fault outlives its healing.
func TestE2EPreflight(t *testing.T) {
	o := labOptions(t)
	l, p := bootLab(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	spec := l.Spec()
	vip := spec.VIP().String()
	look := func(disk bool) *preflight.Report {
		t.Helper()
		// A new one each time: an open connection is not refused.
		hosts, config, err := recipe(ctx, l, p)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = hosts.Close() }() // every connection has been used up
		cluster, err := ha.New(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		report, err := cluster.Preflight(ctx, preflight.Config{Transport: hosts, Disk: disk})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	begin := time.Now()
	clean := look(true)
	t.Logf("%.1fs of clean hosts:\n%s", time.Since(begin).Seconds(), clean.Text())
	if err := clean.Err(); err != nil {
		t.Error(err)
	}

	fault := func(f machines.Fault, host string) func() (machines.Heal, error) {
		return func() (machines.Heal, error) { return l.Inject(ctx, f, host) }
	}
	// shell does one thing on a host by hand, and undoes it.
	shell := func(host, do, undo string) func() (machines.Heal, error) {
		return func() (machines.Heal, error) {
			_, err := l.SSH(ctx, host, do)
			return func(ctx context.Context) error { _, err := l.SSH(ctx, host, undo); return err }, err
		}
	}
	id, err := l.SSH(ctx, "cp-1", "cat /etc/machine-id")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		inject func() (machines.Heal, error)
		// want are the errors: the check and its hosts.
		want []string
		// says is in the report.
		says string
	}{
		{"clock off by an hour", fault(machines.ClockOff, "cp-2"), []string{"clock cp-2"}, "ahead of the operator's by at least 59m"},
		{"etcd's peers blocked", fault(machines.PeersBlocked, "cp-1"),
			[]string{"path cp-1 cp-2", "path cp-1 cp-3", "path cp-2 cp-1", "path cp-3 cp-1"}, "cp-3 does not get through to cp-1 on TCP 2380\n"},
		{"partition", fault(machines.Partitioned, "cp-3"),
			[]string{"path cp-1 cp-3", "path cp-2 cp-3", "path cp-3 cp-1", "path cp-3 cp-2", "path cp-3 worker-1", "path worker-1 cp-3", "vrrp cp-1 cp-3", "vrrp cp-2 cp-3"}, "TCP 6443, 2379, 2380, 10250"},
		{"half a second of latency", fault(machines.Latency, "cp-1"), nil, "looked at"},
		{"sshd refuses", fault(machines.SSHRefused, "worker-1"), []string{"reachable worker-1"}, "make the host reachable"},
		{"VIP taken", shell("worker-1", "ip addr add "+vip+"/32 dev "+machines.Interface, "ip addr del "+vip+"/32 dev "+machines.Interface),
			[]string{"vip-holders worker-1"}, "the host has the VIP " + vip + ", and is no control plane"},
		{"cloned", shell("cp-3", "cp /etc/machine-id /root/id && printf '%s\\n' "+strings.TrimSpace(id)+" >/etc/machine-id", "cat /root/id >/etc/machine-id"),
			[]string{"machine-id cp-1 cp-3"}, "these hosts were cloned"},
		{"port taken", shell("cp-2", "systemd-run --quiet --unit=taken socat -u TCP-LISTEN:2379,fork,reuseaddr /dev/null; sleep 0.5", "systemctl stop taken"),
			[]string{"port cp-2"}, "0.0.0.0:2379 is in use, which etcd's clients need"},
		{"another cluster's", shell("worker-1", "mkdir -p /etc/kubernetes && touch /etc/kubernetes/kubelet.conf", "rm /etc/kubernetes/kubelet.conf"),
			[]string{"leftovers worker-1"}, "kubeadm reset"},
	} {
		heal, err := c.inject()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		begin := time.Now()
		report := look(false)
		took := time.Since(begin)
		if err := heal(ctx); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got []string
		for _, f := range report.Of(quorate.Refused) {
			got = append(got, fmt.Sprint(f.Check, " ", strings.Join(f.Hosts, " ")))
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) || !strings.Contains(report.Text(), c.says) {
			t.Errorf("%s: found %q, want %q and %q\n%s", c.name, got, c.want, c.says, report.Text())
		}
		t.Logf("%-26s %.1fs %q", c.name, took.Seconds(), got)
	}

	// The recipe stops at the same, and has touched no host.
	heal, err := l.Inject(ctx, machines.PeersBlocked, "cp-2")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	_, err = bringUp(ctx, o, l, p, &log)
	var failed *preflight.Error
	if !errors.As(err, &failed) || len(failed.Findings) != 4 {
		t.Errorf("the recipe, with etcd's peers blocked: %v\n%s", err, log.String())
	}
	for _, h := range l.Hosts() {
		if out, err := l.SSH(ctx, h.Name, "ls -d /etc/etcd /etc/sysctl.d/99-quorate.conf /var/lib/quorate/kubeadm.state 2>/dev/null || true"); err != nil || len(strings.TrimSpace(out)) > 0 {
			t.Errorf("%s was touched: %v %s", h.Name, err, out)
		}
	}
	if err := heal(ctx); err != nil {
		t.Fatal(err)
	}
	if err := look(false).Err(); err != nil {
		t.Errorf("after all is healed: %v", err)
	}
}
