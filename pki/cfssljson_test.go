package pki_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/cfssl/cli"
	printdefaults "github.com/cloudflare/cfssl/cli/printdefault"
	"github.com/cloudflare/cfssl/config"
	"github.com/cloudflare/cfssl/csr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
)

// guideConfig makes what the procedure that Quorate replaces made.
func guideConfig() pki.Config {
	return pki.Config{
		Keys:                pki.Keys{EtcdCA: pki.RSA2048},
		CAValidity:          pki.DefaultExpiry,
		APIServerClientName: "client",
	}
}

// The guide writes its policy to config.json, reads it from ca-config.json and
// then overwrites config.json with a node's request. Each has its own name here
// and, apart from that, the guide's content.
func TestCFSSLReproducesTheGuidesFiles(t *testing.T) {
	files, err := pki.CFSSL(clusterOf(1), guideConfig())
	require.NoError(t, err)
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	assert.Equal(t, []string{"ca-config.json", "ca-csr.json", "client.json", "nodes/cp-1.json"}, paths)

	assert.JSONEq(t, `{"signing": {
		"default": {"expiry": "43800h"},
		"profiles": {
			"server": {"expiry": "43800h", "usages": ["signing", "key encipherment", "server auth", "client auth"]},
			"client": {"expiry": "43800h", "usages": ["signing", "key encipherment", "client auth"]},
			"peer": {"expiry": "43800h", "usages": ["signing", "key encipherment", "server auth", "client auth"]}
		}}}`, string(content(t, files, "ca-config.json")))
	assert.JSONEq(t, `{"CN": "etcd", "key": {"algo": "rsa", "size": 2048}}`, string(content(t, files, "ca-csr.json")))
	assert.JSONEq(t, `{"CN": "client", "key": {"algo": "ecdsa", "size": 256}}`, string(content(t, files, "client.json")))
	// The guide's request has the host name and the private address only, so
	// that nothing could reach etcd at loopback.
	assert.JSONEq(t, `{"CN": "cp-1", "key": {"algo": "ecdsa", "size": 256},
		"hosts": ["cp-1", "localhost", "192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"]}`,
		string(content(t, files, "nodes/cp-1.json")))
}

// cfssl's own code reads the files and means by them what the bundle is made with.
func TestCFSSLReadsTheFiles(t *testing.T) {
	cfg := pki.Config{Profiles: map[string]pki.Profile{
		"short":           {Expiry: 90 * time.Minute, Usages: []string{"signing", "client auth"}},
		pki.ProfileServer: {Expiry: 36*time.Hour + 15*time.Second, Usages: []string{"server auth", "client auth"}},
	}}
	files, err := pki.CFSSL(clusterOf(3), cfg)
	require.NoError(t, err)

	policy, err := config.LoadConfig(content(t, files, "ca-config.json"))
	require.NoError(t, err)
	assert.True(t, policy.Valid())
	assert.Equal(t, 90*time.Minute, policy.Signing.Profiles["short"].Expiry)
	assert.Equal(t, 36*time.Hour+15*time.Second, policy.Signing.Profiles["server"].Expiry)
	assert.Equal(t, 43800*time.Hour, policy.Signing.Profiles["peer"].Expiry)
	assert.Equal(t, []string{"signing", "client auth"}, policy.Signing.Profiles["short"].Usage)

	for _, path := range []string{"ca-csr.json", "client.json", "nodes/cp-3.json"} {
		var request csr.CertificateRequest
		require.NoError(t, json.Unmarshal(content(t, files, path), &request))
		_, _, err := csr.ParseRequest(&request)
		assert.NoError(t, err, path)
		if request.CA != nil {
			assert.Equal(t, "87600h", request.CA.Expiry)
		}
	}
}

// The request is, but for a blank line at the end, what cfssl's own default becomes by the guide's
// three substitutions. They put the host's name and address in as they are: the
// guide's two greps for the address lost their backslashes and find nothing.
func TestCFSSLDefaultRequest(t *testing.T) {
	node := clusterOf(1).Nodes[0]
	want := printDefaults(t, "csr")
	firstInEachLine := func(old, with string) {
		lines := strings.SplitAfter(want, "\n")
		for i := range lines {
			lines[i] = strings.Replace(lines[i], old, with, 1)
		}
		want = strings.Join(lines, "")
	}
	firstInEachLine("www.example.net", "192.0.2.1")
	firstInEachLine("example.net", "cp-1")
	got, err := pki.CFSSLDefaultRequest(node)
	require.NoError(t, err)
	assert.Equal(t, "config.json", got.Path)
	assert.Equal(t, strings.TrimSpace(want)+"\n", got.Content.String())

	var invalid *quorate.InvalidError
	_, err = pki.CFSSLDefaultRequest(quorate.Node{Name: "cp-1", Role: quorate.ControlPlane})
	require.ErrorAs(t, err, &invalid)
	_, err = pki.CFSSLDefaultRequest(clusterOf(1).Nodes[1])
	require.ErrorAs(t, err, &invalid, "a worker has no member")
}

// printDefaults is what `cfssl print-defaults` prints.
func printDefaults(t *testing.T, what string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = file
	err = printdefaults.Command.Main([]string{what}, cli.Config{})
	os.Stdout = stdout
	require.NoError(t, err)
	require.NoError(t, file.Close())
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return string(text)
}

func TestCFSSLGolden(t *testing.T) {
	files, err := pki.CFSSL(clusterOf(3), pki.Config{})
	require.NoError(t, err)
	for _, f := range files {
		golden(t, filepath.Join("cfssl", f.Path), f.Content.Bytes())
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to make it")
	assert.Equal(t, string(want), string(got), path)
}
