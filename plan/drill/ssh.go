package drill

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/transport"
)

// SSHBreaker breaks hosts by commands on them: it needs root's rights there (see
// transport/sudo), systemd, and nft for the partitions.
//
// Every break is armed before it is made: a systemd timer on the host heals it
// after its limit, whatever became of the operator. The partitions leave TCP
// port 22, or the one the connection came in by, open to everybody, and what the
// host says to itself. Of IPv6 they leave neighbour discovery, so a host cut off
// still answers for an IPv6 VIP on its link.
//
// A host that reboots while it is broken comes back healed, but for a stopped API
// server: its manifest stays aside, as ManifestDir's parent shows, until Heal.
type SSHBreaker struct {
	// Transport reaches the hosts by their names. Required.
	Transport transport.Transport
	// VIP for which a host that is cut off must not answer on its link either.
	VIP netip.Addr
	// ManifestDir of the kubelet's static pods. Default /etc/kubernetes/manifests.
	ManifestDir string
	// EtcdUnit is etcd's systemd unit where it is no static pod. Default
	// etcd.service.
	EtcdUnit string
	// EtcdData is a directory of etcd's data. FillDisk refuses unless it has a
	// file system of its own. Default /var/lib/quorate/etcd.
	EtcdData string
	// EtcdPorts of clients and peers. Default 2379 and 2380.
	EtcdPorts []int
	// MaxFill in bytes: FillDisk refuses a file system with more free than that.
	// Default 32 GiB.
	MaxFill int64
	// SSHPort that the partitions leave open besides the one that the connection
	// names, which sudo may hide. Default 22.
	SSHPort int
}

var (
	//go:embed scripts/break.sh
	breakScript string
	//go:embed scripts/heal.sh
	healScript string
	//go:embed scripts/faults.sh
	faultsScript string
)

func (b *SSHBreaker) withDefaults() SSHBreaker {
	d := *b
	d.ManifestDir = cmp.Or(d.ManifestDir, hostpath.Manifests)
	d.EtcdUnit = cmp.Or(d.EtcdUnit, "etcd.service")
	d.EtcdData = cmp.Or(d.EtcdData, hostpath.EtcdData)
	if len(d.EtcdPorts) == 0 {
		d.EtcdPorts = []int{2379, 2380}
	}
	d.MaxFill = cmp.Or(d.MaxFill, 32<<30)
	d.SSHPort = cmp.Or(d.SSHPort, 22)
	return d
}

// settings are what the scripts know of the host.
func (b *SSHBreaker) settings() []string {
	d := b.withDefaults()
	vip := ""
	if d.VIP.Is4() {
		vip = d.VIP.String() // see the type's comment for IPv6
	}
	ports := make([]string, len(d.EtcdPorts))
	for i, p := range d.EtcdPorts {
		ports[i] = strconv.Itoa(p)
	}
	return []string{
		d.ManifestDir, d.EtcdUnit, d.EtcdData, strings.Join(ports, ","),
		strconv.FormatInt(d.MaxFill>>10, 10), strconv.Itoa(d.SSHPort), vip,
	}
}

// Faults are all but PowerOff.
func (b *SSHBreaker) Faults() []Fault {
	return []Fault{Reboot, StopAPIServer, StopKeepalived, StopEtcd, Partition, PartitionEtcd, FillDisk}
}

// Check looks whether the host has what a fault needs.
func (b *SSHBreaker) Check(ctx context.Context, f Fault, h Host) error {
	return b.run(ctx, h, f, faultsScript, "check")
}

// Break arms the healing and breaks. An error is a *transport.ExitError with
// what the host said, or the transport's.
func (b *SSHBreaker) Break(ctx context.Context, br Break) error {
	if br.Fault == Reboot {
		return b.reboot(ctx, br.Host)
	}
	limit := strconv.Itoa(max(1, int(br.Limit.Seconds())))
	return b.run(ctx, br.Host, br.Fault, breakScript, faultsScript, limit)
}

// Heal undoes and disarms.
func (b *SSHBreaker) Heal(ctx context.Context, br Break) error {
	if br.Fault == Reboot {
		return nil
	}
	return b.run(ctx, br.Host, br.Fault, healScript, faultsScript)
}

// run runs a script with arguments, and after them the fault and the settings.
func (b *SSHBreaker) run(ctx context.Context, h Host, f Fault, script string, args ...string) error {
	conn, err := b.Transport.Dial(ctx, h.Name)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the command has ended
	argv := slices.Concat([]string{"sh", "-c", script, "sh"}, args, []string{string(f)}, b.settings())
	_, err = transport.Output(ctx, conn, argv...)
	return err
}

// rebootPoll is the time between two looks at a host that reboots.
const rebootPoll = 500 * time.Millisecond

// rebootPatience is how long a look may take.
const rebootPatience = 5 * time.Second

// reboot returns when the host has another boot ID.
func (b *SSHBreaker) reboot(ctx context.Context, h Host) error {
	before, err := b.bootID(ctx, h)
	if err != nil {
		return err
	}
	if err := b.run(ctx, h, Reboot, faultsScript, "break"); err != nil {
		return err
	}
	for {
		now, err := b.bootID(ctx, h)
		if err == nil && now != before {
			return nil
		}
		if !wait(ctx, rebootPoll) {
			return fmt.Errorf("not up again after its reboot (%w): %w", ctx.Err(), cmp.Or(err, errSameBoot))
		}
	}
}

var errSameBoot = errors.New("it still runs as before")

func (b *SSHBreaker) bootID(ctx context.Context, h Host) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, rebootPatience)
	defer cancel()
	conn, err := b.Transport.Dial(ctx, h.Name)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }() // the command has ended
	out, err := transport.Output(ctx, conn, "cat", "/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(out)), err
}

// wait pauses and reports whether ctx still runs.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
