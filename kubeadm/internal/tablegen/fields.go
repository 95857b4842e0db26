package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// configuration is a type that is read by its own source, in the first of the
// packages that a release has: they moved.
type configuration struct {
	name     string
	packages []string
}

var (
	kubeletConfiguration = configuration{"KubeletConfiguration", []string{
		"k8s.io/kubelet/config/v1beta1",
		"k8s.io/kubernetes/pkg/kubelet/apis/kubeletconfig/v1beta1", // until 1.11
	}}
	kubeProxyConfiguration = configuration{"KubeProxyConfiguration", []string{
		"k8s.io/kube-proxy/config/v1alpha1",
		"k8s.io/kubernetes/pkg/proxy/apis/kubeproxyconfig/v1alpha1", // until 1.11
	}}
)

func (t table) addFields(s *source, c configuration) {
	for _, path := range c.packages {
		if dir := s.dir(path); dir != "" {
			f := &fieldSource{source: s, packages: map[string]map[string]declared{}}
			f.walk(dir, ast.NewIdent(c.name), "", func(path, kind string) { t.add(path, s.minor, kind) })
			return
		}
	}
	log.Fatalf("1.%d has no %s", s.minor, c.name)
}

// fieldSource resolves type names to their declarations.
type fieldSource struct {
	*source
	packages map[string]map[string]declared
	imports  map[string]string // of the file whose type is being followed
}

// declared is a type and what its file imports, by the names it uses.
type declared struct {
	ast.Expr
	imports map[string]string
}

func (s *fieldSource) types(dir string) map[string]declared {
	if s.packages[dir] == nil {
		s.packages[dir] = parse(dir)
	}
	return s.packages[dir]
}

func parse(dir string) map[string]declared {
	types := map[string]declared{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			log.Fatal(err)
		}
		imports := importsOf(file)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				types[spec.Name.Name] = declared{spec.Type, imports}
			}
			return true
		})
	}
	return types
}

// importsOf returns the paths that a file imports by the names it calls them.
func importsOf(file *ast.File) map[string]string {
	imports := map[string]string{}
	for _, i := range file.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			log.Fatal(err)
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		imports[name] = path
	}
	return imports
}

// kinds of the types that are not followed.
var kinds = map[string]string{
	"string": "kindString", "bool": "kindBool", "float32": "kindFloat", "float64": "kindFloat",
	"int": "kindInt", "int8": "kindInt", "int32": "kindInt", "int64": "kindInt", "uint32": "kindInt", "uint64": "kindInt",
	"metav1.Duration":    "kindDuration",
	"TimeOrMetaDuration": "kindAny", // a string or a number of nanoseconds
}

// walk visits the fields below a type, path by path: .name for a field, [] for
// the items of a list, {} for the values of a map.
func (s *fieldSource) walk(dir string, typ ast.Expr, path string, visit func(path, kind string)) {
	switch t := typ.(type) {
	case *ast.StarExpr:
		s.walk(dir, t.X, path, visit)
	case *ast.ArrayType:
		visit(path, "kindList")
		s.walk(dir, t.Elt, path+"[]", visit)
	case *ast.MapType:
		visit(path, "kindMap")
		s.walk(dir, t.Value, path+"{}", visit)
	case *ast.StructType:
		if path != "" {
			visit(path, "kindObject")
		}
		for _, f := range t.Fields.List {
			s.field(dir, f, path, visit)
		}
	case *ast.SelectorExpr:
		s.selector(t, path, visit)
	case *ast.Ident:
		if kind, ok := kinds[t.Name]; ok {
			visit(path, kind)
			return
		}
		s.named(dir, t.Name, path, visit)
	default:
		log.Fatalf("%s: cannot follow %T", path, typ)
	}
}

func (s *fieldSource) selector(t *ast.SelectorExpr, path string, visit func(path, kind string)) {
	pkg := t.X.(*ast.Ident).Name
	if kind, ok := kinds[pkg+"."+t.Sel.Name]; ok {
		visit(path, kind)
		return
	}
	if shared := s.imports[pkg]; sharedPackage.MatchString(shared) {
		s.named(s.dir(shared), t.Sel.Name, path, visit)
		return
	}
	visit(path, "kindAny") // of k8s.io/api and apimachinery, with a form of its own
}

// named walks a type of a package, with the imports of its file.
func (s *fieldSource) named(dir, name, path string, visit func(path, kind string)) {
	t, ok := s.types(dir)[name]
	if !ok {
		log.Fatalf("%s: no type %s in %s", path, name, dir)
	}
	outer := s.imports
	s.imports = t.imports
	s.walk(dir, t.Expr, path, visit)
	s.imports = outer
}

// sharedPackage has structures that several components' configurations share.
var sharedPackage = regexp.MustCompile(`\Ak8s\.io/(component-base/|apimachinery/pkg/apis/config/|apiserver/pkg/apis/config/)`)

func (s *fieldSource) field(dir string, f *ast.Field, path string, visit func(path, kind string)) {
	if f.Tag == nil {
		return
	}
	text, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		log.Fatal(err)
	}
	name, options, _ := strings.Cut(reflect.StructTag(text).Get("json"), ",")
	embedded := len(f.Names) == 0
	switch {
	case name == "-":
	case embedded && (name == "" || strings.Contains(options, "inline")):
		if sel, ok := f.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "TypeMeta" {
			return
		}
		s.walk(dir, f.Type, path, visit)
	case name != "":
		s.walk(dir, f.Type, strings.TrimPrefix(path+"."+name, "."), visit)
	}
}

func writeFields(file, variable, kind string, t table) {
	var b strings.Builder
	fmt.Fprintf(&b, "// %s are the fields of %s.\nvar %s = map[string]field{\n", variable, kind, variable)
	for _, path := range t.names() {
		first, last := t.lifetime(path)
		fmt.Fprintf(&b, "\t%q: {%s, lifetime{%d, %d}},\n", path, widest(t[path]), first, last)
	}
	b.WriteString("}\n")
	write(file, b.String())
}

// widest is the kind that holds in every minor.
func widest(of map[int]string) string {
	all := slices.Compact(slices.Sorted(maps.Values(of)))
	if len(all) > 1 {
		return "kindAny"
	}
	return all[0]
}
