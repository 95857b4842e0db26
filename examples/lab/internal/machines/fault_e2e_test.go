package machines_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
)

// TestE2EFaults injects every fault into real hosts, looks whether it is there
// and nowhere else, heals it, and looks whether it is gone.
func TestE2EFaults(t *testing.T) {
	cache := realHosts(t)
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	if _, err := machines.InstallPackages(ctx); err != nil {
		t.Fatal(err)
	}
	root, err := machines.RootFS(ctx, cache)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "test-faults")
	l, err := machines.Up(ctx, machines.Config{
		Spec: machines.Spec{ControlPlanes: 3, Bridge: "labtest0", EtcdDisk: 256}, Dir: dir, Root: root,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := machines.Down(context.WithoutCancel(ctx), dir); err != nil {
			t.Error(err)
		}
		for _, gone := range []string{dir, "/sys/class/net/labtest0", "/sys/class/net/dl-cp-1", "/sys/class/net/de-cp-1"} {
			if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left behind", gone)
			}
		}
		if out, err := exec.Command("nft", "list", "tables").Output(); err != nil || strings.Contains(string(out), "labtest0") {
			t.Errorf("a table of nft is left behind: %v %s", err, out)
		}
	})
	cp1, cp2, cp3 := l.Hosts()[0], l.Hosts()[1], l.Hosts()[2]
	for _, h := range l.Hosts() {
		ssh(t, l, h, "systemd-run --quiet --unit=peer socat -u TCP-LISTEN:2380,fork,reuseaddr /dev/null; systemd-run --quiet --unit=client socat -u TCP-LISTEN:2379,fork,reuseaddr /dev/null; sleep 0.5")
	}
	ping := func(from, to machines.Host) bool {
		// Again, since a neighbour that did not answer is not tried for a while.
		return ssh(t, l, from, "for i in 1 2 3 4 5; do ping -c1 -W1 "+to.Address.String()+" >/dev/null && echo yes && exit; done; echo no") == "yes"
	}
	connects := func(from, to machines.Host, port int) bool {
		return ssh(t, l, from, fmt.Sprintf("socat -u /dev/null TCP:%s:%d,connect-timeout=2 2>/dev/null && echo yes || echo no", to.Address, port)) == "yes"
	}
	served := func(h machines.Host) error {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(h.Address.String(), "22"), 2*time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	inject := func(f machines.Fault) func() {
		t.Helper()
		begin := time.Now()
		heal, err := l.Inject(ctx, f, cp1.Name)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		t.Logf("%-20s injected in %s", f, time.Since(begin).Round(time.Millisecond))
		return func() {
			t.Helper()
			if err := errors.Join(heal(ctx), heal(ctx)); err != nil {
				t.Fatalf("%s: %v", f, err)
			}
		}
	}
	check := func(f machines.Fault, what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s is %v, want %v", f, what, got, want)
		}
	}
	f := machines.Partitioned
	heal := inject(f)
	check(f, "ping cp-1 to cp-2", ping(cp1, cp2), false)
	check(f, "ping cp-2 to cp-3", ping(cp2, cp3), true)
	heal()
	check(f, "healed, ping cp-1 to cp-2", ping(cp1, cp2), true)

	f = machines.PeersBlocked
	heal = inject(f)
	check(f, "ping", ping(cp1, cp2), true)
	check(f, "cp-2 to cp-1 on 2380", connects(cp2, cp1, 2380), false)
	check(f, "cp-1 to cp-2 on 2380", connects(cp1, cp2, 2380), false)
	check(f, "cp-1 to cp-2 on 2379", connects(cp1, cp2, 2379), true)
	check(f, "cp-2 to cp-3 on 2380", connects(cp2, cp3, 2380), true)
	heal()
	check(f, "healed, cp-2 to cp-1 on 2380", connects(cp2, cp1, 2380), true)
	one, err := l.DropPorts(ctx, cp1.Name, cp2.Name, 2379, 2380)
	if err != nil {
		t.Fatal(err)
	}
	check("a pair", "cp-1 to cp-2 on 2379", connects(cp1, cp2, 2379), false)
	check("a pair", "cp-1 to cp-3 on 2379", connects(cp1, cp3, 2379), true)
	if err := one(ctx); err != nil {
		t.Fatal(err)
	}

	f = machines.Latency
	heal = inject(f)
	rtt := ssh(t, l, cp2, "ping -c3 -i0.2 -W3 "+cp1.Address.String()+" | sed -n 's,^rtt[^=]*= \\([0-9.]*\\)/.*,\\1,p'")
	if ms, err := strconv.ParseFloat(rtt, 64); err != nil || ms < 500 {
		t.Errorf("the least round trip is %s ms, want at least 500", rtt)
	}
	check(f, "ping cp-2 to cp-3", ping(cp2, cp3), true)
	// Segments and checksums are left to the card, so that much data shows
	// whether the line forwards them as they were.
	sum := ssh(t, l, cp2, "head -c 4000000 /dev/zero | tr '\\0' x >/root/data; sha256sum </root/data; systemd-run --quiet --unit=data socat -u OPEN:/root/data TCP-LISTEN:7000,reuseaddr")
	check(f, "4 MB over it", ssh(t, l, cp1, "sleep 0.5; socat -u TCP:"+cp2.Address.String()+":7000 - | sha256sum"), sum)
	if _, err := l.Inject(ctx, f, cp1.Name); err == nil {
		t.Error("two impairments of one line are accepted")
	}
	heal()
	check(f, "healed, ping cp-2 to cp-1", ping(cp2, cp1), true)

	bad, err := l.Impair(ctx, cp1.Name, machines.Impairment{Loss: 0.5, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	out := ssh(t, l, cp2, "ping -c40 -i0.05 -W1 "+cp1.Address.String()+" | sed -n 's/.* \\([0-9]*\\) received.*/\\1/p'")
	if n, err := strconv.Atoi(out); err != nil || n < 1 || n > 25 {
		t.Errorf("%s of 40 pings are answered over a line that loses half each way", out)
	}
	if err := bad(ctx); err != nil {
		t.Fatal(err)
	}
	inject(machines.PacketLoss)()

	f = machines.DiskFull
	heal = inject(f)
	write := "dd if=/dev/zero of=/var/lib/quorate/etcd/x bs=4096 count=1 2>&1 | grep -c 'No space left'"
	check(f, "a write", ssh(t, l, cp1, write+"; rm -f /var/lib/quorate/etcd/x"), "1")
	heal()
	check(f, "healed, a write", ssh(t, l, cp1, write+" || true; rm -f /var/lib/quorate/etcd/x"), "0")

	f = machines.ClockOff
	heal = inject(f)
	off := func() bool {
		n, err := strconv.ParseInt(ssh(t, l, cp1, "date +%s"), 10, 64)
		return err == nil && n-time.Now().Unix() > 3590
	}
	check(f, "off by an hour", off(), true)
	heal()
	check(f, "healed, off by an hour", off(), false)

	f = machines.SSHRefused
	heal = inject(f)
	if err := served(cp1); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s: %v", f, err)
	}
	heal()
	check(f, "healed, connect", served(cp1), error(nil))

	f = machines.SSHKilled
	ended := make(chan error, 1)
	go func() {
		_, err := l.SSH(ctx, cp1.Name, "touch /root/began; exec sleep 300")
		ended <- err
	}()
	ssh(t, l, cp1, "until [ -e /root/began ]; do sleep 0.05; done")
	inject(f)
	if err := <-ended; err == nil {
		t.Errorf("%s: the command succeeded", f)
	}
	check(f, "connect", served(cp1), error(nil))

	f = machines.CablePulled
	heal = inject(f)
	check(f, "ping cp-2 to cp-1", ping(cp2, cp1), false)
	heal()
	check(f, "healed, ping cp-2 to cp-1", ping(cp2, cp1), true)

	boots := func() string { return ssh(t, l, cp1, "systemctl show -p UserspaceTimestampMonotonic --value") }
	before := boots()
	f = machines.LostPower
	heal = inject(f)
	check(f, "running", l.Running(cp1.Name), false)
	heal()
	check(f, "healed, running", l.Running(cp1.Name), true)
	if boots() == before {
		t.Errorf("%s: it did not boot", f)
	}
	// A line that is impaired when the power goes is a good one afterwards, and
	// what nobody healed goes with HealAll or, at the latest, with the lab.
	inject(machines.Latency)
	inject(machines.Rebooted)
	check(machines.Rebooted, "ping cp-2 to cp-1", ping(cp2, cp1), true)
	inject(machines.Partitioned)
	if err := l.HealAll(ctx); err != nil {
		t.Fatal(err)
	}
	check(machines.Rebooted, "all healed, ping cp-2 to cp-1", ping(cp2, cp1), true)
	inject(machines.Partitioned)
	inject(machines.Latency)
	inject(machines.DiskFull)
}
