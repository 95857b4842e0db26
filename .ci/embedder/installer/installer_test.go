package installer_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"example.com/importer/embedder/authority"
	"example.com/importer/embedder/installer"
	"example.com/importer/embedder/reach"
	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/filejournal"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

var update = flag.Bool("update", false, "write the golden files")

// A marker in each secret, to be looked for wherever nothing secret may be.
const (
	tokenMarker     = "tokenmarker00000" // the second half of the bootstrap token
	vipMarker       = "vipmarkr"
	registryMarker  = "registry-marker-password"
	inventoryMarker = "inventory-marker-token"
	manifestMarker  = "manifest-marker-secret"
)

type env struct {
	description quorate.Cluster
	cluster     *ha.Cluster
	hosts       *hatest.Cluster
	audit       *reach.Audit
	create      *plan.Plan
	// secrets are the texts that must not be found.
	secrets []string
	// said is every event as Go prints it, lines are all of them as JSON Lines.
	said, lines bytes.Buffer
	journal     string
}

func setUp(t *testing.T) *env {
	t.Helper()
	e := &env{journal: filepath.Join(t.TempDir(), "journal.jsonl")}
	e.description = quorate.Cluster{
		Name: "prod", Version: quorate.MustVersion("v1.37.2"),
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{
			Interface: "eth0", Subnet: netip.MustParsePrefix("192.0.2.0/24"), AdvertInterval: quorate.Duration(1e9), // VRRP 2, which has a password
		}},
	}
	for i, name := range []string{"cp-1", "cp-2", "cp-3", "worker-1"} {
		n := quorate.Node{Name: name, Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})}}
		if i == 3 {
			n.Role = quorate.Worker
		}
		e.description.Nodes = append(e.description.Nodes, n)
	}
	certs, err := authority.New(e.description)
	if err != nil {
		t.Fatal(err)
	}
	token, err := kubeadm.ParseToken("abcdef." + tokenMarker)
	if err != nil {
		t.Fatal(err)
	}
	if e.cluster, err = ha.New(t.Context(), ha.Config{
		Cluster: e.description, Certs: certs, Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: quorate.Sensitive([]byte(vipMarker)),
		Manifests: []ha.Manifest{{Name: "credentials", Content: quorate.Sensitive([]byte("kind: Secret\nstringData: {key: " + manifestMarker + "}\n"))}},
	}); err != nil {
		t.Fatal(err)
	}
	if e.create, err = installer.Create(e.cluster, e.description, installer.Secrets{
		RegistryPassword: quorate.Sensitive([]byte(registryMarker)), InventoryToken: quorate.Sensitive([]byte(inventoryMarker)),
	}); err != nil {
		t.Fatal(err)
	}
	if e.hosts, err = hatest.New(e.description); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.hosts.Close(); err != nil {
			t.Error(err)
		}
	})
	e.audit = &reach.Audit{Inside: e.hosts}
	e.hosts.Host("cp-1").Handle(faketransport.Prefix("announce"), func(_ context.Context, in faketransport.Invocation) error {
		b, err := io.ReadAll(in.Stdin)
		if err == nil && string(b) != inventoryMarker {
			err = faketransport.Fail(1, "another token")(t.Context(), in)
		}
		return err
	})
	e.secrets = []string{tokenMarker, vipMarker, registryMarker, inventoryMarker, manifestMarker}
	for _, key := range certs.Keys() {
		// Its first line of base64 has the private number; the last have the public key, as sa.pub.
		block, _ := pem.Decode(key)
		e.secrets = append(e.secrets, strings.Split(string(key), "\n")[1])
		e.secrets = append(e.secrets, string(block.Bytes))
	}
	return e
}

func (e *env) runner() *plan.Runner {
	lines := events.NewWriter(&e.lines)
	return &plan.Runner{
		Transport: e.audit, Journal: &filejournal.Journal{Path: e.journal}, Operator: plan.Operator{Name: "installer"},
		Observe: func(ev plan.Event) {
			lines.Observe(ev)
			fmt.Fprintf(&e.said, "%v %+v %#v\n", ev, ev, ev)
		},
	}
}

// hidden fails the test if one of the secrets is in a text.
func (e *env) hidden(t *testing.T, what, text string) {
	t.Helper()
	if len(text) == 0 {
		t.Errorf("%s is empty: nothing was looked at", what)
	}
	for _, s := range e.secrets {
		if strings.Contains(text, s) {
			t.Errorf("%s shows a secret (%d characters of it)", what, len(s))
		}
	}
}

// allHidden looks everywhere.
func (e *env) allHidden(t *testing.T, errs ...error) {
	t.Helper()
	e.hidden(t, "an event", e.said.String())
	e.hidden(t, "an event in JSON", e.lines.String())
	if kept, err := os.ReadFile(e.journal); err == nil {
		e.hidden(t, "the journal", string(kept))
	}
	e.hidden(t, "a plan, a cluster or a step as text", fmt.Sprintf("%v %+v %#v %v %+v %#v %v %+v %#v",
		e.create, e.create, e.create, e.cluster, e.cluster, e.cluster, e.create.Steps(), e.create.Steps(), e.create.Steps()))
	e.hidden(t, "a command", e.hosts.Log()+strings.Join(e.audit.Log(), "\n"))
	for _, err := range errs {
		e.hidden(t, "an error", fmt.Sprintf("%v %+v %#v", err, err, err))
		for _, cause := range causes(err) {
			e.hidden(t, "a cause of an error", fmt.Sprintf("%v %+v %#v", cause, cause, cause))
		}
	}
}

func causes(err error) []error {
	var inner []error
	switch u := err.(type) {
	case interface{ Unwrap() []error }:
		inner = u.Unwrap()
	case interface{ Unwrap() error }:
		if u.Unwrap() != nil {
			inner = []error{u.Unwrap()}
		}
	}
	out := slices.Clone(inner)
	for _, i := range inner {
		out = append(out, causes(i)...)
	}
	return out
}

// The secrets are where they belong, or looking for them elsewhere would prove nothing.
func TestMarkersArrive(t *testing.T) {
	e := setUp(t)
	if _, err := e.runner().Run(t.Context(), e.create); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		installer.RegistryPath: registryMarker, "/etc/keepalived/keepalived.conf": vipMarker,
		"/etc/kubernetes/pki/ca.key": "PRIVATE KEY", "/etc/etcd/pki/server.key": "PRIVATE KEY",
	} {
		f, err := e.hosts.Host("cp-1").File(path)
		if err != nil || !bytes.Contains(f.Data.Bytes(), []byte(want)) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// From bare hosts to Ready nodes: shown, saved, read again, applied, at rest, and kept in
// a journal; our own steps at their places; a second use of the saved preview refused.
func TestCreate(t *testing.T) {
	e := setUp(t)
	preview, err := e.runner().Preview(t.Context(), e.create)
	if err != nil {
		t.Fatal(err)
	}
	for form, text := range map[string]string{"text": preview.Text(), "JSON": string(preview.JSON()), "Mermaid": preview.Mermaid(), "DOT": preview.DOT()} {
		e.hidden(t, "the preview as "+form, text)
	}
	e.hidden(t, "the preview", fmt.Sprintf("%v %+v %#v", preview, preview, preview))
	if len(preview.Undescribed) > 0 || !strings.Contains(preview.Text(), "announce prod") || !strings.Contains(preview.Text(), "create "+installer.RegistryPath) {
		t.Errorf("our own steps are not shown:\n%s", preview.Text())
	}
	saved, err := plan.ParsePreview(preview.JSON())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := e.runner().Apply(t.Context(), e.create, saved)
	if err != nil {
		t.Fatal(err)
	}
	if !sum.Changed() || !slices.Equal(e.hosts.Nodes(), []string{"cp-1", "cp-2", "cp-3", "worker-1"}) {
		t.Errorf("changed: %t, nodes: %v", sum.Changed(), e.hosts.Nodes())
	}
	order := e.order()
	for _, n := range e.description.Nodes {
		if own, bootstrap := slices.Index(order, "registry/"+n.Name), slices.Index(order, string(e.cluster.StepBootstrap(n.Name))); own < 0 || own > bootstrap {
			t.Errorf("%s: our step was number %d, kubeadm's %d", n.Name, own, bootstrap)
		}
	}
	if ready, announced := slices.Index(order, string(ha.StepReady)), slices.Index(order, "announce"); announced < ready {
		t.Errorf("announced as number %d, ready as number %d", announced, ready)
	}

	var stale *plan.StaleError
	if _, err = e.runner().Apply(t.Context(), e.create, saved); !errors.As(err, &stale) {
		t.Errorf("a preview that no longer holds: %v", err)
	}
	e.allHidden(t, err)
	if sum, err = e.runner().Run(t.Context(), e.create); err != nil || sum.Changed() {
		t.Errorf("a second run: %v, changed: %t", err, sum.Changed())
	}
	if want := []plan.ID{"announce"}; !reflect.DeepEqual(e.create.Irreversible(), want) {
		t.Errorf("irreversible: %v", e.create.Irreversible())
	}
}

// order are the steps in the order in which they ended.
func (e *env) order() []string {
	var out []string
	for ev, err := range events.Decode(bytes.NewReader(e.lines.Bytes())) {
		if err == nil && ev.Kind == plan.StepEnded && ev.Outcome == plan.Changed {
			out = append(out, string(ev.Step))
		}
	}
	return out
}

// What fails in the middle is named, typed and without secrets, and the next run goes on
// from there and knows what was left.
func TestResume(t *testing.T) {
	e := setUp(t)
	broken := true
	e.hosts.Host("cp-1").Handle(faketransport.Prefix("announce"), func(ctx context.Context, in faketransport.Invocation) error {
		b, err := io.ReadAll(in.Stdin)
		if err != nil || !broken {
			return err
		}
		return faketransport.Fail(3, "refused: "+string(b)+" and "+registryMarker)(ctx, in) // many programs quote their input
	})
	first, err := e.runner().Run(t.Context(), e.create)
	var step *plan.StepError
	if !errors.As(err, &step) || step.Step != "announce" || step.Phase != plan.Applying || first.Outcomes[plan.Failed] != 1 {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), "refused: [sensitive] and [sensitive]") {
		t.Errorf("got %v", err)
	}
	e.allHidden(t, err)

	broken = false
	second, err := e.runner().Run(t.Context(), e.create)
	if err != nil {
		t.Fatal(err)
	}
	if len(second.Unfinished) != 1 || second.Unfinished[0].Step != "announce" || second.Outcomes[plan.Changed] != 1 {
		t.Errorf("unfinished: %v, outcomes: %v", second.Unfinished, second.Outcomes)
	}
	e.allHidden(t)
}

// A panic of our own code is a failed step, and not the end of the program.
func TestPanic(t *testing.T) {
	e := setUp(t)
	p, err := e.create.Before(ha.StepInit.On("cp-1"), plan.Step{ID: "bad", Host: "cp-1", Action: bad{}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.runner().Run(t.Context(), p)
	var panicked *plan.PanicError
	if !errors.As(err, &panicked) || !strings.Contains(panicked.Stack, "installer_test.go") {
		t.Fatalf("got %v", err)
	}
	if len(e.hosts.Nodes()) > 0 {
		t.Error("kubeadm ran after it")
	}
	e.allHidden(t, err)
}

type bad struct{ plan.NothingToUndo }

func (bad) Check(context.Context, *plan.Host) (plan.Diff, error) { panic("with " + inventoryMarker) }
func (bad) Apply(context.Context, *plan.Host, plan.Diff) error   { return nil }

// What a run did is undone, our own files with the rest; what has no way back is named
// and stops nothing else. A reset removes what its plan was told of.
func TestUndoAndReset(t *testing.T) {
	e := setUp(t)
	keep := e.runner()
	keep.BackupAs = "create"
	if _, err := keep.Run(t.Context(), e.create); err != nil {
		t.Fatal(err)
	}
	back, err := plan.Rollback(e.create, "create")
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.runner().Run(t.Context(), back)
	var never *plan.IrreversibleError
	if !errors.As(err, &never) || never.Step != "announce" {
		t.Fatalf("got %v", err)
	}
	placed := func() (nodes []string) {
		for _, n := range e.description.Nodes {
			if _, err := e.hosts.Host(n.Name).File(installer.RegistryPath); err == nil {
				nodes = append(nodes, n.Name)
			}
		}
		return nodes
	}
	if got := placed(); len(got) > 0 || len(e.hosts.Nodes()) > 0 && e.hosts.Active("cp-1", "etcd.service") {
		t.Errorf("not undone on %v", got)
	}
	e.allHidden(t, err)

	if _, err := e.runner().Run(t.Context(), e.create); err != nil {
		t.Fatal(err)
	}
	if got := placed(); len(got) != 4 {
		t.Errorf("placed on %v", got)
	}
	reset, err := installer.Reset(e.cluster, e.description)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.runner().Run(t.Context(), reset); err != nil {
		t.Fatal(err)
	}
	if got := placed(); len(got) > 0 {
		t.Errorf("left on %v by the reset", got)
	}
}

// What is rendered for these hosts is what has been read and agreed to.
func TestGolden(t *testing.T) {
	e := setUp(t)
	var got strings.Builder
	for _, n := range e.description.Nodes {
		for _, f := range e.cluster.Files()[n.Name] {
			fmt.Fprintf(&got, "== %s:%s %04o\n", n.Name, f.Path, f.Mode)
			switch {
			case f.Content.IsSensitive():
				got.WriteString("(secret)\n")
			case bytes.Contains(f.Content.Bytes(), []byte("-----BEGIN")):
				got.WriteString("(certificate)\n")
			default:
				got.Write(f.Content.Bytes())
			}
		}
	}
	e.hidden(t, "the golden file", got.String())
	const path = "testdata/files.golden"
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got.String() {
		t.Errorf("other files than in %s: look at them, and run with -update", path)
	}
}
