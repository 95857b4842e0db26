package sudo

import (
	"bytes"
	"strings"
	"testing"
)

// Prompts are taken out of what sudo writes, however it comes in pieces; nothing else is.
func FuzzGate(f *testing.F) {
	f.Add("[sudo] PROMPT", uint8(3))
	f.Add("PROMPTPROMPT said", uint8(1))
	f.Add("PROMPPROMPT\x1b[2J", uint8(7))
	f.Add("PPPPP", uint8(2))
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		const prompt = "PROMPT"
		var passed bytes.Buffer
		g := newGate(prompt, &passed, func() bool { return false }, func() {})
		for rest := text; rest != ""; {
			n := min(int(size)+1, len(rest))
			if _, err := g.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if want := strings.Count(text, prompt); g.prompts() != want {
			t.Errorf("%d prompts in %q, counted %d", want, text, g.prompts())
		}
		if want := strings.ReplaceAll(text, prompt, ""); passed.String()+string(g.held) != want {
			t.Errorf("of %q passed %q, held %q", text, passed.String(), g.held)
		}
	})
}
