package ha_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/plan/journaltest"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Two clusters that differ in every secret and in nothing else are one plan.
func TestFingerprintsIgnoreSecrets(t *testing.T) {
	// pki's certificates are public and made again each time; the same are used.
	one := secretConfig(t, hafixture.Three())
	other := secretConfig(t, hafixture.Three())
	other.Certs = one.Certs
	require.NotEqual(t, one.Kubeadm.Token.Bytes(), other.Kubeadm.Token.Bytes())
	other.Manifests = []ha.Manifest{{Name: "secret", Content: quorate.Sensitive([]byte("kind: Secret # another"))}}
	p, err := planFor(one)
	require.NoError(t, err)
	q, err := planFor(other)
	require.NoError(t, err)
	for i, s := range p.Steps() {
		require.Equal(t, s.Fingerprint(), q.Steps()[i].Fingerprint(), s.ID)
	}
	require.Equal(t, p.Fingerprint(), q.Fingerprint())
	other.Cluster.Version.Patch--
	q, err = planFor(other)
	require.NoError(t, err)
	require.NotEqual(t, p.Fingerprint(), q.Fingerprint())
}

// No record shows a secret, of runs that succeed and of runs that fail while
// hosts print the secrets that they received.
func TestRecordsHideSecrets(t *testing.T) {
	t.Parallel()
	cfg := inBubble(t, secretConfig(t, hafixture.Three()))
	all := secretsOf(t, cfg)
	p, err := planFor(cfg)
	require.NoError(t, err)
	token := string(cfg.Kubeadm.Token.Bytes())
	for name, fail := range map[string]func(h *faketransport.Host){
		"success": func(*faketransport.Host) {},
		"kubeadm quotes the token": func(h *faketransport.Host) {
			h.Handle(faketransport.Prefix("kubeadm", "init"), faketransport.Fail(1, "could not use token "+token+"\n"))
		},
		"a host is down": func(h *faketransport.Host) {
			if h.Name() == "cp-2" {
				h.SetDown(true)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Test(t, func(t *testing.T) {
				hosts := fakeCluster(t, cfg.Cluster)
				for _, n := range cfg.Cluster.Nodes {
					fail(hosts.Host(n.Name))
				}
				var j journaltest.Memory
				_, err := (&plan.Runner{Transport: hosts, Journal: &j, Operator: fixture.Alice}).Run(t.Context(), p)
				require.Equal(t, name == "success", err == nil, "%v", err)
				for _, r := range fixture.Records(t, &j) {
					all.assertHidden(t, name+": record "+string(r.Kind)+" of "+string(r.Step), r)
				}
				sum, _ := (&plan.Runner{Transport: hosts, Journal: &j}).Run(t.Context(), p)
				require.Equal(t, name != "success", len(sum.Unfinished) > 0)
				all.assertHidden(t, name+": the summary", sum)
			})
		})
	}
}
