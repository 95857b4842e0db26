package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
)

// apiWatch reads at the VIP whether the API is ready, five times a second on
// a new connection each, and remembers when it was not.
type apiWatch struct {
	stop context.CancelFunc

	mu     sync.Mutex
	last   time.Time // of the last good answer
	up     bool
	outage time.Duration // between the last two good answers around a failure
	why    []string      // it was not ready, for each failure
}

func watchAPI(ctx context.Context, t *testing.T, l *machines.Lab) *apiWatch {
	t.Helper()
	ca, err := l.SSH(ctx, l.Hosts()[0].Name, "cat /etc/kubernetes/pki/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca))
	client := &http.Client{
		Timeout:   time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &apiWatch{last: time.Now(), up: true}
	done := make(chan struct{})
	w.stop = func() { cancel(); <-done }
	url := fmt.Sprintf("https://%s:6443/readyz", l.Spec().VIP())
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			err := ready(ctx, client, url)
			if ctx.Err() != nil { // the request ended because the watch did
				return
			}
			w.note(err, time.Now())
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return w
}

func ready(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<12))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return err
}

func (w *apiWatch) note(err error, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.why = append(w.why, at.Format("15:04:05.000 ")+err.Error())
	case !w.up:
		w.outage = at.Sub(w.last)
	}
	if err == nil {
		w.last = at
	}
	w.up = err == nil
}

func (w *apiWatch) failed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.why)
}

// waitUp waits until the API answers after it did not, and returns how long that
// was.
func (w *apiWatch) waitUp(ctx context.Context, t *testing.T, l *machines.Lab) time.Duration {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		w.mu.Lock()
		up, outage := w.up, w.outage
		w.mu.Unlock()
		if up && outage > 0 {
			return outage
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the API does not answer at the VIP any more\n%s", evidence(context.WithoutCancel(ctx), l))
		case <-tick.C:
		}
	}
}

// evidence is what the running hosts, and this machine, know of a VIP that does
// not answer: without it a failure on another machine explains nothing.
func evidence(ctx context.Context, l *machines.Lab) string {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	neighbours, err := exec.CommandContext(ctx, "ip", "neighbour", "show", "dev", l.Spec().Bridge).CombinedOutput()
	var b strings.Builder
	fmt.Fprintf(&b, "--- this machine's neighbours (%v)\n%s", err, neighbours)
	for _, h := range l.Hosts() {
		if !l.Running(h.Name) {
			fmt.Fprintf(&b, "--- %s is off\n", h.Name)
			continue
		}
		out, err := l.SSH(ctx, h.Name, "ip -brief address show dev "+machines.Interface+"; systemctl is-active etcd keepalived kubelet; "+
			"curl -sk --max-time 5 'https://localhost:6443/readyz?verbose' | grep -v '^.+.*ok$'; "+
			"/etc/keepalived/check_apiserver.sh 2>&1; echo check=$?; journalctl --no-pager -n 40 -u keepalived -o short-iso; "+
			"journalctl --no-pager -n 15 -u etcd -o cat")
		fmt.Fprintf(&b, "--- %s (%v)\n%s\n", h.Name, err, out)
	}
	return b.String()
}
