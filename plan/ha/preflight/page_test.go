package preflight

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
)

// docs/preflight.md says what the checks say of themselves.
func TestPage(t *testing.T) {
	const path = "../../../docs/preflight.md"
	frame, err := os.ReadFile("testdata/page.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows, notes []string
	for _, c := range Checks() {
		rows = append(rows, row(c))
		if c.Notes != "" {
			notes = append(notes, fmt.Sprintf("- **%s.** %s", c.Name, c.Notes))
		}
	}
	page := strings.NewReplacer("{{checks}}", strings.Join(rows, "\n"), "{{notes}}", strings.Join(notes, "\n")).Replace(string(frame))
	if *fixture.Update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), page); diff != "" {
		t.Error(diff)
	}
}

// row is a check's in the table.
func row(c Check) string {
	var severities []string
	for _, s := range c.Severities {
		word := string(s)
		if s == quorate.Refused && c.Lenient {
			word += `\*`
		}
		severities = append(severities, word)
	}
	read, tried := c.Needs()
	read = slices.DeleteFunc(read, func(k string) bool { return slices.Contains(ownership, fact(k)) })
	for i, k := range tried {
		tried[i] = "*" + k + "*"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |", c.Name, strings.Join(severities, ", "), c.Finds, strings.Join(append(read, tried...), " "))
}

// A check says what it is, its name is its own, and every fact that a host reports
// serves one.
func TestChecksAreWhole(t *testing.T) {
	known := map[fact]bool{factTunnel: true}
	for k := range factReaders {
		known[k] = true
	}
	for k := range probeReaders {
		known[k] = true
	}
	used, names := map[fact]bool{}, map[string]bool{}
	for _, c := range Checks() {
		if names[string(c.Name)] || c.Finds == "" || len(c.Severities) == 0 || c.judge == nil || strings.ContainsAny(c.Finds+c.Notes, "|\n") {
			t.Errorf("%+v", c)
		}
		names[string(c.Name)] = true
		if len(c.needs) == 0 && c.Name != Reachable {
			t.Errorf("%s rests on nothing", c.Name)
		}
		for _, k := range c.needs {
			used[k] = true
			if !known[k] {
				t.Errorf("%s needs %s, which no host reports", c.Name, k)
			}
		}
	}
	for k := range known {
		if !used[k] {
			t.Errorf("no check needs %s", k)
		}
	}
	if !slices.Equal(Names(), Names()) || len(Names()) != len(names) {
		t.Error(Names())
	}
}
