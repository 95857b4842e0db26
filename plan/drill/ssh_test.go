package drill_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// broken is a host on which a breaker's commands run, and what systemd and nft
// received, in this order.
type broken struct {
	*faketransport.Host
	commands []string
	nft      []string
}

const manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"

func newBroken(t *testing.T) (*broken, *drill.SSHBreaker) {
	t.Helper()
	tr := faketransport.New()
	b := &broken{Host: tr.Host("cp-1")}
	tell := func(program string) {
		b.Handle(faketransport.Prefix(program), func(_ context.Context, in faketransport.Invocation) error {
			b.commands = append(b.commands, strings.Join(in.Argv, " "))
			return nil
		})
	}
	tell("systemctl")
	tell("systemd-run")
	b.Handle(faketransport.Prefix("nft"), func(_ context.Context, in faketransport.Invocation) error {
		b.commands = append(b.commands, strings.Join(in.Argv, " "))
		text, err := io.ReadAll(in.Stdin)
		b.nft = append(b.nft, string(text))
		return err
	})
	b.Handle(faketransport.Prefix("pgrep"), func(_ context.Context, in faketransport.Invocation) error {
		if _, err := b.File(manifest); err == nil {
			return nil
		}
		return faketransport.Exit(1) // the kubelet has stopped it
	})
	require.NoError(t, b.Put(transport.File{Path: manifest, Data: transport.Bytes([]byte("kind: Pod\n"))}))
	return b, &drill.SSHBreaker{Transport: tr, VIP: drillVIP}
}

var host = drill.Host{Name: "cp-1", Address: "192.0.2.11"}

func breakOf(f drill.Fault) drill.Break {
	return drill.Break{Fault: f, Host: host, Limit: 90 * time.Second}
}

// armed runs what the timer on the host would.
func (b *broken) armed(t *testing.T, breaker *drill.SSHBreaker) {
	t.Helper()
	for _, line := range b.commands {
		if !strings.Contains(line, "--on-active=") {
			continue
		}
		_, after, ok := strings.Cut(line, " /bin/sh ")
		require.True(t, ok, line)
		words := strings.Split(after, " ")
		script, err := b.File(words[0])
		require.NoError(t, err)
		conn, err := breaker.Transport.Dial(t.Context(), "cp-1")
		require.NoError(t, err)
		_, err = transport.Output(t.Context(), conn, append([]string{"sh", "-c", string(script.Data.Bytes()), "sh"}, words[1:]...)...)
		require.NoError(t, err)
	}
}

// Every break arms its own healing first, with its limit, and what is armed heals
// as Heal does.
func TestSSHBreakerArmsFirst(t *testing.T) {
	for _, f := range []drill.Fault{drill.StopAPIServer, drill.StopKeepalived, drill.StopEtcd, drill.Partition, drill.PartitionEtcd} {
		t.Run(string(f), func(t *testing.T) {
			b, breaker := newBroken(t)
			require.NoError(t, breaker.Check(t.Context(), f, host))
			before := len(b.commands)
			require.NoError(t, breaker.Break(t.Context(), breakOf(f)))
			did := b.commands[before:]
			require.Equal(t, "systemctl stop quorate-drill-"+string(f)+".timer quorate-drill-"+string(f)+".service", did[0])
			require.Contains(t, did[1], "--on-active=90s")
			require.Contains(t, did[1], "/run/quorate-drill/"+string(f)+" heal "+string(f)+" /etc/kubernetes/manifests etcd.service")

			before = len(b.commands)
			b.armed(t, breaker)
			armed := append([]string{}, b.commands[before:]...)
			before = len(b.commands)
			require.NoError(t, breaker.Heal(t.Context(), breakOf(f)))
			healed := b.commands[before:]
			require.Equal(t, append(armed, "systemctl stop quorate-drill-"+string(f)+".timer"), healed)
			_, err := b.File(manifest)
			require.NoError(t, err, "the manifest is not back")
		})
	}
}

func TestSSHBreakerStopsTheAPIServer(t *testing.T) {
	b, breaker := newBroken(t)
	require.NoError(t, breaker.Break(t.Context(), breakOf(drill.StopAPIServer)))
	_, err := b.File(manifest)
	require.Error(t, err)
	require.NoError(t, breaker.Heal(t.Context(), breakOf(drill.StopAPIServer)))
	require.NoError(t, breaker.Heal(t.Context(), breakOf(drill.StopAPIServer)), "healing twice")
	f, err := b.File(manifest)
	require.NoError(t, err)
	require.Equal(t, "kind: Pod\n", string(f.Data.Bytes()))
}

// A partition leaves loopback and SSH, and nothing for the VIP on the link.
func TestSSHBreakerPartition(t *testing.T) {
	b, breaker := newBroken(t)
	breaker.SSHPort = 2222
	require.NoError(t, breaker.Break(t.Context(), breakOf(drill.Partition)))
	require.Len(t, b.nft, 2)
	require.Contains(t, b.nft[0], "set ssh { type inet_service; elements = { 2222 }; }")
	require.Equal(t, 3, strings.Count(b.nft[0], "policy drop;"))
	require.Contains(t, b.nft[1], "arp saddr ip 192.0.2.100 drop")
}

// What a host lacks is found before anything is broken.
func TestSSHBreakerCheck(t *testing.T) {
	b, breaker := newBroken(t)
	b.Delete(manifest)
	err := breaker.Check(t.Context(), drill.StopAPIServer, host)
	require.ErrorContains(t, err, "no "+manifest)
	b.Handle(faketransport.Prefix("systemctl", "is-active"), faketransport.Fail(3, ""))
	require.ErrorContains(t, breaker.Check(t.Context(), drill.StopKeepalived, host), "keepalived.service does not run")
	require.ErrorContains(t, breaker.Check(t.Context(), drill.FillDisk, host), "/var/lib/quorate/etcd")
}

// A reboot is over when the host has another boot ID.
func TestSSHBreakerReboot(t *testing.T) {
	b, breaker := newBroken(t)
	asked := 0
	b.Handle(faketransport.Exact("cat", "/proc/sys/kernel/random/boot_id"), func(_ context.Context, in faketransport.Invocation) error {
		asked++
		id := "one"
		if asked > 3 {
			id = "two"
		}
		_, err := io.WriteString(in.Stdout, id+"\n")
		return err
	})
	require.NoError(t, breaker.Break(t.Context(), breakOf(drill.Reboot)))
	require.Equal(t, 4, asked)
	require.Contains(t, b.commands[0], "systemctl reboot")
}
