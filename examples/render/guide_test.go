package main

import (
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"mvdan.cc/sh/v3/syntax"
	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/ha"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The values of the walk-through's own join command, and what keepalived makes
// of its password.
const (
	guideToken = "llb1kx.azsbunpbg13tgc8k"
	guideHash  = "sha256:1ad2a436ce0c277d0c5bd3826091e72badbd8417ffdbbd4f6584a2de588bf522"
	guideAuth  = "velotiot"
)

// isCertificate reports whether a file differs at each run, and so has no golden.
func isCertificate(p string) bool {
	return slices.Contains([]string{".crt", ".key", ".pub"}, path.Ext(p))
}

// rendered returns a form of the walk-through's cluster, by path below the output.
func rendered(t *testing.T, form string) map[string]quorate.File {
	t.Helper()
	c, err := operator.ReadCluster("../clusters/guide.yaml")
	require.NoError(t, err)
	// The walk-through's own authority is not to be had: its hash takes the place of
	// that of another.
	bundle, err := pki.New(c, pki.Config{})
	require.NoError(t, err)
	hashes, err := bundle.CAHashes(t.Context())
	require.NoError(t, err)
	require.Len(t, hashes, 1)
	nodes, err := forms[form](t.Context(), ha.Config{
		Cluster: c, Certs: bundle, VIPAuth: quorate.Sensitive([]byte(guideAuth)),
		Kubeadm: kubeadm.Secrets{Token: quorate.Sensitive([]byte(guideToken))},
	})
	require.NoError(t, err)
	all := map[string]quorate.File{}
	for node, list := range nodes {
		for _, f := range list {
			at := path.Join(node, f.Path)
			require.NotContains(t, all, at, "written twice")
			if content := f.Content.Bytes(); bytes.Contains(content, []byte(hashes[0])) {
				content = bytes.ReplaceAll(content, []byte(hashes[0]), []byte(guideHash))
				if f.Content.IsSensitive() {
					f.Content = quorate.Sensitive(content)
				} else {
					f.Content = quorate.Public(content)
				}
			}
			all[at] = f
		}
	}
	return all
}

func TestGuideGolden(t *testing.T) {
	for _, form := range []string{"guide-exact", "guide-secure"} {
		t.Run(form, func(t *testing.T) {
			root := filepath.Join("testdata", form)
			got := map[string]string{}
			for p, f := range rendered(t, form) {
				if !isCertificate(p) {
					got[p] = string(f.Content.Bytes())
				}
			}
			if *update {
				require.NoError(t, os.RemoveAll(root))
				for p, content := range got {
					at := filepath.Join(root, filepath.FromSlash(p))
					require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
					require.NoError(t, os.WriteFile(at, []byte(content), 0o644))
				}
			}
			want := map[string]string{}
			require.NoError(t, fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
				want[p] = string(b)
				return err
			}))
			require.Empty(t, cmp.Diff(want, got))
		})
	}
}

// guideFiles are the walk-through's own artifacts after the replacements that
// it requires of its reader, for one master.
func guideFiles(t *testing.T, replacements ...string) map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/guide.txtar")
	require.NoError(t, err)
	out := map[string]string{}
	for _, f := range archive.Files {
		out[f.Name] = strings.NewReplacer(replacements...).Replace(string(f.Data))
		require.NotRegexp(t, `<\w`, out[f.Name])
	}
	return out
}

func master1(t *testing.T) map[string]string {
	return guideFiles(t, "<host_name>", "master-1", "<host_private_ip>", "10.0.1.11", "<master-private-ip>", "10.0.1.11",
		"<master0_private_ip>", "10.0.1.10", "<master1_private_ip>", "10.0.1.11", "<master2_private_ip>", "10.0.1.12",
		"<master0-ip-address>", "10.0.1.10", "<master1-ip-address>", "10.0.1.11", "<master2-ip-address>", "10.0.1.12",
		"<state>", "BACKUP", "<interface>", "eth0", "<priority>", "100", "<virtual ip>", "10.0.1.234", "<VIRTUAL-IP>", "10.0.1.234",
		"<podCIDR>", "10.32.0.0/12", "<load-balancer-ip>", "10.0.1.234")
}

func text(t *testing.T, files map[string]quorate.File, p string) string {
	t.Helper()
	require.Contains(t, files, p)
	return string(files[p].Content.Bytes())
}

// The policy is under the name by which it is read, and the requests of the
// nodes do not overwrite it.
func TestGuideExactCertificateRequests(t *testing.T) {
	got, want := rendered(t, "guide-exact"), master1(t)
	const dir = "/etc/kubernetes/pki/etcd/"
	for _, master := range []string{"master-0", "master-1", "master-2"} {
		require.JSONEq(t, want["config.json"], text(t, got, master+dir+"ca-config.json"))
		require.Contains(t, text(t, got, master+dir+"config.json"), `"CN": "`+master+`"`)
	}
	require.JSONEq(t, want["ca-csr.json"], text(t, got, "master-0"+dir+"ca-csr.json"))
	require.JSONEq(t, want["client.json"], text(t, got, "master-0"+dir+"client.json"))
}

// The unit says what the guide's does, but that it conflicts with itself, and
// writes three of etcd's defaults out.
func TestGuideExactEtcd(t *testing.T) {
	got, want := rendered(t, "guide-exact"), master1(t)
	require.Equal(t, want["etcd.env"], text(t, got, "master-1/etc/etcd.env"))

	gotUnit, gotFlags := readUnit(t, text(t, got, "master-1/etc/systemd/system/etcd.service"))
	wantUnit, wantFlags := readUnit(t, strings.Replace(want["etcd.service"], "Conflicts=etcd.service\n", "", 1))
	require.Equal(t, wantUnit, gotUnit)
	for name, value := range map[string]string{"heartbeat-interval": "100", "election-timeout": "1000", "quota-backend-bytes": "2147483648"} {
		require.NotContains(t, wantFlags, name)
		wantFlags[name] = value
	}
	require.Equal(t, wantFlags, gotFlags)
}

// readUnit returns a unit's directives without its ExecStart, and that one's flags.
func readUnit(t *testing.T, content string) (directives []string, flags map[string]string) {
	t.Helper()
	options, err := unit.DeserializeOptions(strings.NewReader(content))
	require.NoError(t, err)
	flags = map[string]string{}
	for _, o := range options {
		if o.Name != "ExecStart" {
			directives = append(directives, o.Section+": "+o.Name+"="+o.Value)
			continue
		}
		words := strings.Fields(strings.ReplaceAll(o.Value, "\\\n", " "))
		directives = append(directives, words[0])
		for words = words[1:]; len(words) > 0; words = words[1:] {
			name, value, joined := strings.Cut(strings.TrimPrefix(words[0], "--"), "=")
			if !joined {
				words = words[1:]
				value = words[0]
			}
			flags[name] = value
		}
	}
	slices.Sort(directives)
	return directives, flags
}

// Priorities and weight are the guide's, with which a dead API server does release
// the VIP: 101 less 2 is below 100. The password is as long as VRRP takes it.
func TestGuideExactKeepalived(t *testing.T) {
	got, want := rendered(t, "guide-exact"), master1(t)
	conf := strings.Replace(want["keepalived.conf"], "velotiotechnologies", guideAuth, 1)
	require.Equal(t, conf, text(t, got, "master-1/etc/keepalived/keepalived.conf"))
	require.Equal(t, want["check_apiserver.sh"], text(t, got, "master-1/etc/keepalived/check_apiserver.sh"))
	first := strings.NewReplacer("state BACKUP", "state MASTER", "priority 100", "priority 101").Replace(conf)
	require.Equal(t, first, text(t, got, "master-0/etc/keepalived/keepalived.conf"))
}

// config.yaml has every value of the guide's, the VIP by which workers and
// kube-proxies reach the API, and what must be known beforehand.
func TestGuideExactKubeadm(t *testing.T) {
	got, want := rendered(t, "guide-exact"), master1(t)
	gotConfig, wantConfig := map[string]any{}, map[string]any{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text(t, got, "master-1/root/config.yaml")), &gotConfig))
	require.NoError(t, yaml.UnmarshalStrict([]byte(want["config.yaml"]), &wantConfig))
	wantConfig["kubernetesVersion"] = "v1.10.4"
	wantConfig["token"], wantConfig["tokenTTL"] = guideToken, "24h0m0s"
	api := wantConfig["api"].(map[string]any)
	api["controlPlaneEndpoint"], api["bindPort"] = "10.0.1.234", 6443.0
	require.Empty(t, cmp.Diff(wantConfig, gotConfig))

	for _, worker := range []string{"worker-0", "worker-1", "worker-2"} {
		require.Contains(t, text(t, got, worker+"/commands.sh"), "\n"+want["join"])
	}
	for _, node := range []string{"master-0", "worker-2"} {
		require.Contains(t, text(t, got, node+kubeadm.KubeletDropInPath), "--cgroup-driver=cgroupfs")
	}
}

// What is secret is its owner's alone, in both forms, and of the cluster's
// certificates the guide's has those four that it copies.
func TestGuideSecrets(t *testing.T) {
	for _, form := range []string{"guide-exact", "guide-secure"} {
		for p, f := range rendered(t, form) {
			for _, secret := range []string{guideToken, guideAuth} {
				if strings.Contains(string(f.Content.Bytes()), secret) {
					require.True(t, f.Content.IsSensitive(), p)
					require.EqualValues(t, 0o600, f.Mode, p)
				}
			}
		}
	}
	var held []string
	for _, p := range slices.Sorted(maps.Keys(rendered(t, "guide-exact"))) {
		if isCertificate(p) && strings.HasPrefix(p, "master-2/") {
			held = append(held, strings.TrimPrefix(p, "master-2/etc/kubernetes/pki/"))
		}
	}
	require.Equal(t, []string{"ca.crt", "ca.key", "sa.key", "sa.pub"}, held)
}

// The secure form has TLS everywhere: no URL without it, certificates required of
// clients and peers, nothing of etcd's where kubeadm reset empties, and no token
// in a command.
func TestGuideSecure(t *testing.T) {
	for p, f := range rendered(t, "guide-secure") {
		content := string(f.Content.Bytes())
		require.NotContains(t, content, "http://", p)
		require.NotContains(t, content, "--insecure", p)
		switch path.Base(p) {
		case "etcd.service":
			require.Contains(t, content, "--client-cert-auth=true", p)
			require.Contains(t, content, "--peer-client-cert-auth=true", p)
			require.NotContains(t, content, "/etc/kubernetes", p)
			require.NotContains(t, content, "/var/lib/etcd", p)
		case "kubeadm-init.yaml":
			require.Contains(t, content, "controlPlaneEndpoint: 10.0.1.234\n", p)
		case "kubeadm-join.yaml":
			require.Contains(t, content, "10.0.1.234:6443", p)
		case "commands.sh":
			require.NotContains(t, content, guideToken, p)
		}
	}
}

func TestGuideScriptsAndUnitsParse(t *testing.T) {
	for _, form := range []string{"guide-exact", "guide-secure"} {
		all := rendered(t, form)
		for p, f := range all {
			if path.Ext(p) == ".sh" {
				_, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(string(f.Content.Bytes())), p)
				require.NoError(t, err)
			}
		}
		verify, err := exec.LookPath("systemd-analyze")
		if err != nil {
			continue // package etcd's own test insists on it in CI
		}
		service := strings.NewReplacer("/bin/etcd ", "/bin/true ", "/usr/local/bin/etcd ", "/bin/true ", "=/etc/etcd.env", "=-/etc/etcd.env").
			Replace(text(t, all, "master-0/etc/systemd/system/etcd.service"))
		at := filepath.Join(t.TempDir(), "etcd.service")
		require.NoError(t, os.WriteFile(at, []byte(service), 0o644))
		out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", "--recursive-errors=one", at).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(out), "etcd.service", form)
	}
}
