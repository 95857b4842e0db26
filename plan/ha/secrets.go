package ha

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// secrets are what the recipe knows to be secret: a token's second half is
// what must be kept, its first is a name.
func (r *recipe) secrets() []quorate.Content {
	secrets := []quorate.Content{r.Kubeadm.Token, r.Kubeadm.CertificateKey, r.VIPAuth}
	if _, half, ok := strings.Cut(string(r.Kubeadm.Token.Bytes()), "."); ok {
		secrets = append(secrets, quorate.Sensitive([]byte(half)),
			quorate.Sensitive([]byte(base64.StdEncoding.EncodeToString([]byte(half))))) // as its Secret has it
	}
	for _, n := range r.c.Nodes {
		for _, f := range slices.Concat(r.etcdFiles[n.Name], r.controlPlaneCerts[n.Name]) {
			if f.Content.IsSensitive() {
				secrets = append(secrets, f.Content)
			}
		}
	}
	return secrets
}
