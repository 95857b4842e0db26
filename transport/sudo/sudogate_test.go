package sudo

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/transport/internal/frame"
)

// Prompts and the frame are found however the stream is cut; exactly what comes
// after the frame's beginning is passed on, and the rest is sudo's.
func TestGatePromptsInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lecture, body := rapid.StringMatching(`[^\[]*\[?[a-z]*`).Draw(t, "lecture"), rapid.String().Draw(t, "body")
		prompts := rapid.IntRange(0, 2).Draw(t, "prompts")
		var got bytes.Buffer
		f := frame.New("m", nil, &got)
		g := newGate("[m password]", f.Stderr, f.Stderr.HasBegun, func() { t.Fatal("the frame failed") })
		text := lecture
		for range prompts {
			text += "[m password]"
		}
		rest := []byte(text + "[m 7]" + body)
		for len(rest) > 0 {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if _, err := g.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := f.Finish(); err != nil {
			t.Fatal(err)
		}
		if got.String() != body || g.prompts() != prompts || f.Group() != 7 {
			t.Fatalf("got %q, %d prompts, process %d", got.String(), g.prompts(), f.Group())
		}
	})
}

// A sudo that prints without end before the command starts is cut off.
func TestFloodingSudo(t *testing.T) {
	ended := false
	f := frame.New("m", nil, nil)
	g := newGate("[m password]", f.Stderr, f.Stderr.HasBegun, func() { ended = true })
	var err error
	for range 1000 {
		if _, err = g.Write(bytes.Repeat([]byte("x"), 1024)); err != nil {
			break
		}
	}
	if err == nil || !ended || g.failure() == nil {
		t.Errorf("%v, ended %v", err, ended)
	}
}
