package kubeadm_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

func TestTokenSecret(t *testing.T) {
	token, err := kubeadm.ParseToken("abcdef.markermarker0123")
	if err != nil {
		t.Fatal(err)
	}
	expires := time.Date(2026, 2, 3, 4, 5, 6, 7, time.FixedZone("", 3600))
	got, err := kubeadm.TokenSecret(token, expires)
	if err != nil {
		t.Fatal(err)
	}
	const want = `apiVersion: v1
data:
  auth-extra-groups: c3lzdGVtOmJvb3RzdHJhcHBlcnM6a3ViZWFkbTpkZWZhdWx0LW5vZGUtdG9rZW4=
  description: bm9kZXMgb2YgdGhlIGNsdXN0ZXIsIGFkZGVkIGJ5IFF1b3JhdGU=
  expiration: MjAyNi0wMi0wM1QwMzowNTowNlo=
  token-id: YWJjZGVm
  token-secret: bWFya2VybWFya2VyMDEyMw==
  usage-bootstrap-authentication: dHJ1ZQ==
  usage-bootstrap-signing: dHJ1ZQ==
kind: Secret
metadata:
  name: bootstrap-token-abcdef
  namespace: kube-system
type: bootstrap.kubernetes.io/token
`
	if string(got.Bytes()) != want {
		t.Errorf("got\n%s", got.Bytes())
	}
	if b, _ := base64.StdEncoding.DecodeString("MjAyNi0wMi0wM1QwMzowNTowNlo="); string(b) != "2026-02-03T03:05:06Z" {
		t.Errorf("expiration %s", b)
	}
	if !got.IsSensitive() {
		t.Error("it is a secret")
	}
	assertHidden(t, got)
	forEver, err := kubeadm.TokenSecret(token, time.Time{})
	if err != nil || strings.Contains(string(forEver.Bytes()), "expiration") {
		t.Errorf("%v", err)
	}
	if id := kubeadm.TokenID(token); id != "abcdef" || kubeadm.TokenSecretName(id) != "bootstrap-token-abcdef" {
		t.Error(id)
	}
}

func TestTokenSecretOfAMalformedToken(t *testing.T) {
	for _, bad := range []quorate.Content{{}, quorate.Sensitive([]byte("markermarker")), quorate.Public([]byte("abcdef.markermarker0123"))} {
		if _, err := kubeadm.TokenSecret(bad, time.Time{}); err == nil || strings.Contains(err.Error(), "marker") {
			t.Error(err)
		}
		if id := kubeadm.TokenID(bad); id != "" {
			t.Error(id)
		}
	}
}
