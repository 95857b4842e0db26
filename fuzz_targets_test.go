package quorate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzedBy are parsers that no fuzz target names, since one of what calls them does.
var fuzzedBy = map[string]string{
	"kubeadm/ParseAll": "FuzzParse", "kubeadm/read": "FuzzParse", "kubeadm/readFile": "FuzzParse", "kubeadm/parseAddr": "FuzzParse", "kubeadm/parsePrefix": "FuzzParse",
	"plan/ha/preflight/parseTime": "FuzzParseFacts", "plan/ha/preflight/parseListener": "FuzzParseFacts", "plan/ha/preflight/parseSysctlLine": "FuzzParseFacts",
	"plan/ha/preflight/parsePath": "FuzzParseProbes", "plan/ha/preflight/parseDD": "FuzzParseProbes",
	"plan/events/parseEvent": "FuzzDecodeEvents", "plan/journal/ParseRecord": "FuzzParseRecord",
	"plan/clusterfile/Parse": "FuzzLoad", "plan/clusterfile/read": "FuzzLoad",
	"pki/parsePair": "FuzzParseAuthority", "pki/parseCerts": "FuzzParseAuthority", "pki/parseKey": "FuzzParseAuthority",
	"transport/parseGroup": "FuzzParseStats",
}

// Each function that reads bytes or text of others is under a fuzz target of its
// package's, which make fuzz runs.
func TestParsersAreFuzzed(t *testing.T) {
	// What only tests, generators and the lab on this machine use.
	apart := regexp.MustCompile(`(^|/)(kubeadm/internal|kubeadm/upstream|examples/lab|examples/quickstart|[a-z]*test|faketransport|fixture|bubble)(/|$)`)
	parsers, targets, named := map[string]bool{}, map[string]bool{}, map[string]bool{}
	require.NoError(t, filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, ".go") || apart.MatchString(filepath.ToSlash(filepath.Dir(file))) {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		dir := filepath.ToSlash(filepath.Dir(file))
		for _, decl := range tree.Decls {
			f, ok := decl.(*ast.FuncDecl)
			switch {
			case !ok:
			case strings.HasSuffix(file, "_test.go") && strings.HasPrefix(f.Name.Name, "Fuzz"):
				targets[f.Name.Name] = true
				ast.Inspect(f, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok {
						named[path.Join(dir, id.Name)] = true
					}
					return true
				})
			case !strings.HasSuffix(file, "_test.go") && readsText(f):
				parsers[path.Join(dir, f.Name.Name)] = true
			}
		}
		return nil
	}))
	require.Greater(t, len(parsers), 20)
	for name := range parsers {
		by, indirect := fuzzedBy[name]
		if !named[name] && !indirect {
			t.Errorf("no fuzz target names %s: have one of its package call it, or add it to fuzzedBy with the one that reaches it", name)
		}
		require.False(t, named[name] && indirect, "%s is fuzzed, and in a list of others", name)
		if indirect {
			require.True(t, targets[by], "%s: there is no %s", name, by)
		}
	}
	for name := range fuzzedBy {
		require.True(t, parsers[name], "there is no %s", name)
	}
}

var readerName = regexp.MustCompile(`^([pP]arse|[dD]ecode|[rR]ead|[lL]oad)[A-Z]?`)

// readsText reports whether a function is one that parses, by its name, what it is
// handed as text, bytes or a stream.
func readsText(f *ast.FuncDecl) bool {
	if !readerName.MatchString(f.Name.Name) || f.Type.Results == nil {
		return false
	}
	for _, p := range f.Type.Params.List {
		switch of := p.Type.(type) {
		case *ast.Ident:
			if of.Name == "string" && !strings.HasPrefix(strings.ToLower(f.Name.Name), "read") && !strings.HasPrefix(strings.ToLower(f.Name.Name), "load") {
				return true
			}
		case *ast.ArrayType:
			if id, ok := of.Elt.(*ast.Ident); ok && id.Name == "byte" && !(f.Name.Name == "Read" && f.Recv != nil) {
				return true
			}
		case *ast.SelectorExpr:
			if of.Sel.Name == "Reader" && len(f.Type.Params.List) == 1 {
				return true
			}
		}
	}
	return false
}
