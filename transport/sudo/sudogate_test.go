package sudo

import (
	"bytes"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/transport"
)

// What sudo starts is POSIX shell.
func TestScriptParses(t *testing.T) {
	if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(started), "started"); err != nil {
		t.Error(err)
	}
}

// The sudo gate finds prompt and mark however the stream is cut, and passes
// exactly what comes after.
func TestGateFindsMarksHoweverCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.String().Draw(t, "body")
		var got bytes.Buffer
		g := &gate{
			prompt: "[m password]", begun: "[m started]", stderr: &got, tail: boundedTail{limit: transport.StderrLimit},
			asked: make(chan struct{}), again: make(chan struct{}), in: make(chan struct{}),
		}
		rest := []byte("lecture\n[m password]\n[m started]" + body)
		for len(rest) > 0 {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if _, err := g.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if got.String() != body || g.prompts() != 1 || !g.began() {
			t.Fatalf("got %q, %d prompts", got.String(), g.prompts())
		}
	})
}
