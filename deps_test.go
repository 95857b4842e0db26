package quorate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/quorate-dev/quorate"

// pkg is what these tests need of go list's answer.
type pkg struct {
	ImportPath string
	Name       string
	Dir        string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// within reports whether an import path is the package or below it.
func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

func loadPackages(t *testing.T) map[string]pkg {
	t.Helper()
	return loadPackagesIn(t, ".")
}

// packagesIn holds, by flags and directory, what go list has answered: it takes a second each time.
var packagesIn sync.Map

// loadPackagesIn loads those of the module in a directory.
func loadPackagesIn(t *testing.T, dir string, flags ...string) map[string]pkg {
	t.Helper()
	once, _ := packagesIn.LoadOrStore(strings.Join(append(flags, dir), " "), sync.OnceValues(func() (map[string]pkg, error) { return listPackages(dir, flags) }))
	all, err := once.(func() (map[string]pkg, error))()
	require.NoError(t, err)
	return maps.Clone(all)
}

func listPackages(dir string, flags []string) (map[string]pkg, error) {
	args := append([]string{"list", "-deps", "-json=ImportPath,Name,Dir,Standard,GoFiles,Imports,Deps"}, flags...)
	cmd := exec.Command("go", append(args, "./...")...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	all := map[string]pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all[p.ImportPath] = p
	}
}

// ours returns the module's packages at or below a path of it.
func ours(all map[string]pkg, below string) []pkg {
	var out []pkg
	for _, p := range all {
		if within(p.ImportPath, module+"/"+below) {
			out = append(out, p)
		}
	}
	return out
}

func TestRootDependsOnTheStandardLibraryOnly(t *testing.T) {
	all := loadPackages(t)
	for _, dep := range all[module].Deps {
		require.True(t, all[dep].Standard || within(dep, module+"/internal"), "the root package depends on %s", dep)
	}
}

// What is under the module's own internal directory is for every package to
// use, and so depends on nothing but its neighbours; what bounds YAML, on its parsers.
func TestInternalPackagesDependOnTheStandardLibraryOnly(t *testing.T) {
	all := loadPackages(t)
	packages := ours(all, "internal")
	require.NotEmpty(t, packages)
	for _, p := range packages {
		if strings.HasSuffix(p.ImportPath, "test") {
			continue // for tests, with their libraries
		}
		for _, dep := range p.Deps {
			parser := p.ImportPath == module+"/internal/boundedyaml" && (within(dep, "go.yaml.in/yaml") || within(dep, "sigs.k8s.io/yaml"))
			require.True(t, all[dep].Standard || within(dep, module+"/internal") || parser, "%s depends on %s", p.ImportPath, dep)
		}
	}
}

// Renderers are pure: no files, no processes, no network, no logger, no
// environment. What their own code imports shows it; what cfssl imports in
// turn is cfssl's.
func TestRenderersDoNoIO(t *testing.T) {
	all := loadPackages(t)
	forbidden := []string{"os", "os/exec", "io/ioutil", "log", "log/slog", "net/http", "syscall", "os/user"}
	for _, name := range []string{"pki", "etcd", "vip", "kubeadm"} {
		p, ok := all[module+"/"+name]
		require.True(t, ok, "no package %s", name)
		for _, imp := range p.Imports {
			require.NotContains(t, forbidden, imp, "%s imports %s", name, imp)
			require.False(t, within(imp, module+"/transport") || within(imp, module+"/plan"), "%s imports %s", name, imp)
		}
	}
}

func TestTransportsKnowNothingOfKubernetes(t *testing.T) {
	all := loadPackages(t)
	packages := ours(all, "transport")
	require.NotEmpty(t, packages)
	for _, p := range packages {
		for _, dep := range p.Deps {
			if within(dep, module) {
				require.True(t, within(dep, module+"/transport") || within(dep, module+"/internal") && dep != module+"/internal/hostpath", "%s depends on %s", p.ImportPath, dep)
			}
			require.False(t, within(dep, "k8s.io"), "%s depends on %s", p.ImportPath, dep)
		}
	}
}

// Only the recipes join renderers and transports, and they take certificates
// through an interface: their users do not link cfssl.
func TestOnlyRecipesImportBothSides(t *testing.T) {
	all := loadPackages(t)
	renderers := []string{"pki", "etcd", "vip", "kubeadm"}
	for path, p := range all {
		if !within(path, module) || p.Name == "main" || within(path, module+"/plan/ha") || within(path, module+"/plan/drill") || within(path, module+"/examples") {
			continue
		}
		transports := slices.ContainsFunc(p.Deps, func(d string) bool { return within(d, module+"/transport") })
		renders := slices.ContainsFunc(p.Deps, func(d string) bool {
			return slices.ContainsFunc(renderers, func(r string) bool { return d == module+"/"+r })
		})
		require.False(t, transports && renders, "%s joins renderers and transports", path)
	}
	for _, name := range []string{"plan/ha", "plan/drill"} {
		require.Contains(t, all, module+"/"+name)
		for _, dep := range all[module+"/"+name].Deps {
			require.False(t, within(dep, "github.com/cloudflare/cfssl"), "%s links %s", name, dep)
			require.NotEqual(t, module+"/pki", dep, "%s links pki", name)
			require.False(t, within(dep, "k8s.io"), "%s links %s", name, dep)
		}
	}
}

// The engine knows hosts, and nothing of what recipes make of them: whoever runs
// plans of their own links this module's vocabulary, transport and what transport
// needs.
func TestEngineLinksNoRecipe(t *testing.T) {
	all := loadPackages(t)
	engine := all[module+"/plan"]
	require.NotEmpty(t, engine.Deps)
	needed := map[string]bool{}
	for _, dep := range all[module+"/transport"].Deps {
		needed[dep] = true
	}
	for _, dep := range engine.Deps {
		switch {
		case all[dep].Standard || needed[dep] || dep == module || dep == module+"/transport":
		case dep == "al.essio.dev/pkg/shellescape": // by which transport/ssh quotes commands too
		case within(dep, module+"/plan/internal") || within(dep, module+"/internal"):
		default:
			t.Errorf("plan links %s", dep)
		}
	}
}

// The engine stays small enough to be learnt: what is for a few goes into a package
// beside it, as plan/events and plan/journal do.
func TestEngineExportsFewNames(t *testing.T) {
	const most = 90
	p := loadPackages(t)[module+"/plan"]
	var names []string
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() {
					names = append(names, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names = append(names, s.Name.Name)
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names = append(names, n.Name)
						}
					}
				}
			}
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !ast.IsExported(name) })
	require.NotEmpty(t, names)
	require.LessOrEqual(t, len(names), most, "%v", names)
}

// What each package of plan may import of this module, besides what is internal
// to plan or to the module.
func TestPlanImports(t *testing.T) {
	all := loadPackages(t)
	rules := map[string][]string{
		"plan":                       {"", "transport"},
		"plan/events":                {"", "plan", "transport"},
		"plan/journal":               {"plan"},
		"plan/ha/software":           {"", "plan", "plan/events", "plan/ha/internal/hostsetup", "transport", "vip"},
		"plan/ha/internal/hostsetup": {"", "plan", "transport"},
		"plan/ha/internal/guard":     {"plan", "transport"},
		"plan/ha/internal/readonly":  {"", "plan", "transport"},
		"plan/ha/internal/kube":      {"", "plan", "plan/events", "transport", "kubeadm"},
		"plan/ha/internal/certcheck": {"", "kubeadm"},
		"plan/ha/internal/members":   {"", "plan", "plan/events", "transport", "etcd", "etcd/etcdclient"},
		"plan/ha/internal/addresses": {},
		"plan/ha/internal/holder":    {"", "plan", "plan/ha/internal/addresses", "transport"},
		"plan/ha/certstest":          {"", "plan/ha", "plan/ha/internal/certcheck"},
		"plan/ha/hatest":             {"", "etcd", "kubeadm", "transport", "transport/faketransport"},
		"plan/ha/sshtargets":         {"", "transport/ssh"},
		"plan/ha/statedir":           {"", "pki", "kubeadm", "vip", "plan/filejournal"},
		"plan/ha/preflight":          {"", "plan", "plan/events", "plan/ha/internal/addresses", "plan/ha/internal/guard", "plan/ha/internal/readonly", "plan/ha/internal/hostsetup", "transport", "etcd"},
		"plan/ha/survey":             {"", "plan", "plan/events", "plan/ha/internal/addresses", "plan/ha/internal/kube", "plan/ha/internal/readonly", "transport", "etcd", "etcd/etcdclient", "kubeadm"},
		"plan/ha/internal/roll":      {"", "plan", "transport"},
		"plan/ha/internal/settings":  {"", "plan", "plan/events", "plan/ha/internal/kube", "plan/ha/survey", "transport", "kubeadm"},
		"plan/ha": {
			"", "plan", "plan/events", "plan/ha/preflight", "plan/ha/survey", "plan/ha/software", "plan/ha/internal/certcheck", "plan/ha/internal/guard", "plan/ha/internal/holder", "plan/ha/internal/hostsetup", "plan/ha/internal/kube", "plan/ha/internal/members", "plan/ha/internal/readonly", "plan/ha/internal/roll", "plan/ha/internal/settings",
			"transport", "kubeadm", "etcd", "vip",
		},
		"plan/filejournal": {"plan", "plan/journal"},
		"plan/journaltest": {"", "plan", "plan/journal", "transport", "transport/faketransport"},
		"plan/clusterfile": {""},
	}
	for _, p := range ours(all, "plan") {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if name == "plan/ha/internal/hafixture" || within(name, "plan/internal") || within(name, "plan/drill") {
			continue // what tests have in common, and what is beside the engine
		}
		require.Contains(t, rules, name, "what may it import?")
	}
	for name, allowed := range rules {
		p, ok := all[module+"/"+name]
		require.True(t, ok, "no package %s", name)
		for _, imp := range p.Imports {
			own, ours := strings.CutPrefix(imp+"/", module+"/")
			own = strings.TrimSuffix(own, "/")
			if !ours || within(own, "internal") || within(own, "plan/internal") {
				continue
			}
			require.Contains(t, allowed, own, "%s imports %s", name, imp)
		}
	}
	for _, p := range ours(all, "plan/drill") {
		for _, imp := range p.Imports {
			require.False(t, imp == module+"/plan" || within(imp, module+"/plan/ha"), "%s imports %s", p.ImportPath, imp)
		}
	}
	for _, dir := range []string{"plan/etcdjournal", "plan/otelplan"} {
		for _, p := range ours(loadPackagesIn(t, dir), dir) {
			for _, imp := range p.Imports {
				require.False(t, within(imp, module+"/plan/ha"), "%s imports %s", p.ImportPath, imp)
			}
		}
	}
}

// A recipe says which steps in which order: its own files hold neither a script
// nor an Action, but for what only marks a place in the order.
func TestRecipesHoldNoScripts(t *testing.T) {
	p := loadPackages(t)[module+"/plan/ha"]
	require.NotEmpty(t, p.GoFiles)
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				require.False(t, strings.HasPrefix(strings.Trim(lit.Value, "`\""), "#"), "plan/ha/%s holds a script: %s", name, lit.Value)
			}
			return true
		})
	}
}

// The runner knows its journals by an interface: a user of plan links none of
// them, and a user of one of them nothing that it does not need.
func TestJournalsAreApart(t *testing.T) {
	all := loadPackages(t)
	journals := []string{module + "/plan/filejournal", module + "/plan/journaltest", module + "/plan/etcdjournal"}
	for path, p := range all {
		for _, dep := range p.Deps {
			if slices.Contains(journals, dep) {
				require.True(t, p.Name == "main" || within(path, module+"/examples") || path == module+"/plan/ha/statedir", "%s links %s", path, dep)
			}
		}
	}
	for _, imp := range all[module+"/plan/filejournal"].Imports {
		require.True(t, all[imp].Standard || imp == module+"/plan" || imp == module+"/plan/journal" || imp == module+"/plan/internal/filelock" || within(imp, module+"/internal"), "plan/filejournal imports %s", imp)
	}
	nested := loadPackagesIn(t, "plan/etcdjournal")
	require.Contains(t, nested, etcdClientModule)
	for path := range nested {
		require.False(t, within(path, etcdServerModule) || within(path, module+"/transport/ssh"), "plan/etcdjournal links %s", path)
	}
}

const etcdClientModule, etcdServerModule = "go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/server/v3"

// etcd's client is etcdclient's alone: no other package of the module imports it, and
// whoever does not use etcdclient does not link it.
func TestEtcdsClientStaysInside(t *testing.T) {
	all := loadPackages(t)
	inside := module + "/etcd/etcdclient"
	require.Contains(t, all[inside].Imports, etcdClientModule)
	for path, p := range all {
		if !within(path, module) || path == inside {
			continue
		}
		for _, imp := range p.Imports {
			for _, theirs := range []string{etcdClientModule, "go.uber.org/zap"} {
				require.False(t, within(imp, theirs), "%s imports %s", path, imp)
			}
		}
		if !slices.Contains(p.Deps, inside) {
			require.NotContains(t, p.Deps, etcdClientModule, path)
		}
	}
}

// Without gRPC's tracing, which a tag leaves out, nothing that the module links puts
// handlers on http.DefaultServeMux (which is what importing these does).
func TestNothingRegistersHandlers(t *testing.T) {
	all := loadPackagesIn(t, ".", "-tags=grpcnotrace")
	require.Contains(t, all, etcdClientModule)
	for path, p := range all {
		if !within(path, module) {
			continue
		}
		for _, registers := range []string{"expvar", "net/http/pprof", "golang.org/x/net/trace"} {
			require.NotContains(t, p.Deps, registers, path)
		}
	}
}

// Whoever imports the engine alone links no HTTP at all, whatever the tags.
func TestEngineLinksNoHTTP(t *testing.T) {
	for _, path := range []string{module + "/plan", module + "/plan/events", module + "/plan/filejournal"} {
		require.NotContains(t, loadPackages(t)[path].Deps, "net/http", path)
	}
}

// Nobody links OpenTelemetry who does not ask for it, and who does links its API
// and brings an SDK of their own.
func TestOpenTelemetryIsApart(t *testing.T) {
	const api, sdk = "go.opentelemetry.io/otel", "go.opentelemetry.io/otel/sdk"
	for path, p := range loadPackages(t) {
		require.False(t, within(path, api), "the module links %s", path)
		require.NotContains(t, p.Deps, module+"/plan/otelplan")
	}
	nested := loadPackagesIn(t, "plan/otelplan")
	require.Contains(t, nested, api+"/trace")
	for path := range nested {
		require.False(t, within(path, sdk) || within(path, module+"/transport/ssh") || within(path, module+"/pki"), "plan/otelplan links %s", path)
	}
}

// forTests reports whether a package is there for the tests of this module alone.
func forTests(path string) bool {
	return path == module+"/internal/tier" || strings.HasSuffix(path, "/internal/shelltest") || strings.HasSuffix(path, "/internal/opensshtest") || strings.HasSuffix(path, "/internal/fixture") || strings.HasSuffix(path, "/internal/hafixture")
}

// Libraries neither print nor exit nor read the environment nor make contexts
// of their own nor sleep regardless of one.
func TestLibrariesHaveNoGlobalEffects(t *testing.T) {
	forbidden := map[string][]string{
		"fmt":     {"Print", "Printf", "Println"},
		"os":      {"Exit", "Getenv", "LookupEnv", "Environ", "UserHomeDir", "Stdout", "Stderr", "Stdin"},
		"log":     {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf"},
		"context": {"TODO"},
		"time":    {"Sleep"},
	}
	all := loadPackages(t)
	maps.Copy(all, loadPackagesIn(t, "plan/etcdjournal"))
	maps.Copy(all, loadPackagesIn(t, "plan/otelplan"))
	for path, p := range all {
		if !within(path, module) || p.Name == "main" || within(path, module+"/examples") || forTests(path) {
			continue
		}
		require.NotContains(t, p.Imports, module+"/internal/tier", "%s: only tests import it", path)
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(forbidden[x.Name], sel.Sel.Name) {
					t.Errorf("%s/%s uses %s.%s", path, name, x.Name, sel.Sel.Name)
				}
				return true
			})
		}
	}
}

// readsEnvironment is what takes something from a program's environment that
// nobody handed over: variables, the home directory, proxies, a directory for
// temporary files, programs in PATH, the time zone, the system's authorities.
var readsEnvironment = map[string][]string{
	"os":                     {"Getenv", "LookupEnv", "Environ", "ExpandEnv", "UserHomeDir", "UserCacheDir", "UserConfigDir", "TempDir"},
	"syscall":                {"Getenv", "Environ"},
	"golang.org/x/sys/unix":  {"Getenv", "Environ"},
	"os/exec":                {"LookPath", "Command", "CommandContext"},
	"os/user":                {"Current"},
	"net/http":               {"ProxyFromEnvironment", "DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm"},
	"net/http/httpproxy":     {"FromEnvironment"},
	"crypto/x509":            {"SystemCertPool"},
	"time":                   {"Local", "LoadLocation"},
	"io/ioutil":              {"TempDir", "TempFile"},
	"google.golang.org/grpc": {"Dial", "DialContext"},
}

// environmentAt is where that is meant, with the reason.
var environmentAt = map[string]string{
	module + "/transport/local":         "this machine is the host: its commands have its environment",
	module + "/kubeadm/internal/oracle": "builds and runs kubeadm's releases for tests",
	module + "/plan/internal/shelltest": "runs scripts by the machine's shells in tests",
}

// Libraries take nothing from the environment, also not by way of a package that does: a
// directory for temporary files (TMPDIR), a proxy, a program by its name alone.
func TestLibrariesReadNoEnvironment(t *testing.T) {
	all := loadPackages(t)
	maps.Copy(all, loadPackagesIn(t, "plan/etcdjournal"))
	maps.Copy(all, loadPackagesIn(t, "plan/otelplan"))
	for path, p := range all {
		if !within(path, module) || p.Name == "main" || within(path, module+"/examples") || forTests(path) || environmentAt[path] != "" {
			continue
		}
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			require.NoError(t, err)
			for _, found := range environmentReads(file) {
				t.Errorf("%s/%s uses %s", path, name, found)
			}
		}
	}
}

// environmentReads finds uses of readsEnvironment in a file, whatever name it imports the package by.
func environmentReads(file *ast.File) []string {
	imported := map[string]string{}
	for _, i := range file.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		name := path[strings.LastIndex(path, "/")+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		imported[name] = path
	}
	uses := func(n ast.Expr) (path, name string) {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return "", ""
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return "", ""
		}
		return imported[x.Name], sel.Sel.Name
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if path, name := uses(n); slices.Contains(readsEnvironment[path], name) {
				found = append(found, path+"."+name)
			}
		case *ast.CallExpr: // without a directory they take TMPDIR's
			path, name := uses(n.Fun)
			if path == "os" && (name == "MkdirTemp" || name == "CreateTemp") {
				if dir, ok := n.Args[0].(*ast.BasicLit); ok && dir.Value == `""` {
					found = append(found, path+"."+name+` in ""`)
				}
			}
			if path == "google.golang.org/grpc" && name == "NewClient" && !mentions(n, "WithContextDialer", "WithNoProxy") {
				found = append(found, path+"."+name+" with HTTPS_PROXY")
			}
		case *ast.CompositeLit: // without a Transport it has the default one's proxy
			path, name := uses(n.Type)
			if path == "net/http" && (name == "Client" && !mentions(n, "Transport") || name == "Transport" && mentions(n, "ProxyFromEnvironment")) {
				found = append(found, path+"."+name)
			}
		}
		return true
	})
	return found
}

// mentions reports whether one of the names is in a piece of source.
func mentions(n ast.Node, names ...string) bool {
	seen := false
	ast.Inspect(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		seen = seen || ok && slices.Contains(names, id.Name)
		return !seen
	})
	return seen
}

// The check sees what it is for.
func TestEnvironmentReadsAreFound(t *testing.T) {
	for source, want := range map[string]int{
		`os.TempDir()`: 1, `os.CreateTemp("", "x")`: 1, `os.CreateTemp(dir, "x")`: 0, `os.MkdirTemp("", "x")`: 1, `os.ReadFile("x")`: 0,
		`&http.Client{}`: 1, `&http.Client{Transport: t}`: 0, `http.Get("x")`: 1, `grpc.NewClient("x")`: 1,
		`grpc.NewClient("x", grpc.WithContextDialer(d))`: 0, `u.Current()`: 1, `time.Now().In(time.Local)`: 1,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
import ("net/http"; "os"; u "os/user"; "time"; "google.golang.org/grpc")
var _ = `+strings.TrimPrefix(source, "_ = "), 0)
		require.NoError(t, err)
		require.Len(t, environmentReads(file), want, source)
	}
}

// Facts about releases are in releases.go alone and read by Version.Has: no other code
// compares the version of Kubernetes or etcd with a number.
func TestFactsOfReleasesAreReadByName(t *testing.T) {
	for path, p := range loadPackages(t) {
		if !within(path, module) || path == module {
			continue
		}
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) != 2 {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				_, number := call.Args[1].(*ast.BasicLit)
				if ok && number && sel.Sel.Name == "AtLeast" {
					t.Errorf("%s/%s compares a version with a number: name the fact in releases.go", path, name)
				}
				return true
			})
		}
	}
}
