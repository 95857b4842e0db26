package quorate_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/filejournal"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/plan/journal"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/sudo"
)

// hostile is what a host may send: what a terminal obeys (a clipboard, a title, a
// cursor that goes up), ends of lines, directions, what no reader sees, half a
// character, and what pages and graphs obey.
const hostile = "ok\x1b]52;c;cm0gLXJm\a\x1b[1A\x1b[2K\r\x00\x7f\u009b31m\x9b\xe2\x80\u202egpj.exe\u2066\u200b\ufeff\u2028\U000e0041`%%{init: {}}%%\"><script>"

// ownErrors are the exported errors of the module. TestErrorsAreKnown finds what
// is missing.
var ownErrors = []error{
	&quorate.InvalidError{},
	&etcdclient.EndpointError{}, &etcdclient.SnapshotError{}, &etcdclient.UnsupportedError{},
	&pki.FileError{}, &pki.AuthorityError{}, &pki.VerifyError{}, &pki.StackedError{}, &pki.UnknownNodeError{},
	&plan.GraphError{}, &plan.StepError{}, &plan.RunError{}, &plan.NotConvergedError{}, &plan.PanicError{}, &plan.HostError{},
	&plan.IrreversibleError{}, &plan.LockedError{}, &plan.LockLostError{}, &plan.JournalError{}, &plan.UndescribedError{}, &plan.StaleError{}, &plan.PreviewSchemaError{},
	&drill.ReportSchemaError{}, &drill.BreakError{}, &drill.NotRedundantError{},
	&events.Error{}, &events.WriteError{}, &events.ReadError{}, &events.SchemaError{},
	&filejournal.FormatError{}, &journal.SchemaError{},
	&ha.QuorumError{}, &ha.RestartError{}, &ha.VIPError{}, &preflight.Error{}, &survey.DriftError{}, &software.HashError{},
	&statedir.AccessError{}, &statedir.FileError{}, &statedir.LockedError{},
	&transport.ExitError{}, &transport.NotStartedError{}, &transport.StillRunningError{}, &transport.UnknownExitError{},
	&transport.DialError{}, &transport.TunnelError{}, &transport.FileError{}, &ssh.AuthError{}, &sudo.Error{},
}

// ownTexts are other values that hold what a host may have sent, and have a String.
var ownTexts = []any{
	&quorate.Problem{}, &survey.Difference{}, &plan.Change{}, &plan.Finding{}, &plan.Operator{}, &plan.Holder{}, &plan.Unfinished{}, &ssh.Attempt{},
}

// Whatever is in an error's fields, its text is safe to print: this is the one place where
// what hosts send is escaped, see internal/termsafe.
func TestErrorsAreText(t *testing.T) {
	for _, err := range ownErrors {
		v := reflect.ValueOf(err)
		fillHostile(v, 0)
		requireShowable(t, v.Elem().Type().String(), err.Error())
	}
	for _, value := range ownTexts {
		v := reflect.ValueOf(value)
		fillHostile(v, 0)
		requireShowable(t, v.Elem().Type().String(), v.Interface().(interface{ String() string }).String())
	}
}

func TestErrorsAreKnown(t *testing.T) {
	known := map[string]bool{}
	for _, err := range ownErrors {
		of := reflect.TypeOf(err).Elem()
		known[of.PkgPath()+"."+of.Name()] = true
	}
	// What is only for tests, or has another module's go.mod.
	others := []string{"kubeadm/upstream", "kubeadm/internal", "plan/etcdjournal", "examples", "transport/faketransport"}
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, o := range others {
			if strings.HasPrefix(path, o+"/") {
				return nil
			}
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Name.Name != "Error" || f.Recv == nil || len(f.Type.Params.List) > 0 {
				continue
			}
			of := f.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			name := of.(*ast.Ident).Name
			if ast.IsExported(name) && !strings.HasPrefix(path, "internal/") {
				require.True(t, known[strings.TrimSuffix(module+"/"+filepath.ToSlash(filepath.Dir(path)), "/.")+"."+name], "%s: %s is not in ownErrors", path, name)
			}
		}
		return nil
	}))
}

func requireShowable(t *testing.T, what, text string) {
	t.Helper()
	require.NotEmpty(t, text, what)
	for _, r := range text {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			t.Errorf("%s holds %U: %q", what, r, text)
			return
		}
	}
}

// fillHostile sets every exported text within a value, and one element of each list.
func fillHostile(v reflect.Value, depth int) {
	if depth > 6 || !v.CanSet() && v.Kind() != reflect.Pointer {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Int:
		v.SetInt(1)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fillHostile(v.Elem(), depth+1)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
			return
		}
		for i := range v.NumField() {
			fillHostile(v.Field(i), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillHostile(v.Index(0), depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillHostile(key, depth+1)
		fillHostile(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Interface:
		if v.Type() == reflect.TypeFor[error]() {
			v.Set(reflect.ValueOf(errors.New(hostile)))
		}
	}
}
