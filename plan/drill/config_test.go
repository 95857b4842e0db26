package drill_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/plan/drill/drilltest"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

var (
	update   = flag.Bool("update-preview", false, "write the preview's golden file")
	drillVIP = netip.MustParseAddr("192.0.2.100")
)

// The dry run says what will be broken, how it is healed, and what must hold,
// and reaches no host.
func TestPreview(t *testing.T) {
	c, err := drilltest.New(3)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	plan, err := drill.Preview(c.Config())
	require.NoError(t, err)
	golden := filepath.Join("testdata", "preview.txt")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(plan.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), plan.String())
	require.Empty(t, c.Transport.Calls())
	require.Empty(t, c.Breaks())
}

// Every problem comes at once, with its field.
func TestConfigProblems(t *testing.T) {
	cfg := drill.Config{
		Hosts:     []drill.Host{{Name: "a", Address: "192.0.2.1"}, {Name: "a"}},
		API:       drill.API{Endpoint: "192.0.2.100", ServerPort: 65536, Timeout: -1},
		Scenarios: append(drill.Scenarios("nonsense", drill.ColdStart, drill.HostReboot, drill.HostReboot), drill.Scenario{Name: "x", Fault: "y", Target: drill.Minority, Down: -time.Second}),
		Rate:      1e6,
	}
	_, err := drill.Run(t.Context(), cfg)
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
	}
	require.Subset(t, paths, []string{
		"transport", "hosts", "hosts[1].name", "hosts[1].address", "api.endpoint", "api.serverPort", "api.ca", "api.key", "api.timeout",
		"rate", "scenarios[0]", "scenarios[1]", "scenarios[2]", "scenarios[3].name", "scenarios[4].down",
	})
	require.Contains(t, err.Error(), "Config.Power")
}

// Without a VIP, or power, or many hosts, what needs them is left out.
func TestScenariosLeftOut(t *testing.T) {
	c, err := drilltest.New(3)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	cfg := c.Config()
	cfg.VIP, cfg.Power, cfg.Breaker = netip.Addr{}, nil, nil
	plan, err := drill.Preview(cfg)
	require.NoError(t, err)
	var run, skipped []string
	for _, s := range plan.Scenarios {
		run = append(run, s.Name)
	}
	for _, s := range plan.Skipped {
		skipped = append(skipped, s.Name)
	}
	require.Equal(t, []string{drill.APIServerStop, drill.EtcdStop, drill.EtcdPartition, drill.NetworkPartition, drill.DiskFull, drill.HostReboot}, run)
	require.Equal(t, []string{
		drill.KeepalivedStop, drill.VIPHolderPowerCut, drill.EtcdLeaderPowerCut,
		drill.MinorityPowerCut, drill.RollingPowerCut, drill.ColdStart,
	}, skipped)
}

func kubeconfig(key string) string {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	return `apiVersion: v1
kind: Config
current-context: admin@lab
contexts:
- name: other
  context: {cluster: none, user: none}
- name: admin@lab
  context: {cluster: lab, user: admin}
clusters:
- name: lab
  cluster: {server: "https://192.0.2.100:6443", certificate-authority-data: ` + b64("the CA") + `}
users:
- name: admin
  user: {client-certificate-data: ` + b64("the certificate") + `, client-key-data: ` + b64(key) + `}
`
}

func TestFromKubeconfig(t *testing.T) {
	const key = "a very secret key"
	api, err := drill.FromKubeconfig(quorate.Sensitive([]byte(kubeconfig(key))))
	require.NoError(t, err)
	require.Equal(t, "192.0.2.100:6443", api.Endpoint)
	require.Equal(t, "the CA", string(api.CA.Bytes()))
	require.Equal(t, "the certificate", string(api.Certificate.Bytes()))
	require.Equal(t, key, string(api.Key.Bytes()))
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", api, api, api), key)

	for _, text := range []string{"", "{", "current-context: x", strings.Replace(kubeconfig(key), "https:", "http:", 1), kubeconfig(key) + "\n\t" + key} {
		_, err := drill.FromKubeconfig(quorate.Sensitive([]byte(text)))
		require.Error(t, err)
		require.NotContains(t, err.Error(), base64.StdEncoding.EncodeToString([]byte(key)))
		require.NotContains(t, err.Error(), key)
	}
}

func FuzzFromKubeconfig(f *testing.F) {
	f.Add([]byte(kubeconfig("key")))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = drill.FromKubeconfig(quorate.Sensitive(text))
	})
}

// ForCluster returns what a cluster's description says.
func TestForCluster(t *testing.T) {
	c := quorate.Cluster{
		Name: "lab", Version: quorate.Version{}, Endpoint: quorate.Endpoint{Host: "192.0.2.100", VIP: quorate.VIP{Interface: "eth0", Subnet: netip.MustParsePrefix("192.0.2.0/24")}},
	}
	version, err := quorate.ParseVersion("v1.37.2")
	require.NoError(t, err)
	c.Version = version
	for i := range 3 {
		c.Nodes = append(c.Nodes, quorate.Node{
			Name: fmt.Sprintf("cp-%d", i+1), Role: "control-plane", Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+11))},
		})
	}
	cfg, err := drill.ForCluster(c, faketransport.New(), quorate.Sensitive([]byte(kubeconfig("key"))))
	require.NoError(t, err)
	require.Equal(t, drillVIP, cfg.VIP)
	require.Equal(t, drill.Host{Name: "cp-2", Address: "192.0.2.12"}, cfg.Hosts[1])
	require.Equal(t, 6443, cfg.API.ServerPort)
	require.Equal(t, "/var/lib/quorate/etcd", cfg.Breaker.(*drill.SSHBreaker).EtcdData)
	c.Endpoint.Port = 7443
	cfg, err = drill.ForCluster(c, faketransport.New(), quorate.Sensitive([]byte(kubeconfig("key"))))
	require.NoError(t, err)
	require.Equal(t, 7443, cfg.API.ServerPort)
	// Behind a load balancer API servers are not where the endpoint is.
	c.Endpoint.LoadBalancer = quorate.HAProxy
	cfg, err = drill.ForCluster(c, faketransport.New(), quorate.Sensitive([]byte(kubeconfig("key"))))
	require.NoError(t, err)
	require.Equal(t, 6443, cfg.API.ServerPort)
	_, err = json.Marshal(cfg.Hosts)
	require.NoError(t, err)
}
