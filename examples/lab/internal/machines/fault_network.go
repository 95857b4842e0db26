package machines

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Partition cuts a host off from every other host, both ways. The machine still
// reaches it, and it the machine: it is the operator's network that is left.
// The host's links stay up.
func (l *Lab) Partition(ctx context.Context, host string) (Heal, error) {
	if _, err := l.host(host); err != nil {
		return nil, err
	}
	port := bridgePorts(host)
	return l.filter(ctx, "the partition of "+host, "iifname "+port+" drop", "oifname "+port+" drop")
}

// DropPorts drops what two hosts exchange on TCP ports of either of them,
// without an answer, as a firewall does; present connections get stuck. An
// empty other means every host but the first.
func (l *Lab) DropPorts(ctx context.Context, host, other string, ports ...int) (Heal, error) {
	_, err := l.host(host)
	if other != "" && err == nil {
		_, err = l.host(other)
	}
	if err != nil {
		return nil, err
	}
	if len(ports) == 0 {
		return nil, errors.New("no port to drop")
	}
	numbers := make([]string, 0, len(ports))
	for _, p := range ports {
		numbers = append(numbers, strconv.Itoa(p))
	}
	there, back := "iifname "+bridgePorts(host), "oifname "+bridgePorts(host)
	if other != "" {
		there, back = there+" oifname "+bridgePorts(other), back+" iifname "+bridgePorts(other)
	}
	set := "{ " + strings.Join(numbers, ", ") + " }"
	var rules []string
	for _, way := range []string{there, back} {
		for _, field := range []string{"dport", "sport"} {
			rules = append(rules, way+" tcp "+field+" "+set+" drop")
		}
	}
	return l.filter(ctx, fmt.Sprintf("TCP ports %s dropped between %s and %s", strings.Join(numbers, " "), host, otherName(other)), rules...)
}

func otherName(other string) string {
	if other == "" {
		return "all others"
	}
	return other
}

// bridgePorts are the names that a host's port of the bridge can have.
func bridgePorts(host string) string {
	return fmt.Sprintf("{ %q, %q }", vethOf(host), delayedOf(host))
}

// filterTable is a lab's own table of nft, in each family it uses.
func filterTable(bridge string) string { return "lab-" + bridge }

// filter drops frames that the bridge forwards, by rules of nft, in a chain of
// its own.
func (l *Lab) filter(ctx context.Context, what string, rules ...string) (Heal, error) {
	return l.chain(ctx, what, "bridge", "hook forward priority 0; policy accept;", rules...)
}

// chain adds a chain to the lab's table of a family; it heals by deleting it.
func (l *Lab) chain(ctx context.Context, what, family, hook string, rules ...string) (Heal, error) {
	table, name := family+" "+filterTable(l.state.Spec.Bridge), "fault-"+strings.ToLower(rand.Text())
	text := fmt.Sprintf("add table %s\nadd chain %s %s { type filter %s }\n", table, table, name, hook)
	for _, r := range rules {
		text += fmt.Sprintf("add rule %s %s %s\n", table, name, r)
	}
	if err := nft(ctx, text); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return l.healable(what, func(ctx context.Context) error {
		// Adding what is there changes nothing, and makes deleting safe to repeat.
		return nft(ctx, fmt.Sprintf("add table %s\nadd chain %s %s\nflush chain %s %s\ndelete chain %s %s\n",
			table, table, name, table, name, table, name))
	}), nil
}

// nft carries out commands of nft, all or none of them.
func nft(ctx context.Context, commands string) error {
	return runInput(ctx, commands, "nft", "-f", "-")
}

// deleteFilters deletes the lab's tables, and with them every fault of the
// network that a process has left behind.
func deleteFilters(ctx context.Context, bridge string) error {
	if _, err := exec.LookPath("nft"); errors.Is(err, exec.ErrNotFound) {
		return nil // then there are none
	}
	var text string
	for _, family := range []string{"bridge", "netdev"} {
		table := family + " " + filterTable(bridge)
		text += "add table " + table + "\ndelete table " + table + "\n"
	}
	return nft(ctx, text)
}

// Impairment is what a bad line does to the packets of one host.
type Impairment struct {
	// Latency is added to every round trip: half of it each way.
	Latency time.Duration
	// Jitter is the most that each way takes longer, at random. Packets keep
	// their order.
	Jitter time.Duration
	// Loss is the share of packets that is lost each way, 0 to 1.
	Loss float64
	// Seed makes what is lost the same again for the same packets.
	Seed uint64
}

// Validate returns every reason why a line cannot be so.
func (i Impairment) Validate() error {
	var errs []error
	if i.Latency < 0 || i.Jitter < 0 {
		errs = append(errs, fmt.Errorf("latency %s and jitter %s: want neither below 0", i.Latency, i.Jitter))
	}
	if !(i.Loss >= 0 && i.Loss <= 1) {
		errs = append(errs, fmt.Errorf("loss %g: want a share from 0 to 1", i.Loss))
	}
	return errors.Join(errs...)
}

// Impair makes a host's line slow and lossy, towards the machine too. It takes
// the host's cable off the bridge and forwards its packets from this process
// (sch_netem is missing in kernels for small virtual machines): when the process
// ends the host is cut off, until it boots again. One impairment at a time; a
// power cut takes it away.
func (l *Lab) Impair(ctx context.Context, host string, i Impairment) (Heal, error) {
	if _, err := l.host(host); err != nil {
		return nil, err
	}
	if err := i.Validate(); err != nil {
		return nil, err
	}
	if linkExists(delayedOf(host)) {
		return nil, fmt.Errorf("the line of %s is impaired already", host)
	}
	what := "the bad line of " + host
	line, err := l.layDelayed(ctx, host, i)
	if err != nil {
		// Not ctx: the host is to have its cable back also when ctx ended.
		return nil, errors.Join(fmt.Errorf("%s: %w", what, err), l.layDirect(context.WithoutCancel(ctx), host))
	}
	return l.healable(what, func(ctx context.Context) error {
		line.close()
		return l.layDirect(ctx, host)
	}), nil
}

// layDelayed leads a host's packets through a delay line: from its cable, which
// leaves the bridge, to one end of another cable whose other end is on the bridge.
func (l *Lab) layDelayed(ctx context.Context, host string, i Impairment) (*delayLine, error) {
	cable, inner, outer := vethOf(host), delayEndOf(host), delayedOf(host)
	if _, err := run(ctx, "ip", "link", "add", outer, "type", "veth", "peer", "name", inner); err != nil {
		return nil, err
	}
	// The machine itself takes no part on either end: it would answer twice.
	for _, name := range []string{cable, inner, outer} {
		file := filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6")
		if err := os.WriteFile(file, []byte("1"), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	for _, args := range [][]string{
		{"link", "set", outer, "master", l.state.Spec.Bridge}, {"link", "set", outer, "up"}, {"link", "set", inner, "up"},
	} {
		if _, err := run(ctx, "ip", args...); err != nil {
			return nil, err
		}
	}
	table := "netdev " + filterTable(l.state.Spec.Bridge)
	err := nft(ctx, fmt.Sprintf("add table %s\nadd chain %s delay-%s { type filter hook ingress devices = { %q, %q } priority 0; policy drop; }\n",
		table, table, host, cable, inner))
	if err != nil {
		return nil, err
	}
	if _, err := run(ctx, "ip", "link", "set", cable, "nomaster"); err != nil {
		return nil, err
	}
	return startDelayLine(cable, inner, i)
}

// layDirect takes the delay line away again. It is safe to repeat, and to call
// for a host that has lost its power since.
func (l *Lab) layDirect(ctx context.Context, host string) error {
	err := deleteDelayed(ctx, l.state.Spec.Bridge, host)
	if err != nil || !linkExists(vethOf(host)) {
		return err
	}
	_, err = run(ctx, "ip", "link", "set", vethOf(host), "master", l.state.Spec.Bridge)
	return err
}

// deleteDelayed deletes what layDelayed made, the filter first: it would drop the
// packets of a later cable of the same name. Without the link there is none.
func deleteDelayed(ctx context.Context, bridge, host string) error {
	if !linkExists(delayedOf(host)) {
		return nil
	}
	table := "netdev " + filterTable(bridge)
	err := nft(ctx, fmt.Sprintf("add table %s\nadd chain %s delay-%s\ndelete chain %s delay-%s\n", table, table, host, table, host))
	if err != nil {
		return err
	}
	return deleteLink(ctx, delayedOf(host))
}

// delayedOf is the bridge's port of a host with a delay line, delayEndOf the
// end of that cable where the line's packets come and go.
func delayedOf(host string) string { return "dl-" + host }

func delayEndOf(host string) string { return "de-" + host }
