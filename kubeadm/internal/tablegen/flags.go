package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"log"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const pflagPath = "github.com/spf13/pflag"

// component is a program whose arguments are read.
type component struct {
	name, variable string
	// command is the function that builds its command line, in cmd/NAME/app.
	command string
	// global says whether what libraries define on pflag.CommandLine when the
	// program starts are arguments as well. Cobra sees to that; the kubelet parses
	// its arguments itself.
	global bool
}

var components = []component{
	{"kube-apiserver", "apiServerFlags", "NewAPIServerCommand", true},
	{"kube-controller-manager", "controllerManagerFlags", "NewControllerManagerCommand", true},
	{"kube-scheduler", "schedulerFlags", "NewSchedulerCommand", true},
	{"kubelet", "kubeletFlags", "NewKubeletCommand", false},
}

// addFlags reads the arguments of a component. From the function that builds
// the command it follows every call that is about flags and notes what is
// defined on a flag set. Calls through an interface lead to every method of
// that name in the interface's package; conditions are not weighed. So it finds
// all that the component takes and now and then more.
func (t table) addFlags(s *source, c component) {
	l, program := s.loader(), "k8s.io/kubernetes/cmd/"+c.name
	scan := &flagScan{loader: l, seen: map[string]bool{}, goFlags: l.takesGoFlags(program), add: func(name string) {
		switch name = strings.ReplaceAll(name, "_", "-"); name {
		case "help", "version": // they end a component
		default:
			t.add(name, s.minor, "")
		}
	}}
	entry, ok := l.load(program + "/app").types.Scope().Lookup(c.command).(*types.Func)
	if !ok {
		log.Fatalf("1.%d: no %s", s.minor, c.command)
	}
	scan.follow(entry, nil)
	if c.global {
		scan.globals(program)
	}
}

// loader type-checks packages as far as flags need it: function bodies without
// a word of flags are left out, packages that are not read are empty, and what
// cannot be resolved because of it is ignored.
type loader struct {
	*source
	fset     *token.FileSet
	packages map[string]*loaded
	bodies   map[types.Object]body
}

type loaded struct {
	types   *types.Package
	files   []*ast.File
	info    *types.Info
	imports []string
	flags   bool // whether the package has to do with flags
}

type body struct {
	*ast.FuncDecl
	in *loaded
}

func (s *source) loader() *loader {
	if s.loaded == nil {
		s.loaded = &loader{source: s, fset: token.NewFileSet(), packages: map[string]*loaded{}, bodies: map[types.Object]body{}}
	}
	return s.loaded
}

// standard returns the packages of the standard library that have flag sets; it
// is costly for others.
var standard = importer.ForCompiler(token.NewFileSet(), "source", nil)

// Import is for types.Config.
func (l *loader) Import(path string) (*types.Package, error) {
	if path == "flag" {
		return standard.Import(path)
	}
	return l.load(path).types, nil
}

func (l *loader) load(path string) *loaded {
	if p := l.packages[path]; p != nil {
		return p
	}
	p := l.parse(path)
	l.packages[path] = p
	if !p.flags {
		// One that is empty.
		name := regexp.MustCompile(`(/v[0-9]+|\.v[0-9]+)\z`).ReplaceAllString(path, "")
		if len(p.files) > 0 {
			name = p.files[0].Name.Name
		}
		p.types = types.NewPackage(path, filepath.Base(name))
		p.types.MarkComplete()
		return p
	}
	config := types.Config{Importer: l, FakeImportC: true, Error: func(error) {}}
	p.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	p.types, _ = config.Check(path, l.fset, p.files, p.info) // the errors are of what was left out
	for _, f := range p.files {
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				l.bodies[p.info.Defs[f.Name]] = body{f, p}
			}
		}
	}
	return p
}

var aboutFlags = regexp.MustCompile(`(?i)flag`)

// parse reads the files of a package that are for Linux, without the function
// bodies that do not matter.
func (l *loader) parse(path string) *loaded {
	p := &loaded{}
	dir := l.dir(path)
	if dir == "" {
		return p
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		log.Fatal(err)
	}
	linux := build.Default
	linux.GOOS, linux.GOARCH, linux.CgoEnabled = "linux", "amd64", true
	for _, name := range names {
		if ok, err := linux.MatchFile(dir, filepath.Base(name)); err != nil || !ok || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(l.fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			log.Fatal(err)
		}
		p.files = append(p.files, file)
		for _, i := range importsOf(file) {
			p.imports = append(p.imports, i)
			p.flags = p.flags || i == "flag" || i == pflagPath || strings.HasSuffix(i, "/flag")
		}
		p.flags = p.flags || path == pflagPath
		if !own.MatchString(path) {
			trim(file)
		}
	}
	return p
}

// own are the packages of which everything is followed: the components' options
// and the libraries of logging, small ones where flags go by other names.
var own = regexp.MustCompile(`\A(k8s\.io/kubernetes/cmd/kube[a-z-]+/app/options|k8s\.io/klog(/v2)?|github\.com/golang/glog)\z`)

// trim takes away the bodies without a word of flags.
func trim(file *ast.File) {
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		found := aboutFlags.MatchString(f.Name.Name)
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				found = found || aboutFlags.MatchString(id.Name)
			}
			return !found
		})
		if !found {
			f.Body = nil
		}
	}
}

// flagScan follows calls.
type flagScan struct {
	*loader
	seen map[string]bool
	// goFlags says whether what is defined on flag.CommandLine counts.
	goFlags bool
	add     func(name string)
}

// follow visits the body of a function, once for each set of known arguments.
func (s *flagScan) follow(f *types.Func, args map[types.Object]string) {
	b, ok := s.bodies[f.Origin()]
	if !ok {
		return
	}
	key := fmt.Sprint(f.FullName(), args)
	if s.seen[key] {
		return
	}
	s.seen[key] = true
	switch f.FullName() {
	case "k8s.io/component-base/logs/klogflags.Init":
		// Of all that klog defines it takes over these.
		s.add("v")
		s.add("vmodule")
		return
	case "k8s.io/klog.InitFlags", "k8s.io/klog/v2.InitFlags", "k8s.io/component-base/logs.AddFlags", "k8s.io/apiserver/pkg/util/logs.AddFlags":
		// They hand on what the package has defined when the program started.
		s.initializers(b.in)
	}
	s.visit(b.Body, b.in, args)
}

// visit looks for calls below a node. texts holds what is known of string
// parameters and variables.
func (s *flagScan) visit(n ast.Node, in *loaded, texts map[types.Object]string) {
	texts = clone(texts)
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				id, ok := left.(*ast.Ident)
				if !ok || len(n.Lhs) != len(n.Rhs) {
					continue
				}
				if text, ok := s.text(n.Rhs[i], in, texts); ok {
					texts[in.info.ObjectOf(id)] = text
				}
			}
		case *ast.CallExpr:
			s.call(n, in, texts)
		case *ast.RangeStmt:
			return !s.overNames(n, in, texts)
		}
		return true
	})
}

// overNames visits the body of a loop over a list of strings once for each,
// and reports whether it is one.
func (s *flagScan) overNames(loop *ast.RangeStmt, in *loaded, texts map[types.Object]string) bool {
	list, ok := loop.X.(*ast.CompositeLit)
	if id, isName := loop.X.(*ast.Ident); isName {
		list, ok = in.value(id.Name).(*ast.CompositeLit)
	}
	value, named := loop.Value.(*ast.Ident)
	if !ok || !named {
		return false
	}
	for _, e := range list.Elts {
		text, ok := s.text(e, in, texts)
		if !ok {
			return false
		}
		inner := clone(texts)
		inner[in.info.ObjectOf(value)] = text
		s.visit(loop.Body, in, inner)
	}
	return true
}

func clone(m map[types.Object]string) map[types.Object]string {
	out := map[types.Object]string{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func (s *flagScan) call(call *ast.CallExpr, in *loaded, texts map[types.Object]string) {
	f := callee(call, in.info)
	if f == nil || f.Pkg() == nil {
		return
	}
	signature := f.Signature()
	if i := nameParameter(signature); i >= 0 && i < len(call.Args) {
		if f.Pkg().Path() != "flag" || signature.Recv() != nil || s.goFlags {
			s.define(call, call.Args[i], in, texts)
		}
		return
	}
	if !s.isAboutFlags(f, signature) {
		return
	}
	for _, f := range s.implementations(f, signature) {
		to := map[types.Object]string{}
		for i := range min(f.Signature().Params().Len(), len(call.Args)) {
			if text, ok := s.text(call.Args[i], in, texts); ok {
				to[f.Signature().Params().At(i)] = text
			}
		}
		s.follow(f, to)
	}
}

func callee(call *ast.CallExpr, info *types.Info) *types.Func {
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		f, _ := info.Uses[fun].(*types.Func)
		return f
	case *ast.SelectorExpr:
		f, _ := info.Uses[fun.Sel].(*types.Func)
		return f
	}
	return nil
}

// nameParameter is the place of the name among the parameters of a function
// that defines a flag, -1 if it does not. Those of flag and pflag, and those
// that Kubernetes models on them, have a name and a usage; its helpers that
// take a flag over from a global set call the name globalName.
func nameParameter(signature *types.Signature) int {
	place, usage := -1, false
	for i := range signature.Params().Len() {
		switch signature.Params().At(i).Name() {
		case "globalName":
			return i
		case "name":
			place = i
		case "usage":
			usage = true
		}
	}
	if !usage {
		return -1
	}
	return place
}

func (s *flagScan) define(call *ast.CallExpr, name ast.Expr, in *loaded, texts map[types.Object]string) {
	text, ok := s.text(name, in, texts)
	switch sel, isField := name.(*ast.SelectorExpr); {
	case ok:
		s.add(text)
	case isField && sel.Sel.Name == "Name":
		// A copy of a flag that is defined elsewhere.
	default:
		log.Fatalf("1.%d %s: which flag is it?", s.minor, s.fset.Position(call.Pos()))
	}
}

var flagSets = regexp.MustCompile(`\b(FlagSet|NamedFlagSets)\b`)

// isAboutFlags reports whether a call leads to flags: it hands a set over or
// yields one, it is called after flags, or it is in one of the own packages.
// What prints them defines some of its own on the way.
func (s *flagScan) isAboutFlags(f *types.Func, signature *types.Signature) bool {
	if f.Pkg().Path() == "flag" || f.Pkg().Path() == pflagPath || strings.HasPrefix(f.Name(), "Print") {
		return false
	}
	return flagSets.MatchString(types.TypeString(signature, nil)) || aboutFlags.MatchString(f.Name()) || own.MatchString(f.Pkg().Path())
}

// implementations of a method: itself, or for an interface's those of the same
// name in its package.
func (s *flagScan) implementations(f *types.Func, signature *types.Signature) []*types.Func {
	if signature.Recv() == nil || !types.IsInterface(signature.Recv().Type()) {
		return []*types.Func{f}
	}
	var found []*types.Func
	for obj := range s.bodies {
		if m, ok := obj.(*types.Func); ok && m.Name() == f.Name() && m.Pkg() == f.Pkg() && m.Signature().Recv() != nil {
			found = append(found, m)
		}
	}
	return found
}

// text is what a string expression is known to be.
func (s *flagScan) text(e ast.Expr, in *loaded, texts map[types.Object]string) (string, bool) {
	if v := in.info.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v), true
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.Ident:
		text, ok := texts[in.info.ObjectOf(e)]
		return text, ok
	case *ast.BinaryExpr:
		x, okX := s.text(e.X, in, texts)
		y, okY := s.text(e.Y, in, texts)
		return x + y, okX && okY && e.Op == token.ADD
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			if of, ok := in.info.Uses[x].(*types.PkgName); ok {
				return s.constant(of.Imported().Path(), e.Sel.Name)
			}
		}
	case *ast.CallExpr:
		return s.sprintf(e, in, texts)
	}
	return "", false
}

// constant finds a string constant of a package that was not type-checked.
func (s *flagScan) constant(path, name string) (string, bool) {
	if path == "github.com/google/cadvisor/lib/cadvisorflags" && name == "HousekeepingInterval" {
		return "housekeeping-interval", true // all that the kubelet takes of a module that is not read
	}
	return literal(s.load(path).value(name))
}

// value finds what a package's constant or variable is set to.
func (p *loaded) value(name string) (value ast.Expr) {
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && spec.Names[0].Name == name {
				value = spec.Values[0]
			}
			return value == nil
		})
	}
	return value
}

func (s *flagScan) sprintf(e *ast.CallExpr, in *loaded, texts map[types.Object]string) (string, bool) {
	sel, ok := e.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Sprintf" {
		return "", false
	}
	var args []any
	for _, a := range e.Args {
		text, ok := s.text(a, in, texts)
		if !ok {
			return "", false
		}
		args = append(args, text)
	}
	return fmt.Sprintf(args[0].(string), args[1:]...), true
}

// takesGoFlags reports whether a program takes over what libraries define on
// flag.CommandLine, as the components did until they named what they take.
func (l *loader) takesGoFlags(program string) (takes bool) {
	for _, f := range l.load(program).files {
		ast.Inspect(f, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			takes = takes || ok && id.Name == "AddGoFlagSet"
			return !takes
		})
	}
	return takes
}

// globals visits what the packages that a program links do with flags when it
// starts.
func (s *flagScan) globals(program string) {
	seen := map[string]bool{pflagPath: true, "flag": true}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] || strings.HasPrefix(path, "k8s.io/klog") { // it defines on a set of its own
			return
		}
		seen[path] = true
		p := s.load(path)
		for _, i := range p.imports {
			visit(i)
		}
		if p.flags {
			s.initializers(p)
		}
	}
	visit(program)
}

// initializers visits those of a package's variables, and init.
func (s *flagScan) initializers(p *loaded) {
	for _, f := range p.files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				s.visit(d, p, nil)
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil && d.Body != nil {
					s.visit(d.Body, p, nil)
				}
			}
		}
	}
}

func writeFlags(file string, tables []table) {
	var b strings.Builder
	for i, c := range components {
		fmt.Fprintf(&b, "var %s = flagSet{%q, map[string]lifetime{\n", c.variable, c.name)
		tables[i].entries(&b)
		b.WriteString("}}\n\n")
	}
	write(file, b.String())
}
