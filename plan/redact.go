package plan

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// leastSecret is the shortest text worth hiding: keepalived's password has 8
// characters, and what is shorter would be found everywhere.
const leastSecret = 8

// WithSecrets gives the same plan with texts that must not be shown, line by
// line: where a command on a host prints one of them, because it quotes its
// input in a complaint, output and errors hold a placeholder instead. What
// Content holds is never shown in any case.
func (p *Plan) WithSecrets(secrets ...quorate.Content) *Plan {
	var pairs []string
	for _, s := range secrets {
		for line := range strings.Lines(string(s.Bytes())) {
			line = strings.TrimSpace(line)
			if len(line) >= leastSecret && !strings.HasPrefix(line, "-----") {
				pairs = append(pairs, line, "[sensitive]")
			}
		}
	}
	with := *p
	// A function, because fmt prints nothing of what it holds.
	with.redact = strings.NewReplacer(pairs...).Replace
	return &with
}

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
