package ha_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// These tests look for every secret of a cluster in everything that the SDK
// can be made to say about it.

// traces finds secrets in text, in any form that fmt or an encoder would print
// them. It maps the first bytes of each trace to the traces that begin so.
type traces map[string][]secretTrace

type secretTrace struct{ text, of string }

// traceHead is the length of the shortest secret, keepalived's password.
const traceHead = 8

func (t traces) add(of, text string) {
	key := text[:traceHead]
	t[key] = append(t[key], secretTrace{text, of})
}

// addBytes adds bytes as text and as fmt's and encoding/json's numbers.
func (t traces) addBytes(of, secret string) {
	spaced := strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]")
	t.add(of, secret)
	t.add(of+" in hexadecimal", fmt.Sprintf("%x", secret))
	t.add(of+" in upper-case hexadecimal", fmt.Sprintf("%X", secret))
	t.add(of+" in decimal", spaced)
	t.add(of+" as JSON numbers", strings.ReplaceAll(spaced, " ", ","))
	t.add(of+" in Go's syntax", strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(secret)), "[]byte{"), "}"))
}

// addNumber adds a private key's secret number, as math/big and as fmt print it.
func (t traces) addNumber(of string, key any) error {
	var d *big.Int
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		b, err := key.Bytes()
		if err != nil {
			return err
		}
		d = new(big.Int).SetBytes(b)
	case *rsa.PrivateKey:
		d = key.D
	default:
		return fmt.Errorf("%s: key of type %T", of, key)
	}
	t.add(of+"'s number", d.String())
	t.add(of+"'s number in hexadecimal", d.Text(16))
	t.add(of+"'s number in upper-case hexadecimal", strings.ToUpper(d.Text(16)))
	t.add(of+"'s number in words", strings.Trim(fmt.Sprint(d.Bits()), "[]"))
	return nil
}

// addPEM adds the lines of a private key's body, and its number.
func (t traces) addPEM(of string, text []byte) error {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); len(line) >= 24 && !strings.HasPrefix(line, "-----") {
			t.addBytes(of, line)
		}
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s: no PEM", of)
	}
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return err
	}
	return t.addNumber(of, key)
}

// find returns the first secret that a text shows, "" if it shows none.
func (t traces) find(text string) string {
	for i := 0; i+traceHead <= len(text); i++ {
		for _, trace := range t[text[i:i+traceHead]] {
			if strings.HasPrefix(text[i:], trace.text) {
				return trace.of
			}
		}
	}
	return ""
}

// operatorKey is the operator's key for etcd.
func operatorKey(t *testing.T, cfg ha.Config) any {
	t.Helper()
	client, err := cfg.Certs.EtcdClient(t.Context())
	require.NoError(t, err)
	pair, err := client.GetClientCertificate(&tls.CertificateRequestInfo{})
	require.NoError(t, err)
	return pair.PrivateKey
}

// secretsOf collects every secret that goes into a recipe or comes out of it.
func secretsOf(t *testing.T, cfg ha.Config) traces {
	t.Helper()
	all := traces{}
	token := string(cfg.Kubeadm.Token.Bytes())
	_, tokenSecret, _ := strings.Cut(token, ".")
	all.addBytes("the token", token)
	all.addBytes("the token's secret part", tokenSecret)
	all.addBytes("keepalived's password", string(cfg.VIPAuth.Bytes()))
	for _, m := range cfg.Manifests {
		if m.Content.IsSensitive() {
			all.addBytes("manifest "+m.Name, string(m.Content.Bytes()))
		}
	}
	require.NoError(t, all.addNumber("the operator's key", operatorKey(t, cfg)))

	hosts, err := filesFor(cfg)
	require.NoError(t, err)
	hosts["the operator"] = cfg.Certs.(*pki.Bundle).Store()
	for name, files := range hosts {
		for _, f := range files {
			if !f.Content.IsSensitive() {
				continue
			}
			of, text := name+":"+f.Path, f.Content.Bytes()
			if bytes.Contains(text, []byte("PRIVATE KEY")) {
				require.NoError(t, all.addPEM(of, text))
			}
			all.add(of+" in base64", base64.StdEncoding.EncodeToString(text)[:40])
			require.NotEmpty(t, all.find(string(text)), "%s is sensitive and none of its secrets is looked for", of)
		}
	}
	return all
}

// behind holds a value where fmt cannot call its methods.
type behind struct{ inner any }

// assertHidden looks at every form of a value, and of values that hold it.
func (t traces) assertHidden(tb testing.TB, name string, value any) {
	tb.Helper()
	held := map[string]any{
		"": value, " in a field": behind{value}, " in a pointer to a field": &behind{value},
		" in a slice": []any{value}, " in a map": map[string]any{"x": value}, " in a pointer": &value,
	}
	for where, v := range held {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			t.assertText(tb, name+where+" by "+verb, fmt.Sprintf(verb, v))
		}
		text, err := json.Marshal(v)
		t.assertText(tb, name+where+" as JSON", string(text)+fmt.Sprint(err))
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", v)
		t.assertText(tb, name+where+" by slog", log.String())
	}
}

func (t traces) assertText(tb testing.TB, name, text string) {
	tb.Helper()
	if of := t.find(text); of != "" {
		tb.Errorf("%s shows %s", name, of)
	}
}

// secretConfig uses every place of a recipe that takes a secret.
func secretConfig(t *testing.T, c quorate.Cluster) ha.Config {
	t.Helper()
	cfg := config(t, c)
	cfg.Manifests = []ha.Manifest{{Name: "secret", Content: quorate.Sensitive([]byte("kind: Secret # aPlantedMarker"))}}
	cfg.Untaint = true
	return cfg
}

// The search must find a secret in each form, or its silence means nothing.
func TestSecretSearchFindsEncodings(t *testing.T) {
	cfg := secretConfig(t, hafixture.Three())
	all := secretsOf(t, cfg)
	type leaky struct{ B []byte }
	for name, secret := range map[string][]byte{"token": cfg.Kubeadm.Token.Bytes(), "password": cfg.VIPAuth.Bytes()} {
		for _, verb := range []string{"%s", "%q", "%v", "%#v", "%x", "%X", "%d"} {
			require.NotEmpty(t, all.find("some "+fmt.Sprintf(verb, secret)+" text"), name+" "+verb)
		}
		require.NotEmpty(t, all.find(fmt.Sprintf("%+v", leaky{secret})), name)
	}
	files, err := filesFor(cfg)
	require.NoError(t, err)
	for _, f := range files["cp-1"] {
		if f.Content.IsSensitive() {
			text, err := json.Marshal(leaky{f.Content.Bytes()})
			require.NoError(t, err)
			require.NotEmpty(t, all.find(string(text)), f.Path)
		}
	}
	require.NotEmpty(t, all.find(fmt.Sprintf("%+v", *operatorKey(t, cfg).(*ecdsa.PrivateKey).D))) //nolint:staticcheck // what fmt would print
	require.Empty(t, all.find("nothing secret here, nor in 192.0.2.10 or sha256:0123456789abcdef"))
}

// No form of what goes into a recipe, of the plan, of any step or action, or
// of what comes out, shows a secret.
func TestValuesHideSecrets(t *testing.T) {
	cfg := secretConfig(t, hafixture.Three())
	all := secretsOf(t, cfg)
	p, err := planFor(cfg)
	require.NoError(t, err)
	files, err := filesFor(cfg)
	require.NoError(t, err)
	for name, v := range map[string]any{
		"HAConfig": cfg, "pointer to HAConfig": &cfg, "Certs": cfg.Certs, "Secrets": cfg.Kubeadm,
		"token": cfg.Kubeadm.Token, "password": cfg.VIPAuth, "Plan": p, "Plan by value": *p, "Files": files,
	} {
		all.assertHidden(t, name, v)
	}
	for _, s := range p.Steps() {
		all.assertHidden(t, "step "+string(s.ID), s)
		all.assertHidden(t, "action of "+string(s.ID), s.Action)
	}
	for host, list := range files {
		for _, f := range list {
			written := transport.File{Path: f.Path, Mode: f.Mode, Data: transport.Bytes(f.Content.Bytes())}
			if !f.Content.IsSensitive() {
				continue
			}
			all.assertHidden(t, host+":"+f.Path, f)
			all.assertHidden(t, host+":"+f.Path+" on its way", written)
		}
	}
}

// said is everything that a run says.
type said struct {
	log    bytes.Buffer
	events []plan.Event
}

func (s *said) observe(e plan.Event) {
	s.events = append(s.events, e)
	events.NewWriter(&s.log).Observe(e)
	events.LogTo(slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})))(e)
	events.LogTo(slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})))(e)
}

// assertQuietRun runs a plan and looks at all that is said of it, also at what
// the hosts ran: arguments are there for every user to read.
func (t traces) assertQuietRun(ctx context.Context, tb testing.TB, name string, hosts *hatest.Cluster, cfg ha.Config, p *plan.Plan, dry bool) (*said, error) {
	tb.Helper()
	var s said
	sum, err := (&plan.Runner{Transport: hosts, DryRun: dry, Observe: s.observe}).Run(ctx, p)
	if dry {
		pv, err := (&plan.Runner{Transport: hosts, Observe: s.observe}).Preview(ctx, p)
		t.assertErrors(tb, name+": preview", err)
		t.assertHidden(tb, name+": the preview", pv)
		for _, text := range []string{pv.Text(), string(pv.JSON()), pv.Mermaid(), pv.DOT()} {
			t.assertText(tb, name+": the preview", text)
		}
	}
	t.assertHidden(tb, name+": the summary", sum)
	report, preflightErr := preflightFor(ctx, cfg, preflight.Config{Transport: hosts})
	t.assertErrors(tb, name+": the preflight", preflightErr)
	if report != nil {
		t.assertErrors(tb, name+": the preflight", report.Err())
		t.assertHidden(tb, name+": the preflight", report)
		t.assertText(tb, name+": the preflight", report.Text()+string(report.JSON()))
	}
	for i, e := range s.events {
		t.assertHidden(tb, fmt.Sprintf("%s: event %d (%s %s)", name, i, e.Kind, e.Step), e)
	}
	t.assertText(tb, name+": the log", s.log.String())
	t.assertErrors(tb, name, err)
	for _, call := range hosts.Calls() {
		t.assertText(tb, name+": the hosts' commands", fmt.Sprintf("%q %+v %+v", call.Op.Argv, call, call.Err))
	}
	return &s, err
}

// assertErrors looks at an error and all that it wraps.
func (t traces) assertErrors(tb testing.TB, name string, err error) {
	tb.Helper()
	if err == nil {
		return
	}
	t.assertHidden(tb, fmt.Sprintf("%s: %T", name, err), err)
	t.assertText(tb, fmt.Sprintf("%s: %T", name, err), err.Error())
	switch e := err.(type) { //nolint:errorlint // walks the whole tree itself
	case interface{ Unwrap() error }:
		t.assertErrors(tb, name, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			t.assertErrors(tb, name, inner)
		}
	}
}

// No run shows a secret: dry, real, repeated, over files that somebody has
// changed.
func TestRunsHideSecrets(t *testing.T) {
	t.Parallel()
	cfg := secretConfig(t, hafixture.Three())
	all := secretsOf(t, cfg)
	hosts := fakeCluster(t, cfg.Cluster)
	p, err := planFor(cfg)
	require.NoError(t, err)
	for _, run := range []struct {
		name string
		dry  bool
	}{{"dry run", true}, {"run", false}, {"second run", false}} {
		_, err := all.assertQuietRun(t.Context(), t, run.name, hosts, cfg, p, run.dry)
		require.NoError(t, err, run.name)
	}
	other := transport.Bytes([]byte("another"))
	require.NoError(t, hosts.Host("cp-2").Put(
		transport.File{Path: "/etc/etcd/pki/server.key", Mode: 0o644, Data: other},
		transport.File{Path: "/etc/keepalived/keepalived.conf", Mode: 0o644, Data: other},
		transport.File{Path: "/etc/kubernetes/pki/ca.key", Mode: 0o644, Data: other},
	))
	s, err := all.assertQuietRun(t.Context(), t, "dry run over changed files", hosts, cfg, p, true)
	require.NoError(t, err)
	for _, path := range []string{"/etc/etcd/pki/server.key", "/etc/keepalived/keepalived.conf", "/etc/kubernetes/pki/ca.key"} {
		require.Contains(t, s.log.String(), "update "+path, "the test has changed nothing")
	}
	_, err = all.assertQuietRun(t.Context(), t, "run over changed files", hosts, cfg, p, false)
	require.NoError(t, err)
	for name, o := range map[string]ha.ResetConfig{"reset of a node": {Nodes: []string{"cp-2"}}, "reset of all": {WholeCluster: true}} {
		reset, err := resetFor(cfg, o)
		require.NoError(t, err)
		all.assertHidden(t, name, reset)
		for _, dry := range []bool{true, false} {
			_, err = all.assertQuietRun(t.Context(), t, fmt.Sprint(name, dry), hosts, cfg, reset, dry)
			require.NoError(t, err)
		}
		_, err = all.assertQuietRun(t.Context(), t, name+" undone", hosts, cfg, p, false)
		require.NoError(t, err)
	}
}

// No failure shows a secret, whichever way a host fails.
func TestFailuresHideSecrets(t *testing.T) {
	cfg := inBubble(t, secretConfig(t, hafixture.Three()))
	all := secretsOf(t, cfg)
	p, err := planFor(cfg)
	require.NoError(t, err)
	writing := func(path string) func(faketransport.Op) bool {
		return func(op faketransport.Op) bool {
			for _, f := range op.Files {
				if op.Kind == faketransport.Write && f.Path == path {
					return true
				}
			}
			return false
		}
	}
	broken := errors.New("input/output error")
	for name, fail := range tier.Samples(map[string]func(h *faketransport.Host){
		"kubeadm init fails": func(h *faketransport.Host) {
			h.Handle(faketransport.Prefix("kubeadm", "init"), faketransport.Fail(1, "timed out waiting for the condition\n"))
		},
		"kubeadm join is killed": func(h *faketransport.Host) {
			h.Handle(faketransport.Prefix("kubeadm", "join"), func(context.Context, faketransport.Invocation) error {
				return &transport.ExitError{Code: -1, Signal: "KILL"}
			})
		},
		"a unit does not start": func(h *faketransport.Host) {
			h.Handle(faketransport.Prefix("systemctl", "start"), faketransport.Fail(1, "Job for etcd.service failed.\n"))
		},
		"a program is missing": func(h *faketransport.Host) {
			h.Handle(faketransport.Prefix("kubeadm"), faketransport.Fail(127, "kubeadm: not found\n"))
		},
		"a manifest is refused": func(h *faketransport.Host) {
			h.Handle(faketransport.Prefix("kubectl"), faketransport.Fail(1, "error: unable to recognize\n"))
		},
		"a key cannot be written": func(h *faketransport.Host) {
			h.Inject(faketransport.Fault{On: writing("/etc/etcd/pki/server.key"), Before: faketransport.Fails(broken)})
		},
		"some files of several are written": func(h *faketransport.Host) {
			h.Inject(faketransport.Fault{On: writing("/etc/kubernetes/pki/ca.key"), Files: 2, Before: faketransport.Fails(broken)})
		},
		"the disk is full": func(h *faketransport.Host) { h.Limit("/etc", 2000) },
		"the connection is lost": func(h *faketransport.Host) {
			h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Write), Before: faketransport.Reset})
		},
		"the connection is lost afterwards": func(h *faketransport.Host) {
			h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Write), After: faketransport.ResetAfter})
		},
		"a write hangs": func(h *faketransport.Host) {
			h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Write), Before: faketransport.Hang})
		},
		"there is no tunnel": func(h *faketransport.Host) {
			h.Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Tunnel), Before: faketransport.Fails(broken)})
		},
		"the host is down": func(h *faketransport.Host) { h.SetDown(true) },
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Test(t, func(t *testing.T) {
				hosts := fakeCluster(t, cfg.Cluster)
				for _, n := range cfg.Cluster.Nodes {
					fail(hosts.Host(n.Name))
				}
				_, err := all.assertQuietRun(t.Context(), t, name, hosts, cfg, p, false)
				require.Error(t, err)
				_, _ = all.assertQuietRun(t.Context(), t, name+", dry", hosts, cfg, p, true) // it may well find nothing wrong
			})
		})
	}
}

// A secret of a wrong form is refused without being quoted.
func TestRefusalsHideSecrets(t *testing.T) {
	const bad = "aPlantedMarkerOfNoForm"
	all := traces{}
	all.addBytes("the marker", bad)
	good := secretConfig(t, hafixture.Three())
	for name, spoil := range map[string]func(*ha.Config){
		"token":        func(c *ha.Config) { c.Kubeadm.Token = quorate.Sensitive([]byte(bad)) },
		"public token": func(c *ha.Config) { c.Kubeadm.Token = quorate.Public([]byte(bad)) },
		"key":          func(c *ha.Config) { c.Kubeadm.CertificateKey = quorate.Sensitive([]byte(bad)) },
		"password":     func(c *ha.Config) { c.VIPAuth = quorate.Sensitive([]byte(bad)) },
		"manifest": func(c *ha.Config) {
			c.Manifests = []ha.Manifest{{Content: quorate.Sensitive([]byte(bad))}}
		},
	} {
		cfg := good
		spoil(&cfg)
		_, err := planFor(cfg)
		require.Error(t, err, name)
		all.assertErrors(t, name, err)
		_, err = filesFor(cfg)
		require.Error(t, err, name)
		all.assertErrors(t, name, err)
	}
	_, err := kubeadm.ParseToken(bad)
	all.assertErrors(t, "ParseToken", err)
}

// The administrator's kubeconfig is a secret from the moment it is read.
func TestKubeconfigIsSensitive(t *testing.T) {
	const marker = "aPlantedClientKey"
	all := traces{}
	all.addBytes("the kubeconfig", marker)
	hosts := fakeCluster(t, hafixture.Three())
	f := adminConf()
	f.Data = transport.Bytes([]byte(marker))
	require.NoError(t, hosts.Host("cp-3").Put(f))
	got, err := ha.Kubeconfig(t.Context(), ha.KubeconfigConfig{Transport: hosts, Cluster: hafixture.Three()})
	require.NoError(t, err)
	require.Equal(t, marker, string(got.Bytes()))
	require.True(t, got.IsSensitive())
	all.assertHidden(t, "kubeconfig", got)
}
