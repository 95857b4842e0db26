package pki

import (
	"cmp"
	"slices"
	"time"
)

// Expiry is when one certificate of a bundle ends.
type Expiry struct {
	// File is the certificate's path in the store.
	File string `json:"file"`
	// Node that holds it, empty for authorities and the operator's.
	Node string `json:"node,omitempty"`
	// Subject in the form of RFC 2253.
	Subject  string    `json:"subject"`
	CA       bool      `json:"ca"`
	NotAfter time.Time `json:"notAfter"`
}

// Expiry lists every certificate of the bundle, those of the authorities'
// chains too, the first to end first and then by file. The leaves that kubeadm
// issues on the hosts are not among them.
func (b *Bundle) Expiry() []Expiry {
	h, err := b.get()
	if err != nil {
		return nil
	}
	var out []Expiry
	for _, a := range authorities {
		for _, c := range h.ca[a.name].all() {
			out = append(out, Expiry{caCertPath(a.name), "", c.Subject.String(), true, c.NotAfter})
		}
	}
	for _, s := range h.specs {
		c := h.leaves[s.name()].cert
		out = append(out, Expiry{s.name() + ".crt", s.node, c.Subject.String(), false, c.NotAfter})
	}
	slices.SortStableFunc(out, func(a, b Expiry) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.File, b.File))
	})
	return out
}
