// Command fieldgen writes the tables of the fields that KubeletConfiguration
// and KubeProxyConfiguration have in each minor of Kubernetes, read from the
// types' own source: the Go modules k8s.io/kubelet and k8s.io/kube-proxy, with
// k8s.io/component-base for what they share. It downloads what the module cache
// lacks; run it by go generate in package kubeadm.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// releases gives one release of every minor that Quorate renders for.
var releases = []struct {
	minor              int
	kubelet, kubeProxy string
}{
	{31, "v0.31.14", "v0.31.0"},
	{32, "v0.32.0", "v0.32.0"},
	{33, "v0.33.0", "v0.33.0"},
	{34, "v0.34.4", "v0.34.4"},
	{35, "v0.35.0", "v0.35.0"},
	{36, "v0.36.3", "v0.36.3"},
	{37, "v0.37.2", "v0.37.2"},
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	kubelet, kubeProxy := table{}, table{}
	for _, r := range releases {
		base := module(ctx, "k8s.io/component-base", r.kubelet)
		shared := map[string]string{
			"logsapi":                     filepath.Join(base, "logs/api/v1"),
			"tracingapi":                  filepath.Join(base, "tracing/api/v1"),
			"componentbaseconfigv1alpha1": filepath.Join(base, "config/v1alpha1"),
		}
		kubelet.add(r.minor, filepath.Join(module(ctx, "k8s.io/kubelet", r.kubelet), "config/v1beta1"), "KubeletConfiguration", shared)
		kubeProxy.add(r.minor, filepath.Join(module(ctx, "k8s.io/kube-proxy", r.kubeProxy), "config/v1alpha1"), "KubeProxyConfiguration", shared)
	}
	write("fields_kubelet.go", "kubeletFields", "KubeletConfiguration", kubelet)
	write("fields_kubeproxy.go", "kubeProxyFields", "KubeProxyConfiguration", kubeProxy)
}

// module gives the directory of a module in the module cache.
func module(ctx context.Context, path, version string) string {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", path+"@"+version).Output()
	var m struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &m); jsonErr != nil || m.Dir == "" {
		log.Fatalf("%s@%s: %v %s", path, version, err, m.Error)
	}
	return m.Dir
}

// table holds for each field's path its kind in each minor.
type table map[string]map[int]string

func (t table) add(minor int, dir, root string, shared map[string]string) {
	s := &source{packages: map[string]map[string]ast.Expr{}, shared: shared}
	s.walk(dir, ast.NewIdent(root), "", func(path, kind string) {
		if t[path] == nil {
			t[path] = map[int]string{}
		}
		t[path][minor] = kind
	})
}

// source resolves type names to their declarations.
type source struct {
	packages map[string]map[string]ast.Expr
	shared   map[string]string
}

func (s *source) types(dir string) map[string]ast.Expr {
	if s.packages[dir] == nil {
		s.packages[dir] = parse(dir)
	}
	return s.packages[dir]
}

func parse(dir string) map[string]ast.Expr {
	types := map[string]ast.Expr{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			log.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				types[spec.Name.Name] = spec.Type
			}
			return true
		})
	}
	return types
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
func (s *source) walk(dir string, typ ast.Expr, path string, visit func(path, kind string)) {
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
		s.walk(dir, s.types(dir)[t.Name], path, visit)
	default:
		log.Fatalf("%s: cannot follow %T", path, typ)
	}
}

func (s *source) selector(t *ast.SelectorExpr, path string, visit func(path, kind string)) {
	pkg := t.X.(*ast.Ident).Name
	if kind, ok := kinds[pkg+"."+t.Sel.Name]; ok {
		visit(path, kind)
		return
	}
	if dir, ok := s.shared[pkg]; ok {
		s.walk(dir, t.Sel, path, visit)
		return
	}
	visit(path, "kindAny") // of k8s.io/api and apimachinery, with a form of its own
}

func (s *source) field(dir string, f *ast.Field, path string, visit func(path, kind string)) {
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

func write(file, variable, kind string, t table) {
	var b strings.Builder
	fmt.Fprintf(&b, "// Code generated by internal/fieldgen; DO NOT EDIT.\n\npackage kubeadm\n\n")
	fmt.Fprintf(&b, "// %s are the fields of %s.\nvar %s = map[string]field{\n", variable, kind, variable)
	for _, path := range slices.Sorted(maps.Keys(t)) {
		minors := slices.Sorted(maps.Keys(t[path]))
		first, last := minors[0], minors[len(minors)-1]
		if len(minors) != last-first+1 {
			log.Fatalf("%s is gone and back: %v", path, minors)
		}
		if last == releases[len(releases)-1].minor {
			last = 0
		}
		fmt.Fprintf(&b, "\t%q: {%s, lifetime{%d, %d}},\n", path, widest(t[path]), first, last)
	}
	b.WriteString("}\n")
	text, err := format.Source([]byte(b.String()))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(file, text, fs.FileMode(0o644)); err != nil {
		log.Fatal(err)
	}
}

// widest is the kind that holds in every minor.
func widest(of map[int]string) string {
	all := slices.Compact(slices.Sorted(maps.Values(of)))
	if len(all) > 1 {
		return "kindAny"
	}
	return all[0]
}
