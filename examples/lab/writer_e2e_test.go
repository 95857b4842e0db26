package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
)

const (
	// writeEvery is how finely an outage of writes is seen.
	writeEvery = 50 * time.Millisecond
	// writeTimeout ends one write. Writes do not wait for each other.
	writeTimeout = time.Second
)

// writer creates a ConfigMap at the endpoint every writeEvery, on a connection
// of its own each, and remembers the longest time without one that succeeded.
type writer struct {
	client *http.Client
	url    string
	stop   func()

	mu      sync.Mutex
	last    time.Time // when the last write that succeeded had been answered
	longest time.Duration
	written int
	failed  int
	why     map[string]int
}

func startWriter(ctx context.Context, t *testing.T, l *machines.Lab, endpoint string) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	w := &writer{client: adminClient(ctx, t, l), url: "https://" + endpoint + "/api/v1/namespaces/default/configmaps"}
	w.reset()
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(writeEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				running.Go(func() { w.note(ctx, w.write(ctx)) })
			}
		}
	})
	w.stop = func() { cancel(); running.Wait() }
	return w
}

// adminClient trusts and shows what the administrator's kubeconfig on the first
// host holds.
func adminClient(ctx context.Context, t *testing.T, l *machines.Lab) *http.Client {
	t.Helper()
	field := func(path string) []byte {
		out, err := kubectl(ctx, l, l.Hosts()[0].Name, "config view --raw -o jsonpath='{"+path+"}'")
		if err != nil {
			t.Fatal(err)
		}
		pem, err := base64.StdEncoding.DecodeString(strings.TrimSpace(out))
		if err != nil {
			t.Fatal(err)
		}
		return pem
	}
	certificate, err := tls.X509KeyPair(field(".users[0].user.client-certificate-data"), field(".users[0].user.client-key-data"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(field(".clusters[0].cluster.certificate-authority-data"))
	return &http.Client{Timeout: writeTimeout, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}},
		DisableKeepAlives: true,
	}}
}

func (w *writer) write(ctx context.Context) error {
	const body = `{"metadata":{"generateName":"write-"}}`
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}

func (w *writer) note(ctx context.Context, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch now := time.Now(); {
	case err == nil:
		w.longest = max(w.longest, now.Sub(w.last))
		w.last = now
		w.written++
	case ctx.Err() == nil:
		w.failed++
		text := err.Error()
		w.why[text[strings.LastIndex(text, ": ")+1:]]++
	}
}

// reset starts a new measurement.
func (w *writer) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.longest, w.failed, w.why = time.Now(), 0, 0, map[string]int{}
}

// outage is the longest time without a successful write since the reset, the one
// that lasts included.
func (w *writer) outage() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.longest, time.Since(w.last))
}

// acknowledged is how many writes succeeded since it was started.
func (w *writer) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}

func (w *writer) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%d writes failed %v", w.failed, w.why)
}
