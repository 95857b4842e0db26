package etcdclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
)

// authority signs itself, and for 127.0.0.1.
func authority(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IP(netip.MustParseAddr("127.0.0.1").AsSlice())},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// listen accepts connections until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
		}
	}()
	t.Cleanup(func() { require.NoError(t, l.Close()); <-ended })
	return l.Addr().String()
}

// Each way in which a member cannot be reached is reported as what it is, and long
// before the time is up where there is anything to report: the minute that a
// member may take here is longer than the test.
func TestDialErrorReasons(t *testing.T) {
	certificate, pool := authority(t)
	_, otherPool := authority(t)
	handshake := func(config *tls.Config) func(net.Conn) {
		return func(conn net.Conn) {
			server := tls.Server(conn, config)
			if server.Handshake() == nil {
				_, _ = io.Copy(io.Discard, server) // until the other side has read why it was refused
			}
			_ = conn.Close()
		}
	}
	asks := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		trust *x509.CertPool
		check func(t *testing.T, err error)
	}{
		"another authority": {handshake(asks), otherPool, func(t *testing.T, err error) {
			var unknown x509.UnknownAuthorityError
			require.ErrorAs(t, err, &unknown)
		}},
		"no client certificate": {handshake(asks), pool, func(t *testing.T, err error) {
			var alert tls.AlertError
			var refused *net.OpError
			require.True(t, errors.As(err, &alert) || errors.As(err, &refused), "%v", err)
			require.ErrorContains(t, err, "certificate required")
		}},
		"no TLS": {func(conn net.Conn) { _, _ = conn.Write([]byte("SSH-2.0-x\r\n")); _ = conn.Close() }, pool, func(t *testing.T, err error) {
			var header tls.RecordHeaderError
			require.ErrorAs(t, err, &header)
		}},
		"closed at once": {func(conn net.Conn) { _ = conn.Close() }, pool, func(t *testing.T, err error) {
			var network *net.OpError
			require.True(t, errors.Is(err, io.EOF) || errors.As(err, &network), "%v", err)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			address := listen(t, c.serve)
			client, err := etcdclient.New(etcdclient.Config{
				Endpoints: []string{"https://" + address}, TLS: &tls.Config{RootCAs: c.trust, MinVersion: tls.VersionTLS12}, Timeout: time.Minute,
			})
			require.NoError(t, err)
			defer func() { require.NoError(t, client.Close()) }()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
			defer cancel()
			s, err := client.Status(ctx)
			require.NoError(t, err, "the time was up first")
			c.check(t, s.Err())
			require.ErrorContains(t, s.Err(), "no connection: ")
			require.NotErrorIs(t, s.Err(), context.DeadlineExceeded)
		})
	}
}

// Where only the time ends the wait, the error says what it was spent on.
func TestTimeoutDescribesTheWait(t *testing.T) {
	_, pool := authority(t)
	held := make(chan net.Conn, 10)
	t.Cleanup(func() { // once nobody accepts any more
		close(held)
		for conn := range held {
			_ = conn.Close()
		}
	})
	silent := listen(t, func(conn net.Conn) { held <- conn })
	for endpoint, want := range map[string]string{
		"http://hang:2379":  "no answer in time, its connection is still being opened",
		"https://" + silent: "no answer in time, its TLS handshake is going on",
		"http://" + silent:  "no answer in time, nothing has been heard from it",
	} {
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == silent {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			return fakes{}.dial(ctx, network, address)
		}
		client, err := etcdclient.New(etcdclient.Config{
			Endpoints: []string{endpoint}, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Dial: dial, Timeout: 100 * time.Millisecond,
		})
		require.NoError(t, err)
		s, err := client.Status(t.Context())
		require.NoError(t, err)
		require.ErrorIs(t, s.Err(), context.DeadlineExceeded)
		require.ErrorContains(t, s.Err(), want)
		require.NoError(t, client.Close())
	}
}
