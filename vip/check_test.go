package vip_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/vip"
)

// authority signs the certificates of the API servers in these tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate, key}
}

// content is the authority's certificate as kubeadm's ca.crt holds it.
func (a authority) content() quorate.Content {
	return quorate.Public(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

// file holds the content.
func (a authority) file(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "ca.crt")
	require.NoError(t, os.WriteFile(path, a.content().Bytes(), 0o644))
	return path
}

// server is the certificate of an API server at addresses.
func (a authority) server(t *testing.T, addresses ...netip.Addr) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"cp-1", "cp-2", "cp-3"},
	}
	for _, addr := range addresses {
		template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hang never answers; it ends with the request.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// trickle starts to answer and never ends.
func trickle(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			_, _ = io.WriteString(w, "o")
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// The script, run by a POSIX shell against a real server, lets a node hold the
// VIP only if its own API server says it is ready.
func TestCheckScript(t *testing.T) {
	shell := tier.Program(t, "dash")
	tier.Program(t, "curl")
	loopback := netip.MustParseAddr("127.0.0.1")
	own, stranger := newAuthority(t), newAuthority(t)
	only := func(path string, h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			h(w, r)
		}
	}
	cases := []struct {
		name    string
		handler http.HandlerFunc
		tls     *tls.Config
		ready   bool
	}{
		{"ready", only("/readyz", answer(200, "ok")), own.server(t, loopback), true},
		{"not ready", answer(500, "[-]etcd failed"), own.server(t, loopback), false},
		{"forbidden", answer(403, "ok"), own.server(t, loopback), false},
		{"another body", answer(200, "<html>ok</html>"), own.server(t, loopback), false},
		{"no body", answer(200, ""), own.server(t, loopback), false},
		{"redirect", http.RedirectHandler("/ok", http.StatusFound).ServeHTTP, own.server(t, loopback), false},
		{"hangs", hang, own.server(t, loopback), false},
		{"never ends", trickle, own.server(t, loopback), false},
		{"another authority", answer(200, "ok"), stranger.server(t, loopback), false},
		{"another address", answer(200, "ok"), own.server(t, netip.MustParseAddr("10.0.0.1")), false},
		{"no TLS", answer(200, "ok"), nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(c.handler)
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			defer server.Close()
			if server.TLS = c.tls; c.tls != nil {
				server.StartTLS()
			} else {
				server.Start()
			}
			address := server.Listener.Addr().(*net.TCPAddr).AddrPort()
			out, err := runCheck(t, shell, own, address)
			require.Equal(t, c.ready, err == nil, "%v: %s", err, out)
		})
	}
	t.Run("refused", func(t *testing.T) {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
		require.NoError(t, err)
		address := l.Addr().(*net.TCPAddr).AddrPort()
		require.NoError(t, l.Close())
		_, err = runCheck(t, shell, own, address)
		require.Error(t, err)
	})
	t.Run("no authority on the host", func(t *testing.T) {
		i := checked(t, own, netip.AddrPortFrom(loopback, 6443))
		i.CAFile = "/nonexistent/ca.crt"
		_, err := runScript(t, shell, i)
		require.Error(t, err)
	})
}

// Whatever an API server does, the check ends before keepalived wants its answer.
func TestRealCheckScriptTimeout(t *testing.T) {
	tier.Host(t, "curl")
	shell, own := tier.Program(t, "dash"), newAuthority(t)
	for name, handler := range map[string]http.HandlerFunc{"hangs": hang, "never ends": trickle} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(handler)
			defer server.Close()
			server.TLS = own.server(t, netip.MustParseAddr("127.0.0.1"))
			server.StartTLS()
			begin := time.Now()
			out, err := runCheck(t, shell, own, server.Listener.Addr().(*net.TCPAddr).AddrPort())
			require.Error(t, err, out)
			// 800 ms is curl's limit; the rest is for starting processes on a busy machine.
			require.Less(t, time.Since(begin), 3*time.Second)
		})
	}
}

// checked is an instance whose API server is at address.
func checked(t *testing.T, a authority, address netip.AddrPort) vip.Instance {
	t.Helper()
	return vip.Instance{
		Node:      "cp-1",
		Endpoint:  quorate.Endpoint{Host: "10.0.0.100", Port: int(address.Port()), VIP: quorate.VIP{Interface: "eth0"}},
		Source:    netip.MustParseAddr("10.0.0.1"),
		Priority:  100,
		APIServer: address.Addr(),
		CAFile:    a.file(t, placeFor(t)),
		Auth:      auth,
	}
}

func runCheck(t *testing.T, shell string, a authority, address netip.AddrPort) (string, error) {
	t.Helper()
	return runScript(t, shell, checked(t, a, address))
}

// runScript runs the check with a home and a proxy that would mislead curl if
// it looked at them.
func runScript(t *testing.T, shell string, i vip.Instance) (string, error) {
	t.Helper()
	check, _ := files(t, i)
	dir := t.TempDir()
	path := filepath.Join(dir, "check.sh")
	require.NoError(t, os.WriteFile(path, check.Content.Bytes(), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".curlrc"), []byte("insecure\nlocation\n"), 0o644))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, path)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "CURL_HOME=" + dir, "https_proxy=http://127.0.0.1:9", "ALL_PROXY=http://127.0.0.1:9"}
	out, err := cmd.CombinedOutput()
	require.NoError(t, ctx.Err())
	return string(out), err
}
