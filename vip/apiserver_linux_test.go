package vip_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// state of an API server.
type state int32

const (
	failing state = iota
	ready
	hanging
)

// apiServer answers /readyz as its state says, on every address of its host,
// and says at /name which host it is.
type apiServer struct {
	address netip.AddrPort
	trust   *tls.Config
	state   atomic.Int32
	server  *http.Server
}

func newAPIServer(t *testing.T, host *namespace, a authority, own netip.Addr, named ...netip.Addr) *apiServer {
	t.Helper()
	s := &apiServer{address: netip.AddrPortFrom(own, 6443), trust: &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}}
	s.trust.RootCAs.AddCert(a.certificate)
	anywhere := netip.IPv6Unspecified()
	if own.Is4() {
		anywhere = netip.IPv4Unspecified()
	}
	listener := tls.NewListener(host.listen(t, netip.AddrPortFrom(anywhere, 6443)), a.server(t, named...))
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", s.readyz)
	name := host.name[len(host.name)-1:]
	mux.HandleFunc("/name", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "host "+name) })
	s.server = &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(listener) }()
	t.Cleanup(func() {
		s.kill(t)
		require.True(t, errors.Is(<-done, http.ErrServerClosed))
	})
	return s
}

// kill ends the server and its connections for good.
func (s *apiServer) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, s.server.Close())
}

func (s *apiServer) set(state state) { s.state.Store(int32(state)) }

func (s *apiServer) readyz(w http.ResponseWriter, r *http.Request) {
	switch state(s.state.Load()) {
	case ready:
		_, _ = io.WriteString(w, "ok")
	case failing:
		w.WriteHeader(http.StatusInternalServerError)
	case hanging:
		<-r.Context().Done()
	}
}
