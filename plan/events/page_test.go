package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/plan/journal"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/sudo"
)

const eventsPage = "../../docs/events.md"

// constants returns every constant of a type in the package's source.
func constants(t *testing.T, file, typ string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == typ {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, value)
		}
		return true
	})
	return out
}

// shownErrors has an example of each kind.
func shownErrors() map[events.Kind]error {
	alice := plan.Holder{Operator: plan.Operator{Name: "alice", Machine: "laptop", Process: "4711"}, Run: "Q7XZ2MVF", Since: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)}
	exit := &transport.ExitError{Host: "cp-2", Argv: []string{"systemctl", "start", "keepalived.service"}, Code: 1,
		Stderr: "Job for keepalived.service failed.\n"}
	step := &plan.StepError{Step: "vip/cp-2", Host: "cp-2", Phase: plan.Applying, Attempt: 1, Err: exit}
	return map[events.Kind]error{
		events.KindStep:         step,
		events.KindRun:          &plan.RunError{Failed: []*plan.StepError{step}, NotReached: []plan.ID{"join/cp-2", "join/worker-1", "ready"}},
		events.KindExit:         exit,
		events.KindNotStarted:   &transport.NotStartedError{Host: "cp-2", Argv: []string{"id", "-u"}, Code: 1, Said: "This account is currently not available.\n"},
		events.KindStillRunning: &transport.StillRunningError{Host: "cp-2", Argv: []string{"kubeadm", "init"}, Group: 4711, Err: context.Canceled, Why: errors.New("the connection is gone")},
		events.KindUnknownExit:  &transport.UnknownExitError{Host: "cp-2", Argv: []string{"systemctl", "restart", "etcd.service"}, Err: io.ErrUnexpectedEOF},
		events.KindAuth: &ssh.AuthError{User: "root", Allowed: []string{"publickey", "password"}, Attempts: []ssh.Attempt{
			{Method: "publickey", Key: "ssh-ed25519 SHA256:2Pkh0sZxkVPk7xWxBqxM5QPYsFkMLzFcwDHKYPO4D4s", From: "KeyFiles[0]"}}},
		events.KindTunnel: &transport.TunnelError{Host: "cp-1", Network: "tcp", Addr: "192.0.2.11:2379", Reason: transport.TunnelForbidden,
			Advice: "set AllowTcpForwarding to yes in the host's sshd_config"},
		events.KindDial: &transport.DialError{Host: "cp-3", Addr: "192.0.2.13:22", Reason: transport.HostKey,
			Advice: "put the host's key into known_hosts if it is the right one", Err: errors.New("knownhosts: key is unknown")},
		events.KindHost: &plan.HostError{Host: "cp-1", Findings: []plan.Finding{
			{Found: "logged in as uid 1000, not as root", Do: "connect as root or decorate the transport with sudo"}}},
		events.KindPreflight: &preflight.Error{Findings: []plan.Finding{{Check: preflight.Swap, Severity: quorate.Refused, Hosts: []string{"cp-1"},
			Found: "swap is on (/dev/sda2), with which the kubelet does not start", Do: "swapoff -a and take it out of /etc/fstab, or set kubeadm.kubelet.failSwapOn to false"}}},
		events.KindDrift: &survey.DriftError{Differences: []survey.Difference{{Path: "etcd.dataDir", Class: survey.Fixed, Store: survey.InFile, Hosts: []string{"cp-1", "cp-2"},
			Described: "/srv/etcd", Running: "/var/lib/quorate/etcd", Do: "describe the directory that holds the data"}}},
		events.KindNotConverged: &plan.NotConvergedError{Left: plan.Diff{{Verb: "start", Subject: "unit etcd.service", Detail: "failed"}}},
		events.KindPanic:        &plan.PanicError{Value: "index out of range [3] with length 3", Stack: "goroutine 7 [running]:\n"},
		events.KindJournal:      &plan.JournalError{Op: "append", Record: plan.RecordOutcome, Step: "etcd/cp-1", Err: errors.New("no space left on device")},
		events.KindLocked:       &plan.LockedError{Holder: alice},
		events.KindLockLost:     &plan.LockLostError{Holder: alice, Err: errors.New("etcd's lease has run out")},
		events.KindSchema:       &journal.SchemaError{Schema: 2},
		events.KindHash:         &software.HashError{Path: "/usr/local/bin/etcd", Want: strings.Repeat("0a", 32), Got: strings.Repeat("0b", 32)},
		events.KindFile:         &transport.FileError{Host: "cp-1", Op: "write", Path: "/etc/motd", Err: fs.ErrPermission},
		events.KindSudo:         &sudo.Error{Host: "cp-1", Reason: sudo.PasswordNeeded},
		events.KindStale: &plan.StaleError{Steps: []plan.StaleStep{{Step: "init/cp-1", Host: "cp-1",
			Differences: []string{"it was would-change and is unchanged"}}}},
		events.KindUndescribed:   &plan.UndescribedError{Steps: []plan.ID{"motd/cp-1"}},
		events.KindPreviewSchema: &plan.PreviewSchemaError{Got: "quorate.dev/preview/v2"},
		events.KindQuorum:        &ha.QuorumError{Member: "cp-2", Voters: 2, Majority: 2, Healthy: []string{"cp-1"}, Err: errors.New("cp-3 does not answer")},
		events.KindRestart:       &ha.RestartError{Member: "cp-1", Err: errors.New("Job for etcd.service failed")},
		events.KindDrain:         &ha.DrainError{Node: "worker-1", Pods: []string{"default/web-0"}, Timeout: 10 * time.Minute, Err: &transport.ExitError{Code: 1, Host: "cp-1", Argv: []string{"kubectl", "drain", "worker-1"}, Stderr: "global timeout reached: 10m0s"}},
		events.KindIrreversible:  &plan.IrreversibleError{Step: "etcd-join/cp-2", Reason: "what it does has no way back"},
		events.KindGraph:         &plan.GraphError{Faults: []string{`step "b" comes after "a", which is no step`}},
		events.KindEventWrite:    &events.WriteError{Seq: 12, Err: errors.New("no space left on device")},
		events.KindEventRead:     &events.ReadError{Line: 3, Err: io.ErrUnexpectedEOF},
		events.KindEventSchema:   &events.SchemaError{Got: "quorate.dev/event/v2"},
		events.KindEtcd:          &etcdclient.EndpointError{Endpoint: "https://192.0.2.11:2379", Op: "ask for its status", Err: context.DeadlineExceeded},
		events.KindInvalid: &quorate.InvalidError{What: "cluster", Problems: quorate.Problems{
			{Path: "endpoint.vip.routerID", Message: "256: want 1 to 255", Severity: quorate.Refused}}},
		events.KindCanceled: context.Canceled,
		events.KindTimeout:  context.DeadlineExceeded,
		events.KindOther:    errors.New("unexpected end of the answer"),
	}
}

// shownEvents has an example of each kind.
func shownEvents() map[plan.EventKind]plan.Event {
	failed := shownErrors()
	diff := plan.Diff{{Verb: "update", Subject: "/etc/keepalived/keepalived.conf", Detail: "content"}, {Verb: "restart", Subject: "unit keepalived.service", Disruptive: true}}
	lost := &plan.StepError{Step: "vip/cp-2", Host: "cp-2", Phase: plan.Checking, Attempt: 1, Err: &transport.DialError{
		Host: "cp-2", Addr: "192.0.2.12:22", Reason: transport.Lost, Err: errors.New("connection reset by peer")}}
	left := plan.Unfinished{Step: "vip/cp-2", Host: "cp-2", Run: "K3PBA6TN", Operator: plan.Operator{Name: "alice"}, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	of := func(e plan.Event) plan.Event {
		e.Step, e.Host, e.Title, e.Attempt = "vip/cp-2", "cp-2", "run keepalived", 1
		return e
	}
	unfinished := of(plan.Event{Message: left.String()})
	unfinished.Attempt = 0
	return map[plan.EventKind]plan.Event{
		plan.RunStarted:     {Steps: 35},
		plan.StepUnfinished: unfinished,
		plan.JournalFailed:  of(plan.Event{Err: failed[events.KindJournal]}),
		plan.StepStarted:    of(plan.Event{}),
		plan.StepApplying:   of(plan.Event{Diff: diff}),
		plan.StepProgress:   of(plan.Event{Message: "waiting for the unit"}),
		plan.StepRetrying:   of(plan.Event{Err: lost}),
		plan.StepEnded:      of(plan.Event{Outcome: plan.Failed, Diff: diff, Err: failed[events.KindStep], Elapsed: 1234 * time.Millisecond}),
		plan.RunEnded: {Elapsed: 44 * time.Second, Err: failed[events.KindRun], Summary: &plan.Summary{
			Steps: 35, Outcomes: map[plan.Outcome]int{plan.Changed: 31, plan.Failed: 1, plan.NotReached: 3}, RoundTrips: map[string]int{"cp-1": 44, "cp-2": 23},
			Elapsed: 44 * time.Second, Unfinished: []plan.Unfinished{left}}},
	}
}

// The page has every kind, with an example that is what the code writes, and
// every field. Its examples are written by go test -run TheEventsPage -update.
func TestEventsPage(t *testing.T) {
	want := map[string]string{}
	for kind, e := range shownEvents() {
		e.Kind, e.Run, e.Time = kind, "Q7XZ2MVF", time.Date(2026, 1, 2, 15, 4, 5, 678900000, time.UTC)
		line, err := events.EncodeEvent(e, 7)
		if err != nil {
			t.Fatal(err)
		}
		want["Event `"+string(kind)+"`"] = indentedJSON(t, line)
	}
	examples := map[events.Kind]events.Error{events.KindOmitted: events.Omitted(12)}
	for kind, err := range shownErrors() {
		examples[kind] = *events.Describe(err)
	}
	for kind, e := range examples {
		if e.Kind != kind {
			t.Errorf("the example of %s is a %s", kind, e.Kind)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		want["Error `"+string(kind)+"`"] = indentedJSON(t, b)
	}
	var kinds []string
	for _, kind := range constants(t, "../event.go", "EventKind") {
		kinds = append(kinds, "Event `"+kind+"`")
	}
	for _, kind := range constants(t, "error.go", "Kind") {
		kinds = append(kinds, "Error `"+kind+"`")
	}
	if got := slices.Sorted(maps.Keys(want)); !slices.Equal(got, slices.Sorted(slices.Values(kinds))) {
		t.Fatalf("the examples are %q, the kinds %q", got, kinds)
	}

	b, err := os.ReadFile(eventsPage)
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile("(?s)### ((?:Event|Error) `[a-z-]+`)\n\n(.*?)```json\n(.*?)```\n")
	page := section.ReplaceAllStringFunc(string(b), func(s string) string {
		m := section.FindStringSubmatch(s)
		example, known := want[m[1]]
		if !known {
			t.Errorf("the page has %s, which there is not", m[1])
		}
		delete(want, m[1])
		return fmt.Sprintf("### %s\n\n%s```json\n%s```\n", m[1], m[2], example)
	})
	if len(want) > 0 {
		t.Errorf("the page lacks %q", slices.Sorted(maps.Keys(want)))
	}
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(eventsPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if page != string(b) {
		t.Errorf("%s shows other examples than the code writes: run this test with -update", eventsPage)
	}

	stream, errs, found := strings.Cut(page, "## Fields of an error")
	if !found {
		t.Fatal("the page has no part on errors")
	}
	compareFields(t, "event", stream, reflect.TypeFor[events.EventLine]())
	compareFields(t, "error", errs, reflect.TypeFor[events.Error]())
}

// Every typed error of this package and of transport has a kind of its own.
func TestErrorsHaveKinds(t *testing.T) {
	kinds := map[string]events.Kind{}
	for kind, err := range shownErrors() {
		kinds[strings.TrimPrefix(fmt.Sprintf("%T", err), "*")] = kind
	}
	receiver := regexp.MustCompile(`(?m)^func \(\w+ \*?([A-Z]\w*)\) Error\(\) string`)
	found := 0
	for dir, name := range map[string]string{
		".": "events", "..": "plan", "../../transport": "transport", "../../transport/ssh": "ssh", "../ha/preflight": "preflight", "../ha/survey": "survey", "../ha/software": "software", "../ha/internal/members": "members",
	} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range receiver.FindAllStringSubmatch(string(text), -1) {
				found++
				if typ := name + "." + m[1]; kinds[typ] == "" && typ != "events.Error" {
					t.Errorf("%s has no kind", typ)
				}
			}
		}
	}
	if found < 15 {
		t.Errorf("found %d errors: this test looks in the wrong place", found)
	}
}

func indentedJSON(t *testing.T, line []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(line), "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}

// compareFields holds a table of the page against the fields of a type.
func compareFields(t *testing.T, what, text string, typ reflect.Type) {
	t.Helper()
	var documented, known []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| (?:string|number|boolean|array|object) \\| .+ \\|$").FindAllStringSubmatch(text, -1) {
		documented = append(documented, m[1])
	}
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		known = append(known, name)
	}
	if !slices.Equal(documented, known) {
		t.Errorf("fields of an %s: the page has %q, the code has %q", what, documented, known)
	}
}
