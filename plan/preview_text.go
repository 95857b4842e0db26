package plan

import (
	"fmt"
	"strconv"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// outcomes in the order in which they are counted out, with their words.
func outcomeWords() []struct {
	outcome Outcome
	words   string
} {
	return []struct {
		outcome Outcome
		words   string
	}{
		{WouldChange, "would change"}, {Unchanged, "unchanged"}, {Unknown, "not known yet"},
		{Failed, "failed"}, {NotReached, "not reached"},
	}
}

// Text shows the preview to people: by host, the steps that would do something,
// each with its differences and commands; unchanged steps are counted only.
// What is not printable, which hosts may have put there, is escaped. The text
// ends with a newline.
func (p *Preview) Text() string {
	p = p.orEmpty()
	var b strings.Builder
	hosts := p.Hosts()
	fmt.Fprintf(&b, "%s on %s: %s", plural(len(p.Steps), "step"), plural(len(hosts), "host"), counts(p.Totals))
	if p.Disruptive > 0 {
		fmt.Fprintf(&b, "; %d disruptive", p.Disruptive)
	}
	b.WriteString("\n")
	for _, h := range hosts {
		p.hostText(&b, h)
	}
	if !p.Changed() && p.Totals[Failed]+p.Totals[NotReached] == 0 {
		b.WriteString("\nnothing to do: every host is as described\n")
	}
	if len(p.Undescribed) > 0 {
		fmt.Fprintf(&b, "\ncannot be applied as shown, only run: the actions of %s do not describe themselves\n", ids(p.Undescribed))
	}
	return termsafe.Text(b.String())
}

func (p *Preview) hostText(b *strings.Builder, host string) {
	totals := map[Outcome]int{}
	for _, s := range p.Steps {
		if s.Host == host {
			totals[s.Outcome]++
		}
	}
	fmt.Fprintf(b, "\n%s: %s (%s)\n", host, counts(totals), plural(p.RoundTrips[host], "round trip"))
	for _, s := range p.Steps {
		if s.Host == host && s.Outcome != Unchanged {
			s.text(b)
		}
	}
}

func (s StepPreview) text(b *strings.Builder) {
	mark := map[Outcome]string{WouldChange: "~", Unknown: "?", Failed: "x", NotReached: "-"}[s.Outcome]
	if s.Disruptive {
		mark = "!"
	}
	fmt.Fprintf(b, "  %s %s: %s\n", mark, s.Step, s.Title)
	switch s.Outcome {
	case Unknown:
		fmt.Fprintf(b, "      not known before %s: %s\n", ids(s.Awaits), indented(s.Why))
	case Failed:
		fmt.Fprintf(b, "      failed: %s\n", indented(s.Why))
	case NotReached:
		b.WriteString("      not reached\n")
	}
	for _, c := range s.Changes {
		fmt.Fprintf(b, "      %s", indented(c.String()))
		if c.Disruptive {
			b.WriteString("  disruptive")
		}
		if c.Hidden != "" {
			fmt.Fprintf(b, "  [not shown: %s]", c.Hidden)
		}
		b.WriteString("\n")
		for line := range strings.Lines(c.Text) {
			b.WriteString("        " + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	for _, c := range s.Commands {
		fmt.Fprintf(b, "      $ %s", shellescape.QuoteCommand(c.Argv))
		if c.Stdin != "" {
			fmt.Fprintf(b, "  < %s", c.Stdin)
		}
		b.WriteString("\n")
	}
}

func counts(totals map[Outcome]int) string {
	var out []string
	for _, o := range outcomeWords() {
		if n := totals[o.outcome]; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, o.words))
		}
	}
	return strings.Join(out, ", ")
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

func ids(of []ID) string {
	words := make([]string, 0, len(of))
	for _, id := range of {
		words = append(words, string(id))
	}
	return strings.Join(words, ", ")
}

func indented(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n        ")
}
