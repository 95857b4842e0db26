package quorate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the programs of pages take from their environment.
var surroundings = map[string]string{
	"README.md": `var (
	ctx            context.Context
	yaml           []byte
	kubeconfig     quorate.Content
	yourHypervisor drill.PowerBreaker
)
`,
	"docs/embedding.md": `var (
	ctx                   context.Context
	description           quorate.Cluster
	certs                 ha.Certs
	token, auth, password quorate.Content
	hosts                 transport.Transport
	file                  *os.File
	p                     *plan.Plan
	registry, announce    plan.Action
)
`,
}

var (
	selected = regexp.MustCompile(`\b([a-z]+)\.[A-Z]`)
	defined  = regexp.MustCompile(`(?m)^([a-z]+)(?:, ([a-z]+))? :=`)
)

// The program of each page is one: its blocks, in their order, compile as the body of a
// function, with every package imported that they name.
func TestProgramsOfPagesCompile(t *testing.T) {
	for page, around := range surroundings {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			compiles(t, page, around)
		})
	}
}

func compiles(t *testing.T, page, around string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	body := ""
	for _, block := range strings.Split(string(text), "```go\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		body += block
	}
	require.NotEmpty(t, body)
	for _, m := range defined.FindAllStringSubmatch(body, -1) {
		for _, name := range m[1:] {
			if name != "" {
				body += "_ = " + name + "\n" // the reader goes on with it
			}
		}
	}
	known := map[string]string{"context": "context", "fmt": "fmt", "os": "os", "slog": "log/slog", "rand": "crypto/rand"}
	for name := range loadPackages(t) {
		if within(name, module) && !strings.Contains(name, "/internal/") {
			known[path.Base(name)] = name
		}
	}
	var imports []string
	for _, m := range selected.FindAllStringSubmatch(around+body, -1) {
		if line := fmt.Sprintf("import %q\n", known[m[1]]); known[m[1]] != "" && !slices.Contains(imports, line) {
			imports = append(imports, line)
		}
	}
	require.Contains(t, imports, fmt.Sprintf("import %q\n", module+"/plan"))
	program := filepath.Join(t.TempDir(), "program.go")
	source := "package program\n\n" + strings.Join(imports, "") + "\n" + around + "\nfunc program() {\n" + body + "}\n"
	require.NoError(t, os.WriteFile(program, []byte(source), 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, program).CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, source)
}
