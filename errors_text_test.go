package quorate_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/internal/hostiletest"
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

// ownErrors are the exported errors of the module. TestErrorsAreKnown finds what
// is missing.
var ownErrors = []error{
	&quorate.InvalidError{},
	&etcdclient.EndpointError{}, &etcdclient.DialPanicError{}, &etcdclient.SnapshotError{}, &etcdclient.UnsupportedError{},
	&pki.FileError{}, &pki.AuthorityError{}, &pki.VerifyError{}, &pki.StackedError{}, &pki.UnknownNodeError{},
	&plan.GraphError{}, &plan.StepError{}, &plan.RunError{}, &plan.NotConvergedError{}, &plan.PanicError{}, &plan.HostError{},
	&plan.IrreversibleError{}, &plan.LockedError{}, &plan.LockLostError{}, &plan.JournalError{}, &plan.UndescribedError{}, &plan.StaleError{}, &plan.PreviewSchemaError{},
	&drill.ReportSchemaError{}, &drill.BreakError{}, &drill.NotRedundantError{},
	&events.Error{}, &events.WriteError{}, &events.ReadError{}, &events.SchemaError{},
	&filejournal.FormatError{}, &journal.SchemaError{},
	&ha.QuorumError{}, &ha.KubeconfigError{}, &ha.RestartError{}, &ha.DrainError{}, &ha.ComponentError{}, &ha.VIPError{}, &preflight.Error{}, &survey.DriftError{}, &software.HashError{},
	&statedir.AccessError{}, &statedir.FileError{}, &statedir.LockedError{},
	&transport.ExitError{}, &transport.NotStartedError{}, &transport.StillRunningError{}, &transport.UnknownExitError{},
	&transport.DialError{}, &transport.TunnelError{}, &transport.FileError{}, &ssh.AuthError{}, &sudo.Error{},
}

// ownTexts are other values that hold what a host may have sent, and have a String.
var ownTexts = []fmt.Stringer{
	&quorate.Problem{}, &survey.Difference{}, &plan.Change{}, &plan.Finding{}, &plan.Operator{}, &plan.Holder{}, &plan.Unfinished{}, &ssh.Attempt{},
}

// Whatever is in an error's fields, its text is safe to print: this is the one place where
// what hosts send is escaped, see internal/termsafe.
func TestErrorsAreText(t *testing.T) {
	for _, err := range ownErrors {
		hostiletest.Fill(err, hostiletest.Text)
		if _, numbers := err.(*journal.SchemaError); !numbers { //nolint:errorlint // itself
			require.Contains(t, err.Error(), hostiletest.Marker, "%T", err)
		}
		require.Empty(t, hostiletest.Problem(err.Error()), "%T", err)
	}
	for _, value := range ownTexts {
		hostiletest.Fill(value, hostiletest.Text)
		require.Empty(t, hostiletest.Problem(value.String()), "%T", value)
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
