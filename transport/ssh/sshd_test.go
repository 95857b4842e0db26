//go:build unix

package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/internal/opensshtest"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

// daemon is OpenSSH's sshd, run by the test as the current user on a loopback port.
type daemon struct {
	*opensshtest.Server
	user string
}

// startSSHD starts one with further lines of sshd_config.
func startSSHD(t *testing.T, lines ...string) *daemon {
	t.Helper()
	me, err := user.Current()
	require.NoError(t, err)
	return &daemon{opensshtest.Run(t, lines...), me.Username}
}

// connect makes a Transport that knows it as "openssh".
func (d *daemon) connect(t *testing.T, change func(*ssh.Config)) *ssh.Transport {
	t.Helper()
	return d.Transport(t, d.user, change)
}

func (d *daemon) dial(t *testing.T, change func(*ssh.Config)) transport.Conn {
	t.Helper()
	conn, err := d.connect(t, change).Dial(t.Context(), "openssh")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// SSH passes the suite against OpenSSH's sshd.
func TestRealOpenSSH(t *testing.T) {
	tier.Host(t)
	tr := startSSHD(t).connect(t, nil)
	transporttest.Run(t, transporttest.Harness{Transport: tr, Host: "openssh", Dir: t.TempDir()})
}

// sshd frees a session after the client has learned of its end, and refuses one
// until then.
func TestRealSessions(t *testing.T) {
	tier.Host(t)
	for name, c := range map[string]struct{ granted, used, atOnce, times int }{
		"one": {1, 1, 1, 30}, "one, several used": {1, 8, 8, 1}, "as many as are used": {8, 8, 16, 2}, "defaults": {10, 0, 16, 3},
	} {
		t.Run(name, func(t *testing.T) {
			conn := startSSHD(t, fmt.Sprintf("MaxSessions %d", c.granted)).dial(t, func(cfg *ssh.Config) { cfg.Sessions = c.used })
			for range c.times {
				var all sync.WaitGroup
				for range c.atOnce {
					all.Go(func() {
						if _, err := transport.Output(t.Context(), conn, "true"); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
			}
		})
	}
}

// Of eight commands that are cancelled at once none survives, whatever MaxSessions is;
// as root, to whose commands sshd delivers no signals.
func TestRealCancelledTogether(t *testing.T) {
	tier.Host(t)
	for _, granted := range []int{10, 8, 4, 1} {
		t.Run(fmt.Sprint(granted), func(t *testing.T) {
			conn := startSSHD(t, fmt.Sprintf("MaxSessions %d", granted)).dial(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			pids, ended := sleepers(ctx, t, conn, min(8, granted))
			var waiting sync.WaitGroup
			for range 8 - len(pids) {
				waiting.Go(func() {
					err := conn.Run(ctx, transport.Cmd{Argv: []string{"sleep", "600"}})
					require.ErrorIs(t, err, context.Canceled)
				})
			}
			cancel()
			waiting.Wait()
			for _, err := range ended() {
				var running *transport.StillRunningError
				require.ErrorIs(t, err, context.Canceled)
				require.False(t, errors.As(err, &running), err)
			}
			requireGone(t, pids)
		})
	}
}

// ssh and this package know the same hosts by the same known_hosts files.
func TestRealKnownHosts(t *testing.T) {
	tier.Host(t)
	client := tier.Program(t, "ssh")
	d := startSSHD(t)
	other := strings.TrimSpace(string(xssh.MarshalAuthorizedKey(opensshtest.WriteKey(t, d.Dir+"/other"))))
	own := strings.TrimSpace(string(xssh.MarshalAuthorizedKey(d.HostKey)))
	port := fmt.Sprint(d.Port)
	for name, line := range map[string]string{
		"with its port": "[localhost]:PORT KEY", "without": "localhost KEY", "another port": "[localhost]:1 KEY", "upper case": "[LocalHost]:PORT KEY",
		"another with the port": "[localhost]:PORT OTHER\nlocalhost KEY", "another without": "[localhost]:PORT KEY\nlocalhost OTHER",
		"a star": "* KEY", "a star before the port": "local* KEY", "a star for ports": "[local*]:* KEY", "question marks": "[l????host]:PORT KEY",
		"negated": "*,![localhost]:PORT KEY", "negated both ways": "*,![localhost]:PORT,!localhost KEY", "a list": "a,[localhost]:PORT KEY",
		"hashed": knownhosts.HashHostname("[localhost]:"+port) + " KEY", "hashed without": knownhosts.HashHostname("localhost") + " KEY",
		"unreadable, another host's": "elsewhere ssh-ed25519 !!!\n[localhost]:PORT KEY", "unreadable, its own": "[localhost]:PORT ssh-ed25519 !!!\n[localhost]:PORT KEY",
		"cut short": "elsewhere\n[localhost]:PORT KEY", "an unknown marker": "@nonsense * KEY", "a bad hash": "|1|x|y KEY\n[localhost]:PORT KEY",
		"two keys": "[localhost]:PORT OTHER\n[localhost]:PORT KEY", "revoked": "[localhost]:PORT KEY\n@revoked * KEY", "nothing": "elsewhere KEY",
	} {
		for _, host := range []string{"localhost", "LOCALHOST"} {
			t.Run(name+", "+host, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "known_hosts")
				put(t, file, strings.NewReplacer("KEY", own, "OTHER", other, "PORT", port).Replace(line)+"\n")
				cmd := exec.CommandContext(t.Context(), client, "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+file,
					"-o", "GlobalKnownHostsFile=none", "-o", "IdentitiesOnly=yes", "-4", "-i", d.Dir+"/client_key", "-p", port, host, "true")
				said, sshErr := cmd.CombinedOutput()
				tr := d.connect(t, func(c *ssh.Config) {
					c.Targets["openssh"] = ssh.Target{Addr: host, Port: d.Port, User: d.user}
					c.HostKeys = ssh.HostKeys{KnownHostsFiles: []string{file}}
					c.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
						return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+port)
					}
				})
				_, err := tr.Dial(t.Context(), "openssh")
				require.Equal(t, sshErr == nil, err == nil, "ssh: %v, %s\nwe: %v", sshErr, said, err)
			})
		}
	}
}

// What sshd and ssh-agent make of eleven keys, of two factors, of certificates and
// of keys as ssh-keygen writes them.
func TestRealLogins(t *testing.T) {
	tier.Host(t)
	keygen, agentProgram, add := tier.Program(t, "ssh-keygen"), tier.Program(t, "ssh-agent"), tier.Program(t, "ssh-add")
	run := func(t *testing.T, env []string, program string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = append(os.Environ(), env...)
		said, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", said)
	}
	t.Run("eleven keys", func(t *testing.T) {
		d := startSSHD(t)
		socket := filepath.Join(d.Dir, "agent")
		agent := exec.CommandContext(t.Context(), agentProgram, "-D", "-a", socket)
		require.NoError(t, agent.Start())
		t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
		require.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, patient, 10*time.Millisecond)
		for i := range 10 {
			path := fmt.Sprintf("%s/stranger%d", d.Dir, i)
			opensshtest.WriteKey(t, path)
			run(t, []string{"SSH_AUTH_SOCK=" + socket}, add, path)
		}
		run(t, []string{"SSH_AUTH_SOCK=" + socket}, add, d.Dir+"/client_key")
		_, err := d.connect(t, func(c *ssh.Config) { c.Auth = ssh.Auth{AgentSocket: socket} }).Dial(t.Context(), "openssh")
		e := refused(t, err)
		require.ErrorContains(t, e.Err, "Too many authentication failures")
		require.ErrorContains(t, err, "IdentitiesOnly")
		line, err := os.ReadFile(d.Dir + "/authorized_keys")
		require.NoError(t, err)
		d.dial(t, func(c *ssh.Config) { c.Auth = ssh.Auth{AgentSocket: socket, Identities: []string{string(line)}} })
		d.dial(t, func(c *ssh.Config) { c.Auth.AgentSocket = socket })
	})
	t.Run("two keys", func(t *testing.T) {
		d := startSSHD(t, "AuthenticationMethods publickey,publickey")
		second := opensshtest.WriteKey(t, d.Dir+"/second")
		keys, err := os.ReadFile(d.Dir + "/authorized_keys")
		require.NoError(t, err)
		put(t, d.Dir+"/authorized_keys", string(keys)+string(xssh.MarshalAuthorizedKey(second)))
		d.dial(t, func(c *ssh.Config) { c.Auth.KeyFiles = append(c.Auth.KeyFiles, d.Dir+"/second") })
		_, err = d.connect(t, nil).Dial(t.Context(), "openssh")
		require.Equal(t, []string{"publickey"}, refused(t, err).Accepted)
	})
	t.Run("a user's certificate", func(t *testing.T) {
		d := startSSHD(t, "TrustedUserCAKeys DIR/ca.pub")
		run(t, nil, keygen, "-q", "-t", "ed25519", "-N", "", "-f", d.Dir+"/ca")
		run(t, nil, keygen, "-q", "-t", "ed25519", "-N", "", "-f", d.Dir+"/user")
		_, err := d.connect(t, func(c *ssh.Config) { c.Auth.KeyFiles = []string{d.Dir + "/user"} }).Dial(t.Context(), "openssh")
		_ = refused(t, err)
		run(t, nil, keygen, "-q", "-s", d.Dir+"/ca", "-I", "me", "-n", d.user, d.Dir+"/user.pub")
		d.dial(t, func(c *ssh.Config) { c.Auth.KeyFiles = []string{d.Dir + "/user"} })
	})
	t.Run("a host's certificate", func(t *testing.T) {
		for names, good := range map[string]bool{"127.0.0.1": true, "127.0.0.*": true, "elsewhere": false, "": false} {
			dir := t.TempDir()
			run(t, nil, keygen, "-q", "-t", "ed25519", "-N", "", "-f", dir+"/ca")
			run(t, nil, keygen, "-q", "-t", "ed25519", "-N", "", "-f", dir+"/host")
			sign := []string{"-q", "-s", dir + "/ca", "-I", "host", "-h"}
			if names != "" {
				sign = append(sign, "-n", names)
			}
			run(t, nil, keygen, append(sign, dir+"/host.pub")...)
			d := startSSHD(t, "HostKey "+dir+"/host", "HostCertificate "+dir+"/host-cert.pub")
			ca, err := os.ReadFile(dir + "/ca.pub")
			require.NoError(t, err)
			_, err = d.connect(t, func(c *ssh.Config) { c.HostKeys = ssh.HostKeys{Authorities: []string{string(ca)}} }).Dial(t.Context(), "openssh")
			if good {
				require.NoError(t, err)
			} else {
				reason(t, err, transport.HostKey)
			}
		}
	})
	t.Run("keys as ssh-keygen writes them", func(t *testing.T) {
		d := startSSHD(t)
		for _, c := range [][]string{
			{"-t", "rsa", "-b", "2048", "-m", "PKCS8"}, {"-t", "ecdsa", "-m", "PKCS8"}, {"-t", "rsa", "-b", "2048", "-m", "PEM"},
			{"-t", "ed25519"}, {"-t", "ecdsa", "-b", "521"},
		} {
			path := filepath.Join(t.TempDir(), "key")
			run(t, nil, keygen, append([]string{"-q", "-N", "PASSPHRASE", "-f", path}, c...)...)
			public, err := os.ReadFile(path + ".pub")
			require.NoError(t, err)
			put(t, d.Dir+"/authorized_keys", string(public))
			d.dial(t, func(c *ssh.Config) {
				c.Auth = ssh.Auth{KeyFiles: []string{path}, Passphrase: func(string) (transport.Data, error) { return transport.Bytes([]byte("PASSPHRASE")), nil }}
			})
		}
	})
	t.Run("a user without a shell for commands", func(t *testing.T) {
		d := startSSHD(t, "ForceCommand echo go away >&2; exit 0")
		err := d.dial(t, nil).Run(t.Context(), transport.Cmd{Argv: []string{"true"}})
		var not *transport.NotStartedError
		require.ErrorAs(t, err, &not)
		require.Contains(t, not.Said, "go away")
	})
	t.Run("a session and no more", func(t *testing.T) {
		d := startSSHD(t, "MaxSessions 0")
		err := d.dial(t, nil).Run(t.Context(), transport.Cmd{Argv: []string{"true"}})
		reason(t, err, transport.Refused)
	})
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
