package plan

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
)

// minSecret is the shortest text worth hiding: what is shorter would be
// found everywhere.
const minSecret = 8

// WithSecrets returns the same plan with further texts that must not be shown, line
// by line: where a command on a host prints one of them, because it quotes its
// input in a complaint, output and errors hold a placeholder instead. So they do for
// the quoted forms of Go, JSON, URLs and shells, and for base64. Lines of less than 8
// characters are not hidden, and neither is a part of a line, but at the edges of what a
// transport has cut. What an Action returns, as an error or as a Diff, is treated as hosts'
// output is: an error that holds a secret is replaced by a copy of its type, or, where an
// unexported field holds it, by its text and its causes. Secrets are added to those that the plan has,
// and stay with its steps in whatever plan these are composed into. What Content
// holds is never shown in any case.
func (p *Plan) WithSecrets(secrets ...quorate.Content) *Plan {
	if p == nil {
		return nil
	}
	var lines []string
	for _, s := range secrets {
		for line := range strings.Lines(string(s.Bytes())) {
			line = strings.TrimSpace(line)
			if len(line) >= minSecret && !strings.HasPrefix(line, "-----") {
				lines = append(lines, line)
				lines = append(lines, quoted(line)...)
			}
		}
	}
	with := *p
	with.setSecrets(newSecretTexts(append(lines, p.secrets.texts()...)))
	return &with
}

// quoted returns a text as programs write it that quote or encode it.
func quoted(text string) []string {
	inner := func(s string) string { return s[1 : len(s)-1] }
	var plain, html bytes.Buffer // writing to a buffer never fails
	for _, b := range []*bytes.Buffer{&plain, &html} {
		out := json.NewEncoder(b)
		out.SetEscapeHTML(b == &html)
		_ = out.Encode(text)
	}
	all := []string{
		inner(strconv.Quote(text)), inner(strconv.QuoteToASCII(text)), inner(strings.TrimSpace(plain.String())), inner(strings.TrimSpace(html.String())),
		url.QueryEscape(text), url.PathEscape(text), strings.ReplaceAll(text, "'", `'\''`),
		base64.RawStdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)),
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == text })
}

// secretTexts are texts to hide. Functions hold them, because fmt and its kind
// print nothing of what those do.
type secretTexts struct {
	all     func() []string
	replace func(string) string
}

func newSecretTexts(texts []string) *secretTexts {
	// The longest first, so that no part of one remains where another is the
	// beginning of it.
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	texts = slices.Compact(texts)
	if len(texts) == 0 {
		return nil
	}
	pairs := make([]string, 0, 2*len(texts))
	for _, t := range texts {
		pairs = append(pairs, t, "[sensitive]")
	}
	return &secretTexts{all: func() []string { return texts }, replace: strings.NewReplacer(pairs...).Replace}
}

func (s *secretTexts) texts() []string {
	if s == nil {
		return nil
	}
	return s.all()
}

// redact hides the plan's secrets in a text.
func (p *Plan) redact(text string) string { return p.secrets.redact(text) }

func (s *secretTexts) redact(text string) string {
	if s == nil {
		return text
	}
	return s.replace(text)
}

// leastPart is how much of a secret, in bytes, is hidden where a text was cut.
const leastPart = 4

// redactCut is redact for a text of which the beginning or the end may have been cut off, in
// the middle of a secret: what is at its edges, or at the beginning of a line, and could be
// the rest of one is hidden too.
func (s *secretTexts) redactCut(text string) string {
	if s == nil {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		// With what is missing the whole secret is found, whatever others are in it.
		whole := s.before(line) + line
		if !strings.HasSuffix(line, "\n") {
			whole += s.after(line)
		}
		_, _ = out.WriteString(s.redact(whole))
	}
	return out.String()
}

// before is what a secret has before its rest, with which a text begins; empty if it begins
// with none.
func (s *secretTexts) before(text string) string {
	if len(text) < leastPart {
		return ""
	}
	found, most := "", 0
	for _, t := range s.texts() {
		for at := 1; at+leastPart <= len(t); at++ {
			next := strings.Index(t[at:], text[:leastPart])
			if next < 0 {
				break
			}
			if at += next; strings.HasPrefix(text, t[at:]) && len(t)-at > most {
				found, most = t[:at], len(t)-at
			}
		}
	}
	return found
}

// after is what a secret has after the part of it with which a text ends.
func (s *secretTexts) after(text string) string {
	if len(text) < leastPart {
		return ""
	}
	found, most := "", 0
	for _, t := range s.texts() {
		for n := len(t) - 1; n >= leastPart; n-- {
			n = strings.LastIndex(t[:n], text[len(text)-leastPart:])
			if n < 0 {
				break
			}
			if n += leastPart; n < len(t) && strings.HasSuffix(text, t[:n]) && n > most {
				found, most = t[n:], n
			}
		}
	}
	return found
}

// keepSecrets gathers what the steps bring with them.
func (p *Plan) keepSecrets() {
	var all []*secretTexts
	for _, s := range p.steps {
		if s.secrets != nil && !slices.Contains(all, s.secrets) {
			all = append(all, s.secrets)
		}
	}
	if len(all) == 1 {
		p.setSecrets(all[0])
		return
	}
	var texts []string
	for _, s := range all {
		texts = append(texts, s.texts()...)
	}
	p.setSecrets(newSecretTexts(texts))
}

// setSecrets has the plan and each of its steps, which are copied, keep them.
func (p *Plan) setSecrets(s *secretTexts) {
	p.secrets, p.steps = s, slices.Clone(p.steps)
	for i := range p.steps {
		p.steps[i].secrets = s
	}
}
