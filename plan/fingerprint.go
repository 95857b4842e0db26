package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/quorate-dev/quorate"
)

// Fingerprint is the identity of a plan, in hexadecimal: the SHA-256 of its
// steps' IDs, hosts and order, and of what everyone may see of that which its
// Actions are made of (Describer). Two plans that differ only in secrets have
// the same: it is kept, and a short secret can be guessed from its hash.
func (p *Plan) Fingerprint() string {
	h := newPrint("plan")
	for i := range p.orEmpty().steps {
		h.add(p.fingerprint(i))
	}
	return h.sum()
}

// Fingerprint is the identity of a step, as Plan.Fingerprint has it.
func (s Step) Fingerprint() string { return s.fingerprint(ask(s.Action).Description) }

// fingerprint is that of a step of the plan.
func (p *Plan) fingerprint(i int) string { return p.steps[i].fingerprint(p.described[i].Description) }

func (s Step) fingerprint(d Description) string {
	h := newPrint("step").add(string(s.ID), s.Host).list(len(s.After))
	for _, id := range s.After {
		h.add(string(id))
	}
	if s.Alone {
		h.add("alone")
	}
	h.add(d.Kind).files(d.Files).files(d.Unchecked).list(len(d.Inputs))
	for _, c := range d.Inputs {
		h.add(seen(c))
	}
	return h.sum()
}

// fingerprint hashes texts so that no two lists of them are the same input.
type fingerprint struct{ hash.Hash }

func newPrint(kind string) fingerprint { return fingerprint{sha256.New()}.add(kind) }

func (f fingerprint) add(texts ...string) fingerprint {
	for _, t := range texts {
		_, _ = fmt.Fprintf(f, "%d:%s", len(t), t) // a hash never fails
	}
	return f
}

// list adds a list's length, so that what follows it is not taken for its end.
func (f fingerprint) list(n int) fingerprint { return f.add(fmt.Sprint(n)) }

// files adds what anyone may see of files: of a sensitive one its content is
// left out: only that it is sensitive counts.
func (f fingerprint) files(files []quorate.File) fingerprint {
	f.list(len(files))
	for _, file := range files {
		f.add(file.Path, fmt.Sprintf("%04o", fileMode(file)), orRoot(file.Owner), orRoot(file.Group), seen(file.Content))
	}
	return f
}

func (f fingerprint) sum() string { return hex.EncodeToString(f.Sum(nil)) }

// seen is what everyone may see of a content: of a sensitive one, only that it is.
func seen(c quorate.Content) string {
	if c.IsSensitive() {
		return "sensitive"
	}
	return fmt.Sprintf("%x", c.SHA256())
}
