// Command lab makes a highly available Kubernetes cluster on real hosts, all
// of them on this machine: systemd-nspawn containers with systemd, sshd and
// keepalived, and every binary and image built from Go modules.
//
//	go run ./examples/lab up [-hosts-only] [-control-planes 3] [-workers 1] [-haproxy]
//	go run ./examples/lab status
//	go run ./examples/lab drill [-preview] [-scenarios partition,cold-start] [-out DIR]
//	go run ./examples/lab down
//
// It needs root on Debian or Ubuntu, Go, about 8 GB of disk and 4 GB of
// memory. The first run takes about fifteen minutes on two cores, later ones
// reuse what it made. Only the bridge made for the hosts and loopback are used.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

const usage = `usage: lab up|status|drill|down [flags]

  up      boot the hosts and bring up the cluster on them
  status  show the hosts
  drill   break the cluster on purpose, heal it, and report
  down    remove the hosts and everything else of the lab on this machine

"lab up -h" lists the flags.
`

// Exit codes: bad usage (2), or it failed (1).
const (
	exitFailed  = 1
	exitInvalid = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := lab(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// lab runs one command line and returns the exit code.
func lab(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, command, io.Writer) error{
		"up": up, "status": status, "drill": drillLab, "down": down,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		_, _ = io.WriteString(stderr, usage)
		return exitInvalid
	}
	c, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "lab:", termsafe.Indented(err.Error()))
		return exitInvalid
	}
	if err := commands[args[0]](ctx, c, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "lab:", termsafe.Indented(err.Error()))
		return exitFailed
	}
	return 0
}

// command is a parsed command line.
type command struct {
	options
	hostsOnly bool
	drill     drillFlags
}

func parse(args []string, stderr io.Writer) (command, error) {
	var c command
	var network string
	flags := flag.NewFlagSet("lab "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	cache, cacheErr := defaultCache()
	flags.StringVar(&c.cache, "cache", cache, "`directory` for what is kept across runs")
	flags.StringVar(&c.dir, "dir", "", "state `directory` of the hosts (default: hosts in the cache directory)")
	if args[0] == "up" {
		flags.IntVar(&c.spec.ControlPlanes, "control-planes", 3, "`number` of control planes")
		flags.IntVar(&c.spec.Workers, "workers", 1, "`number` of workers")
		flags.StringVar(&network, "network", "10.177.0.0/24", "IPv4 `range` of the hosts, unused on this machine")
		flags.IntVar(&c.spec.EtcdDisk, "etcd-disk", 0, "`MiB` of a disk for etcd's data alone on each host, which a drill can fill (default: none)")
		flags.BoolFunc("haproxy", "put haproxy on every control plane before the API servers", func(string) error {
			c.balancer = quorate.HAProxy
			return nil
		})
		flags.BoolVar(&c.hostsOnly, "hosts-only", false, "stop once the hosts are booted and described in "+clusterFile)
	}
	if args[0] == "drill" {
		flags.StringVar(&c.drill.scenarios, "scenarios", "", "`names` of scenarios with commas between, in this order (default: all)")
		flags.StringVar(&c.drill.out, "out", "", "`directory` for the report (default: the hosts' directory)")
		flags.BoolVar(&c.drill.preview, "preview", false, "only say what would be broken")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if c.cache == "" {
		return c, cacheErr
	}
	c.dir = cmp.Or(c.dir, filepath.Join(c.cache, "hosts"))
	if network != "" {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return c, fmt.Errorf("-network: %w", err)
		}
		c.spec.Network = prefix
	}
	return c, c.spec.Validate()
}

func up(ctx context.Context, c command, out io.Writer) error {
	if err := machines.CheckMachine(); err != nil {
		return err
	}
	c.phase = func(name string, took time.Duration) {
		_, _ = fmt.Fprintf(out, "%8.1fs  %s\n", took.Seconds(), name)
	}
	p, err := prepare(ctx, c.options)
	if err != nil {
		return err
	}
	l, err := bootHosts(ctx, c.options, p)
	if err != nil {
		return err
	}
	if !c.hostsOnly {
		_, err := bringUp(ctx, c.options, l, p, out)
		if err == nil {
			err = showCluster(ctx, l, out)
		}
		if err != nil {
			// The hosts stay, so that one can look at what happened.
			return fmt.Errorf("%w\nthe hosts still run: look with %s, remove them with \"lab down\"", err, sshCommand(l))
		}
	}
	_, err = fmt.Fprintf(out, "\n%s describes the cluster; reach a host with:\n  %s\nrun the installer against it with:\n  %s\n",
		filepath.Join(l.Dir(), clusterFile), sshCommand(l), strings.Join(append([]string{"go run ./examples/installer"}, installerArgs(l)...), " "))
	return err
}

// installerArgs are what examples/installer takes for the lab's hosts.
func installerArgs(l *machines.Lab) []string {
	in := func(name string) string { return filepath.Join(l.Dir(), name) }
	return []string{
		"-cluster", in(clusterFile), "-images", in(imagesFile), "-state", in(keysDir),
		"-ssh-key", l.KeyFile(), "-known-hosts", l.KnownHostsFile(),
	}
}

// showCluster prints the nodes, as the cluster itself sees them, and where its
// kubeconfig is.
func showCluster(ctx context.Context, l *machines.Lab, out io.Writer) error {
	nodes, err := l.SSH(ctx, l.Hosts()[0].Name, "kubectl --kubeconfig=/etc/kubernetes/admin.conf get nodes")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\n%s\nkubeconfig: %s\n", nodes, filepath.Join(l.Dir(), kubeconfigFile))
	return err
}

func sshCommand(l *machines.Lab) string {
	return fmt.Sprintf("ssh %s root@%s", strings.Join(l.SSHArgs(), " "), l.Hosts()[0].Address)
}

func status(_ context.Context, c command, out io.Writer) error {
	l, err := machines.Open(c.dir)
	if err != nil {
		return err
	}
	for _, h := range l.Hosts() {
		state := "off"
		if l.Running(h.Name) {
			state = "running"
		}
		if _, err := fmt.Fprintf(out, "%-10s  %-13s  %-15s  %s\n", h.Name, h.Role, h.Address, state); err != nil {
			return err
		}
	}
	return nil
}

func down(ctx context.Context, c command, _ io.Writer) error {
	return removeLab(ctx, c.dir)
}
