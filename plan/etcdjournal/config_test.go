package etcdjournal_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/etcdjournal"
)

// Every problem is reported at once, and no password that an endpoint may hold.
func TestConfigIsChecked(t *testing.T) {
	_, err := etcdjournal.New(etcdjournal.Config{
		Endpoints: []string{"https://10.0.0.1:2379", "https://user:aPlantedMarker@10.0.0.2:2379", "10.0.0.3:2379"},
		Prefix:    "/journal", TTL: 1500 * time.Millisecond, Timeout: -1,
	})
	var invalid *quorate.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v", err)
	}
	for _, field := range []string{"tls", "endpoints[1]", "endpoints[2]", "prefix", "ttl", "timeout"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not in %v", field, err)
		}
	}
	if strings.Contains(err.Error(), "aPlantedMarker") {
		t.Errorf("shows a password: %v", err)
	}
	if _, err := etcdjournal.New(etcdjournal.Config{}); !errors.As(err, &invalid) {
		t.Errorf("without endpoints: %v", err)
	}
	j, err := etcdjournal.New(etcdjournal.Config{Endpoints: []string{"https://10.0.0.1:2379"}, TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}
