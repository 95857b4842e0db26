package otelplan_test

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/journaltest"
	"github.com/quorate-dev/quorate/plan/otelplan"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/vip"
)

var update = flag.Bool("update", false, "write the golden file again")

// recorder is an SDK that keeps the spans.
func recorder(t *testing.T) (trace.Tracer, *tracetest.InMemoryExporter) {
	t.Helper()
	kept := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(kept))
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.WithoutCancel(t.Context()))) })
	return provider.Tracer("test"), kept
}

// tree shows spans below their parents, by their beginning.
func tree(spans tracetest.SpanStubs) string {
	var b strings.Builder
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	list := func(indent string, attributes []attribute.KeyValue) {
		for _, a := range attributes {
			fmt.Fprintf(&b, "%s%s = %s\n", indent, a.Key, strings.ReplaceAll(a.Value.String(), "\n", "\\n"))
		}
	}
	var show func(indent string, parent trace.SpanID)
	show = func(indent string, parent trace.SpanID) {
		below := slices.DeleteFunc(slices.Clone(spans), func(s tracetest.SpanStub) bool { return s.Parent.SpanID() != parent })
		slices.SortStableFunc(below, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
		for _, s := range below {
			fmt.Fprintf(&b, "%s%s: %v to %v\n", indent, s.Name, s.StartTime.Sub(start), s.EndTime.Sub(start))
			if s.Status.Code != codes.Unset {
				fmt.Fprintf(&b, "%s  status %s: %s\n", indent, s.Status.Code, strings.ReplaceAll(s.Status.Description, "\n", "\\n"))
			}
			list(indent+"  ", s.Attributes)
			for _, e := range s.Events {
				fmt.Fprintf(&b, "%s  at %v: %s\n", indent, e.Time.Sub(start), e.Name)
				list(indent+"    ", e.Attributes)
			}
			show(indent+"    ", s.SpanContext.SpanID())
		}
	}
	show("", trace.SpanID{})
	return b.String()
}

// wait is an Action that takes a second, and fails as often as fails says.
type wait struct {
	failures *int
	done     *bool
}

func (w wait) Check(context.Context, *plan.Host) (plan.Diff, error) {
	if *w.done {
		return nil, nil
	}
	return plan.Diff{{Verb: "run", Subject: "wait", Disruptive: true}}, nil
}

func (w wait) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	h.Report("waiting")
	time.Sleep(time.Second)
	if *w.failures > 0 {
		*w.failures--
		_, err := h.Run(ctx, "false", "for now")
		return err
	}
	*w.done = true
	return nil
}

// The spans of runs, reviewed by eye when they change: one that has to try
// again, one that fails, a dry one, and one whose journal does not work.
func TestSpansOfRuns(t *testing.T) {
	var got strings.Builder
	for i, run := range []struct {
		name     string
		failures int
		runner   plan.Runner
	}{
		{"retry", 1, plan.Runner{}},
		{"failure", 9, plan.Runner{}},
		{"dry run", 0, plan.Runner{DryRun: true}},
		{"journal", 0, plan.Runner{Journal: &journaltest.Memory{Fail: func(r plan.Record) error {
			if r.Kind == plan.RecordOutcome {
				return errors.New("no space left on device")
			}
			return nil
		}}}},
	} {
		bubble.Test(t, func(t *testing.T) { // starts at 2000-01-01T00:00:00Z
			tracer, kept := recorder(t)
			hosts := faketransport.New()
			hosts.Host("web-1").Handle(faketransport.Prefix("false"), faketransport.Fail(1, "not yet\n"))
			p, err := plan.New(
				plan.Step{ID: "motd/web-1", Host: "web-1", Title: "greet", Action: plan.Deploy{Files: []quorate.File{
					{Path: "/etc/motd", Content: quorate.Public([]byte("welcome\n"))}}}},
				plan.Step{ID: "wait/web-1", Host: "web-1", After: []plan.ID{"motd/web-1"}, Action: wait{&run.failures, new(bool)},
					Retry: plan.Retry{Attempts: 2, If: func(error) bool { return true }}},
				plan.Step{ID: "last/web-1", Host: "web-1", After: []plan.ID{"wait/web-1"}, Action: plan.Deploy{}},
			)
			require.NoError(t, err)
			run.runner.Transport = hosts
			run.runner.Observe = otelplan.Observe(t.Context(), tracer, attribute.String("k8s.cluster.name", "test"))
			cryptotest.SetGlobalRandom(t, uint64(i+1)) // for the run's ID
			_, _ = run.runner.Run(t.Context(), p)      // its spans say how it ended
			fmt.Fprintf(&got, "# %s\n%s", run.name, tree(kept.GetSpans()))
		})
	}
	const path = "testdata/spans.txt"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), got.String()))
}

// The recipe's whole run on hosts in memory: each step that was reached is a span
// of its own below the run's, which is below the program's; none is left open, and
// nothing in them is secret.
func TestSpansOfCreate(t *testing.T) {
	c := quorate.Cluster{
		Name: "test", Version: quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{Interface: "eth0"}},
	}
	for i, name := range []string{"cp-1", "cp-2", "cp-3", "worker-1"} {
		role := quorate.ControlPlane
		if i == 3 {
			role = quorate.Worker
		}
		c.Nodes = append(c.Nodes, quorate.Node{Name: name, Role: role, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})}})
	}
	bundle, err := pki.New(c, pki.Config{})
	require.NoError(t, err)
	token, err := kubeadm.NewToken(rand.Reader)
	require.NoError(t, err)
	auth, err := vip.NewAuth(rand.Reader)
	require.NoError(t, err)
	cfg := ha.Config{Cluster: c, Certs: bundle, Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: auth}
	cluster, err := ha.New(t.Context(), cfg)
	require.NoError(t, err)
	p, err := cluster.Plan()
	require.NoError(t, err)

	for _, fails := range []bool{false, true} {
		hosts, err := hatest.New(c)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, hosts.Close()) })
		if fails { // quoting what it should not
			hosts.Host("cp-1").Handle(faketransport.Prefix("kubeadm", "init"), faketransport.Fail(1, "bad token "+string(token.Bytes())))
		}
		tracer, kept := recorder(t)
		ctx, above := tracer.Start(t.Context(), "the program")
		sum, err := (&plan.Runner{Transport: hosts, Observe: otelplan.Observe(ctx, tracer)}).Run(t.Context(), p)
		require.Equal(t, fails, err != nil, err)
		spans := kept.GetSpans()
		byID := map[trace.SpanID]tracetest.SpanStub{}
		for _, s := range spans {
			require.False(t, s.EndTime.Before(s.StartTime), s.Name)
			byID[s.SpanContext.SpanID()] = s
		}
		steps := 0
		for _, s := range spans {
			above := byID[s.Parent.SpanID()]
			switch s.Name {
			case "quorate run":
				require.True(t, s.Parent.SpanID().IsValid())
			case "attempt":
				require.NotEqual(t, "quorate run", above.Name)
				require.Equal(t, "quorate run", byID[above.Parent.SpanID()].Name)
			default:
				steps++
				require.Equal(t, "quorate run", above.Name)
			}
		}
		require.Equal(t, p.Len()-sum.Outcomes[plan.NotReached], steps)
		above.End()
		assertQuiet(t, cfg, tree(spans))
		assertQuiet(t, cfg, fmt.Sprintf("%+v", spans))
	}
}

// assertQuiet looks for the lines of every secret of a recipe.
func assertQuiet(t *testing.T, cfg ha.Config, text string) {
	t.Helper()
	secrets := []quorate.Content{cfg.Kubeadm.Token, cfg.VIPAuth, quorate.Sensitive(cfg.Kubeadm.Token.Bytes()[7:])}
	cluster, err := ha.New(t.Context(), cfg)
	require.NoError(t, err)
	files := cluster.Files()
	for _, list := range files {
		for _, f := range list {
			if f.Content.IsSensitive() && strings.HasSuffix(f.Path, ".key") {
				secrets = append(secrets, f.Content)
			}
		}
	}
	require.Greater(t, len(secrets), 10)
	for _, s := range secrets {
		for line := range strings.Lines(string(s.Bytes())) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-----") {
				require.False(t, strings.Contains(text, line), "a secret is shown")
			}
		}
	}
}

// One observer serves runs one after another, and what is no run's is let pass.
func TestSpansOfSuccessiveRuns(t *testing.T) {
	tracer, kept := recorder(t)
	observe := otelplan.Observe(t.Context(), tracer)
	observe(plan.Event{Kind: plan.StepStarted, Step: "a"})
	for range 2 {
		for _, e := range []plan.Event{
			{Kind: plan.RunStarted}, {Kind: plan.StepStarted, Step: "a", Title: "a"}, {Kind: "of a later version"},
			{Kind: plan.StepEnded, Step: "a"}, {Kind: plan.StepEnded, Step: "b", Outcome: plan.NotReached}, {Kind: plan.RunEnded},
		} {
			observe(e)
		}
	}
	var names []string
	traces := map[trace.TraceID]bool{}
	for _, s := range kept.GetSpans() {
		names = append(names, s.Name)
		traces[s.SpanContext.TraceID()] = true
	}
	require.Equal(t, []string{"attempt", "a", "quorate run", "attempt", "a", "quorate run"}, names)
	require.Len(t, traces, 2)
}

func TestTracerWithoutSampling(t *testing.T) {
	hosts := faketransport.New()
	hosts.Host("h")
	p, err := plan.New(plan.Step{ID: "a", Host: "h", Action: plan.Deploy{}})
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts, Observe: otelplan.Observe(t.Context(), noop.NewTracerProvider().Tracer(""))}).Run(t.Context(), p)
	require.NoError(t, err)
}
