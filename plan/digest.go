package plan

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
)

// digester makes of secrets what can be compared and not guessed.
//
// A hash of a secret of few characters, as some passwords are, reveals it
// to whoever tries them all, and a saved preview is read by many; a random
// key saved beside the hash would help nobody but the one who guesses. So the
// key comes from the plan's own secrets, all of them in one hash, which whoever
// applies the plan has and the preview does not hold. If a private key is among
// them, nobody guesses that. If none is, there is no key, and nothing that
// depends on a secret is written down.
type digester struct{ key []byte }

// privateKey is in every private key in PEM, whatever its kind.
const privateKey = "PRIVATE KEY-----"

func newDigester(p *Plan) digester {
	sums := sha256.New()
	_, _ = sums.Write([]byte("quorate preview key 1\n")) // a hash never fails
	strong := false
	for _, d := range p.described {
		for _, c := range d.contents() {
			if !c.IsSensitive() {
				continue
			}
			strong = strong || bytes.Contains(c.Bytes(), []byte(privateKey))
			sum := c.SHA256()
			_, _ = sums.Write(sum[:])
		}
	}
	if !strong {
		return digester{}
	}
	return digester{sums.Sum(nil)}
}

// contents are all that an Action is made of.
func (d Description) contents() []quorate.Content {
	var out []quorate.Content
	for _, f := range slices.Concat(d.Files, d.Unchecked) {
		out = append(out, f.Content)
	}
	return append(out, d.Inputs...)
}

func (s digester) hash() hash.Hash {
	if s.key == nil {
		return sha256.New()
	}
	return hmac.New(sha256.New, s.key)
}

// digest replaces what is on a host where it cannot be shown; empty if there is
// no key.
func (s digester) digest(path string, sum [sha256.Size]byte) string {
	if s.key == nil {
		return ""
	}
	h := s.hash()
	_, _ = fmt.Fprintf(h, "digest\n%q\n%x\n", path, sum)
	return hex.EncodeToString(h.Sum(nil))
}

// preview is the Digest of a preview.
func (s digester) preview(p *Preview) string {
	without := *p
	without.Digest = ""
	h := s.hash()
	_, _ = h.Write([]byte("preview\n"))
	_, _ = h.Write(without.JSON())
	return hex.EncodeToString(h.Sum(nil))
}

// content identifies a content, a secret one only under the key.
func (s digester) content(c quorate.Content) string {
	if c.IsSensitive() && s.key == nil {
		return ""
	}
	return fmt.Sprintf("%x", c.SHA256())
}

// identity identifies a plan: steps, order, and what their Actions
// are made of, secrets included if there is a key.
func (s digester) identity(p *Plan) string {
	type file struct{ Path, Mode, Owner, Group, Content string }
	type step struct {
		ID          ID
		Host, Title string
		After       []ID
		Locks       []string
		Alone       bool `json:",omitempty"`
		Timeout     time.Duration
		Kind        string
		Files       []file
		Inputs      []string
	}
	h := s.hash()
	out := json.NewEncoder(h)
	for i, st := range p.steps {
		d := p.described[i]
		v := step{st.ID, st.Host, st.Title, st.After, st.Locks, st.Alone, st.Timeout, d.Kind, nil, nil}
		for _, f := range slices.Concat(d.Files, d.Unchecked) {
			v.Files = append(v.Files, file{f.Path, fmt.Sprintf("%04o", fileMode(f)), orRoot(f.Owner), orRoot(f.Group), s.content(f.Content)})
		}
		for _, c := range d.Inputs {
			v.Inputs = append(v.Inputs, s.content(c))
		}
		_ = out.Encode(v) // strings and numbers into a hash: neither fails
	}
	return hex.EncodeToString(h.Sum(nil))
}
