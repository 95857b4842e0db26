package quorate_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// function is an exported function or method of a public package, or of one of its interfaces.
type function struct {
	// name is "Parse", of is "kubeadm" or "kubeadm.Config".
	name, of, recv string
	params         []string
	results        []string
}

func (f function) String() string {
	return fmt.Sprintf("%s.%s(%s) (%s)", f.of, f.name, strings.Join(f.params, ", "), strings.Join(f.results, ", "))
}

// is reports whether the name is the verb, alone or before a noun.
func (f function) is(verb string) bool {
	rest, ok := strings.CutPrefix(f.name, verb)
	return ok && (rest == "" || unicode.IsUpper([]rune(rest)[0]))
}

func (f function) fails() bool { return len(f.results) > 0 && f.results[len(f.results)-1] == "error" }

func (f function) takes(types ...string) bool {
	return len(f.params) > 0 && slices.Contains(types, f.params[0])
}

// api is what the public packages of the module export.
func api(t *testing.T) (functions []function, types []string) {
	t.Helper()
	for _, p := range loadPackages(t) {
		if !within(p.ImportPath, module) || strings.Contains(p.ImportPath, "/internal") || within(p.ImportPath, module+"/examples") || p.Name == "main" {
			continue
		}
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, d := range file.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					f := functionOf(p.Name, "", d.Name.Name, d.Type)
					if d.Recv != nil {
						f = functionOf(p.Name, strings.TrimLeft(typeText(d.Recv.List[0].Type), "*"), d.Name.Name, d.Type)
					}
					if d.Name.IsExported() && (f.recv == "" || ast.IsExported(f.recv)) {
						functions = append(functions, f)
					}
				case *ast.GenDecl:
					for _, s := range d.Specs {
						s, ok := s.(*ast.TypeSpec)
						if !ok || !s.Name.IsExported() {
							continue
						}
						types = append(types, p.Name+"."+s.Name.Name+" "+fmt.Sprintf("%T", s.Type))
						if i, ok := s.Type.(*ast.InterfaceType); ok {
							for _, m := range i.Methods.List {
								if sig, ok := m.Type.(*ast.FuncType); ok && len(m.Names) == 1 {
									functions = append(functions, functionOf(p.Name, s.Name.Name, m.Names[0].Name, sig))
								}
							}
						}
					}
				}
			}
		}
	}
	return functions, types
}

func functionOf(pkg, recv, name string, sig *ast.FuncType) function {
	f := function{name: name, of: strings.TrimSuffix(pkg+"."+recv, "."), recv: recv}
	list := func(fields *ast.FieldList) (out []string) {
		if fields == nil {
			return nil
		}
		for _, field := range fields.List {
			for range max(1, len(field.Names)) {
				out = append(out, typeText(field.Type))
			}
		}
		return out
	}
	f.params, f.results = list(sig.Params), list(sig.Results)
	return f
}

func typeText(e ast.Expr) string {
	var b bytes.Buffer
	_ = printer.Fprint(&b, token.NewFileSet(), e) // into memory
	return b.String()
}

// The same thing has the same shape in every package, by the rules of CONTRIBUTING.md: a verb
// says what is looked at, and what comes back.
func TestOneShapeForTheSameThing(t *testing.T) {
	functions, types := api(t)
	require.Greater(t, len(functions), 300)
	require.Greater(t, len(types), 200)
	find := func(like function, name string) (function, bool) {
		i := slices.IndexFunc(functions, func(f function) bool { return f.of == like.of && f.name == name })
		if i < 0 {
			return function{}, false
		}
		return functions[i], true
	}
	var wrong []string
	refuse := func(f function, is bool, rule string) {
		if is {
			wrong = append(wrong, f.String()+": "+rule)
		}
	}
	unqualified := func(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }
	for _, f := range functions {
		switch {
		case f.name == "Problems":
			refuse(f, len(f.results) != 1 || unqualified(f.results[0]) != "Problems", "Problems returns Problems")
			refuse(f, f.takes("context.Context"), "Problems looks at nothing but the value")
		case f.is("Validate"):
			refuse(f, len(f.results) != 1 || f.results[0] != "error", "Validate returns an error")
			refuse(f, f.takes("context.Context"), "Validate looks at nothing but the value")
		case f.is("Check"):
			refuse(f, !f.takes("context.Context") || !f.fails(), "Check looks at a host: it takes a context and returns an error")
		case f.name == "WithDefaults":
			refuse(f, f.recv == "" || len(f.results) != 1 || f.results[0] != f.recv, "WithDefaults returns a copy")
		case f.is("Parse"):
			refuse(f, !f.takes("string", "[]byte") || !f.fails(), "Parse reads a text or bytes")
		case f.is("Decode"):
			refuse(f, !f.takes("io.Reader"), "Decode reads from a stream")
		case f.is("Read"):
			refuse(f, !f.takes("context.Context") || !f.fails(), "Read goes over the network or to a host: it takes a context and returns an error")
		case f.is("Load"):
			refuse(f, !f.fails(), "Load returns an error")
		case f.is("Must"):
			plain, ok := find(f, strings.TrimPrefix(f.name, "Must"))
			if !ok {
				plain, ok = find(f, "Parse"+strings.TrimPrefix(f.name, "Must"))
			}
			refuse(f, !ok || !slices.Equal(plain.params, f.params) || len(f.results) != 1 || !slices.Equal(plain.results, append(slices.Clone(f.results), "error")),
				"MustX panics where X, or ParseX, returns an error")
		}
		for _, p := range f.params {
			refuse(f, strings.HasPrefix(p, "*") && strings.HasSuffix(p, "Config"), "a Config is passed by value")
			refuse(f, strings.HasPrefix(p, "...") && strings.HasSuffix(p, "Option"), "there are no functional options")
		}
	}
	for _, typ := range types {
		name, kind, _ := strings.Cut(typ, " ")
		if strings.HasSuffix(name, "Options") || strings.HasSuffix(name, "Option") || strings.HasSuffix(name, "Opts") {
			wrong = append(wrong, name+": what something is made from is a Config")
		}
		if strings.HasSuffix(name, "Config") && kind != "*ast.StructType" {
			wrong = append(wrong, name+": a Config is a struct")
		}
	}
	slices.Sort(wrong)
	require.Empty(t, strings.Join(wrong, "\n"))
	contributing, err := os.ReadFile("CONTRIBUTING.md")
	require.NoError(t, err)
	for _, verb := range []string{"Problems", "Validate", "Check", "WithDefaults", "Parse", "Load", "Decode", "Read", "Must", "Config"} {
		require.Contains(t, string(contributing), verb)
	}
}
