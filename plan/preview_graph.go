package plan

import (
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// state is what a step looks like in a graph: its class and its colours.
type state struct{ class, fill, line string }

func states() []state {
	return []state{
		{"unchanged", "#d8f0d8", "#3c8c3c"},
		{"would-change", "#d4e4ff", "#2f5fb3"},
		{"disruptive", "#ffdcb0", "#c25e00"},
		{"unknown", "#ececec", "#8a8a8a"},
		{"failed", "#f8c8c8", "#b02020"},
		{"not-reached", "#ffffff", "#8a8a8a"},
	}
}

// class is the outcome, or that the step is disruptive: one of states, whatever
// somebody has written into a preview.
func (s StepPreview) class() string {
	if s.Disruptive {
		return "disruptive"
	}
	for _, known := range states() {
		if known.class == string(s.Outcome) {
			return known.class
		}
	}
	return "unknown"
}

// edges calls back for each step that another waits for, by their numbers.
func (p *Preview) edges(each func(from, to int)) {
	at := map[ID]int{}
	for i, s := range p.Steps {
		at[s.Step] = i
	}
	for i, s := range p.Steps {
		for _, id := range s.After {
			if j, ok := at[id]; ok {
				each(j, i)
			}
		}
	}
}

// Mermaid returns the graph of the steps as Mermaid draws it: a frame a host, an
// arrow to each step from those that it waits for, and a colour by what would
// happen: green unchanged, blue would change, orange disruptive, grey not known
// yet, red failed, white not reached.
func (p *Preview) Mermaid() string {
	p = p.orEmpty()
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for h, host := range p.Hosts() {
		fmt.Fprintf(&b, "  subgraph h%d[\"%s\"]\n", h, mermaidText(host))
		for i, s := range p.Steps {
			if s.Host == host {
				fmt.Fprintf(&b, "    s%d[\"%s<br/>%s\"]:::%s\n", i, mermaidText(string(s.Step)), mermaidText(s.Title), mermaidClass(s.class()))
			}
		}
		b.WriteString("  end\n")
	}
	p.edges(func(from, to int) { fmt.Fprintf(&b, "  s%d --> s%d\n", from, to) })
	for _, s := range states() {
		fmt.Fprintf(&b, "  classDef %s fill:%s,stroke:%s,color:#000\n", mermaidClass(s.class), s.fill, s.line)
	}
	return b.String()
}

// mermaidClass avoids the hyphen, of which arrows are made.
func mermaidClass(class string) string { return strings.ReplaceAll(class, "-", "_") }

// mermaidText writes by number what would end a label or begin a tag, an entity,
// Markdown ("`) or a directive (%%{, which Mermaid looks for in all of the text).
func mermaidText(s string) string {
	return strings.NewReplacer(
		"#", "#35;", `"`, "#34;", "<", "#60;", ">", "#62;", "&", "#38;", "%", "#37;", "`", "#96;", "\n", " ",
	).Replace(termsafe.Text(s))
}

// DOT returns the same graph as Graphviz draws it.
func (p *Preview) DOT() string {
	p = p.orEmpty()
	colours := map[string]state{}
	for _, s := range states() {
		colours[s.class] = s
	}
	var b strings.Builder
	b.WriteString("digraph plan {\n  rankdir=TB\n  node [shape=box style=filled fontname=\"sans-serif\"]\n")
	for h, host := range p.Hosts() {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s\n", h, dotText(host))
		for i, s := range p.Steps {
			if s.Host == host {
				c := colours[s.class()]
				fmt.Fprintf(&b, "    s%d [label=%s class=%q fillcolor=%q color=%q]\n",
					i, dotText(string(s.Step)+"\n"+s.Title), s.class(), c.fill, c.line)
			}
		}
		b.WriteString("  }\n")
	}
	p.edges(func(from, to int) { fmt.Fprintf(&b, "  s%d -> s%d\n", from, to) })
	b.WriteString("}\n")
	return b.String()
}

func dotText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(termsafe.Text(s)) + `"`
}
