package ha_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// previewed is a recipe with a manifest, and the hosts it is for.
func previewed(t *testing.T) (ha.Config, *hatest.Cluster, *plan.Plan) {
	t.Helper()
	cfg := secretConfig(t, hafixture.Three())
	p, err := planFor(cfg)
	require.NoError(t, err)
	return cfg, fakeCluster(t, cfg.Cluster), p
}

func previewOf(t *testing.T, pv *plan.Preview, id plan.ID) plan.StepPreview {
	t.Helper()
	for _, s := range pv.Steps {
		if s.Step == id {
			return s
		}
	}
	require.Fail(t, "no step "+string(id))
	return plan.StepPreview{}
}

// hexDigest is what depends on keys, which are new in every test; dialled is what
// gRPC says of members that are not there, and depends on how soon it gives up.
var (
	hexDigest = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	dialled   = regexp.MustCompile(`(ask for its status: ).*?(\)\n|",?\n)`)
)

func stable(text string) string {
	return dialled.ReplaceAllString(hexDigest.ReplaceAllString(text, "DIGEST"), "${1}...$2")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = stable(got)
	path := filepath.Join("testdata", name)
	if *fixture.Update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), got), name)
}

// drift is what somebody has done to a host in the meantime: to a public file,
// to a secret one, to a file's mode.
func drift(t *testing.T, hosts *hatest.Cluster) {
	t.Helper()
	cp2 := hosts.Host("cp-2")
	sysctl, err := cp2.File("/etc/sysctl.d/99-quorate.conf")
	require.NoError(t, err)
	text := strings.Replace(string(sysctl.Data.Bytes()), "= 1", "= 0", 1) + "# by hand\n"
	sysctl.Data = transport.Bytes([]byte(text))
	key, err := cp2.File("/etc/etcd/pki/server.key")
	require.NoError(t, err)
	key.Data = transport.Bytes([]byte("aHandMadeKey"))
	mode, err := hosts.Host("cp-3").File("/etc/keepalived/keepalived.conf")
	require.NoError(t, err)
	mode.Mode = 0o644
	require.NoError(t, cp2.Put(sysctl, key))
	require.NoError(t, hosts.Host("cp-3").Put(mode))
}

func TestPreviewRenderings(t *testing.T) {
	cfg, hosts, p := previewed(t)
	all := secretsOf(t, cfg)
	all.addBytes("the key by hand", "aHandMadeKey")
	look := func(name string, p *plan.Plan) {
		pv := fixture.Preview(t, hosts, p)
		for ext, text := range map[string]string{
			"txt": pv.Text(), "json": string(pv.JSON()), "mmd": pv.Mermaid(), "dot": pv.DOT(),
		} {
			golden(t, filepath.Join("preview", name+"."+ext), text)
			all.assertText(t, name+"."+ext, text)
		}
		all.assertHidden(t, "the preview "+name, pv)
		back, err := plan.ParsePreview(pv.JSON())
		require.NoError(t, err)
		require.Equal(t, pv.JSON(), back.JSON())
		require.Equal(t, stable(string(pv.JSON())), stable(string(fixture.Preview(t, hosts, p).JSON())), "the same hosts, another preview")
	}
	look("fresh", p)
	_, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, fixture.Preview(t, hosts, p).JSON(), fixture.Preview(t, hosts, p).JSON())
	golden(t, "preview/converged.txt", fixture.Preview(t, hosts, p).Text())
	drift(t, hosts)
	look("drifted", p)

	// Another description: a file of etcd's is another, and etcd restarts.
	cfg.Cluster.Etcd.QuotaBytes = 4 << 30
	changed, err := planFor(cfg)
	require.NoError(t, err)
	look("changed", changed)
}

// A preview writes nothing, and reads from a host little more than a dry run: of a
// step that would replace files, their present content, all at once.
func TestRoundTripsOfAPreview(t *testing.T) {
	_, hosts, p := previewed(t)
	runner := plan.Runner{Transport: hosts}
	_, err := runner.Run(t.Context(), p)
	require.NoError(t, err)
	for _, name := range []string{"/etc/etcd/etcd.env", "/etc/systemd/system/etcd.service", "/etc/sysctl.d/99-quorate.conf"} {
		f, err := hosts.Host("cp-1").File(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		f.Data = transport.Bytes([]byte("another\n"))
		require.NoError(t, hosts.Host("cp-1").Put(f))
	}
	dry := plan.Runner{Transport: hosts, DryRun: true}
	sum, err := dry.Run(t.Context(), p)
	require.NoError(t, err)
	from := len(hosts.Calls())
	pv := fixture.Preview(t, hosts, p)
	require.Equal(t, sum.RoundTrips["cp-1"]+2, pv.RoundTrips["cp-1"], "etcd's files and the kernel's")
	require.Equal(t, sum.RoundTrips["cp-2"], pv.RoundTrips["cp-2"])
	for _, call := range hosts.Calls()[from:] {
		require.NotContains(t, []faketransport.Kind{faketransport.Write, faketransport.Upload, faketransport.Remove}, call.Op.Kind)
	}
}

// One step's files are shown by what would be written and by what is there.
func TestDiffOfAFile(t *testing.T) {
	const mine, yours = "aSecretOfMine", "aSecretOfYours"
	all := traces{}
	all.addBytes("what would be written", mine)
	all.addBytes("what is there", yours)
	public := func(s string) quorate.Content { return quorate.Public([]byte(s)) }
	for name, tt := range map[string]struct {
		want   quorate.File
		found  *transport.File
		text   string
		hidden string
	}{
		"a new text": {quorate.File{Content: public("a\n")}, nil, "@@ -0,0 +1 @@\n+a\n", ""},
		"a text": {quorate.File{Content: public("a\nb\n")}, &transport.File{Mode: 0o644, Data: transport.Bytes([]byte("a\nc\n"))},
			"@@ -1,2 +1,2 @@\n a\n-c\n+b\n", ""},
		"a new secret":              {quorate.File{Content: quorate.Sensitive([]byte(mine))}, nil, "", "secret"},
		"a secret in place of text": {quorate.File{Content: quorate.Sensitive([]byte(mine))}, &transport.File{Mode: 0o644}, "", "secret"},
		"text in place of a secret": {quorate.File{Mode: 0o644, Content: public("a\n")}, &transport.File{Mode: 0o640, Data: transport.Bytes([]byte(yours))},
			"", "what is there is not for everyone to read: mode 0640"},
		"text in place of a key": {quorate.File{Mode: 0o644, Content: public("a\n")},
			&transport.File{Mode: 0o644, Data: transport.Bytes([]byte("-----BEGIN PRIVATE KEY-----\n" + yours))}, "", "PEM"},
		"binary":              {quorate.File{Content: public("\x7fELF\x00")}, nil, "", "binary"},
		"text in its place":   {quorate.File{Content: public("a\n")}, &transport.File{Mode: 0o644, Data: transport.Bytes([]byte{0xff, 0})}, "", "binary"},
		"a large text":        {quorate.File{Content: public(strings.Repeat("a\n", 33<<10))}, nil, "", "more than 64 KiB"},
		"a text for a large":  {quorate.File{Content: public("a\n")}, &transport.File{Mode: 0o644, Data: transport.Bytes(make([]byte, 65<<10))}, "", "more than 64 KiB"},
		"only the mode":       {quorate.File{Mode: 0o644, Content: public("a\n")}, &transport.File{Mode: 0o600, Data: transport.Bytes([]byte("a\n"))}, "", ""},
		"a secret, as listed": {quorate.File{Content: public("password aSecretOfMine\n")}, nil, "@@ -0,0 +1 @@\n+password [sensitive]\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr, h := fixture.FakeHost(t)
			tt.want.Path = "/etc/f"
			if tt.found != nil {
				tt.found.Path = "/etc/f"
				require.NoError(t, h.Put(*tt.found))
			}
			p := fixture.MustPlan(t, plan.Step{ID: "f", Host: "cp-1", Action: plan.Deploy{Files: []quorate.File{tt.want}}})
			p = p.WithSecrets(quorate.Sensitive([]byte(mine)))
			pv := fixture.Preview(t, tr, p)
			changes := pv.Steps[0].Changes
			require.Len(t, changes, 1)
			require.Equal(t, tt.text, changes[0].Text)
			require.Equal(t, tt.hidden, changes[0].Hidden)
			all.assertHidden(t, name, pv)
			all.assertText(t, name, pv.Text()+string(pv.JSON()))
		})
	}
}

// A preview of hosts that fail is still a preview, with the failure in it.
func TestFailedPreview(t *testing.T) {
	t.Parallel()
	bubble.Test(t, func(t *testing.T) {
		_, hosts, p := previewed(t)
		hosts.Host("cp-2").SetDown(true)
		runner := plan.Runner{Transport: hosts}
		pv, err := runner.Preview(t.Context(), p)
		var failed *plan.RunError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, plan.Failed, previewOf(t, pv, "facts/cp-2").Outcome)
		require.Contains(t, pv.Text(), "x facts/cp-2: read what the host says of itself\n      failed: connect: ")
		require.Equal(t, plan.NotReached, previewOf(t, pv, "init/cp-1").Outcome)
	})
}

// The fields of the JSON are promised: a new one is added here, none goes.
func TestPreviewSchemaFields(t *testing.T) {
	_, hosts, p := previewed(t)
	var top map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(fixture.Preview(t, hosts, p).JSON(), &top))
	var names []string
	for name := range top {
		names = append(names, name)
	}
	require.ElementsMatch(t, []string{"schema", "plan", "steps", "totals", "disruptive", "roundTrips", "digest"}, names)
	require.Equal(t, "quorate.dev/preview/v1", plan.PreviewSchema)
}
