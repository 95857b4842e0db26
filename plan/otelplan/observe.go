package otelplan

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
)

// Observe returns an observer, for plan.Runner.Observe, that makes spans by the
// tracer; the run's own has these attributes too, the cluster's name for
// example. It is a child of the span in ctx, if there is one; ctx is used for
// nothing else. An observer is for one Runner; runs one after another are
// spans one after another, runs at the same time need one each.
func Observe(ctx context.Context, tracer trace.Tracer, attributes ...attribute.KeyValue) func(plan.Event) {
	o := &observer{tracer: tracer, parent: trace.SpanFromContext(ctx), attributes: attributes}
	return o.observe
}

type observer struct {
	tracer     trace.Tracer
	parent     trace.Span
	attributes []attribute.KeyValue
	run        trace.Span // nil between runs
	steps      map[plan.ID]*step
}

type step struct{ span, attempt trace.Span }

func (o *observer) observe(e plan.Event) {
	if e.Kind == plan.RunStarted {
		o.steps = map[plan.ID]*step{}
		o.run = o.start(o.parent, "quorate run", e.Time, append([]attribute.KeyValue{
			attribute.String("quorate.run.id", e.Run), attribute.Int("quorate.run.steps", e.Steps), attribute.Bool("quorate.run.dry_run", e.DryRun),
		}, o.attributes...)...)
	}
	if o.run == nil {
		return
	}
	at := trace.WithTimestamp(e.Time)
	s := o.steps[e.Step]
	switch e.Kind {
	case plan.StepUnfinished:
		o.run.AddEvent("unfinished", at, trace.WithAttributes(append(ofStep(e), attribute.String("quorate.message", e.Message))...))
	case plan.JournalFailed:
		o.run.AddEvent("journal-failed", at, trace.WithAttributes(append(ofStep(e), ofError(e.Err)...)...))
	case plan.StepStarted:
		if s == nil {
			s = &step{span: o.start(o.run, e.Title, e.Time, ofStep(e)...)}
			o.steps[e.Step] = s
		}
		s.attempt = o.start(s.span, "attempt", e.Time, append(ofStep(e), attribute.Int("quorate.attempt", e.Attempt))...)
	case plan.StepApplying:
		s.attempt.AddEvent("applying", at, trace.WithAttributes(changes("quorate.changes", e.Diff)...))
	case plan.StepProgress:
		s.attempt.AddEvent("progress", at, trace.WithAttributes(attribute.String("quorate.message", e.Message)))
	case plan.StepRetrying:
		end(s.attempt, e.Time, e.Err)
	case plan.StepEnded:
		if s == nil {
			return // not reached: the run's span counts it
		}
		end(s.attempt, e.Time, e.Err)
		s.span.SetAttributes(append(changes("quorate.step.changes", e.Diff),
			attribute.String("quorate.step.outcome", string(e.Outcome)), attribute.Int("quorate.step.attempts", e.Attempt))...)
		end(s.span, e.Time, e.Err)
		delete(o.steps, e.Step)
	case plan.RunEnded:
		o.run.SetAttributes(ofSummary(e.Summary)...)
		end(o.run, e.Time, e.Err)
		o.run = nil
	}
}

func (o *observer) start(parent trace.Span, name string, at time.Time, attributes ...attribute.KeyValue) trace.Span {
	_, span := o.tracer.Start(trace.ContextWithSpan(context.Background(), parent), name,
		trace.WithTimestamp(at), trace.WithAttributes(attributes...))
	return span
}

// end ends a span, with a failure's status and exception.
func end(span trace.Span, at time.Time, err error) {
	if err != nil {
		message := events.Describe(err).Message
		span.SetStatus(codes.Error, message)
		span.SetAttributes(ofError(err)...)
		span.AddEvent("exception", trace.WithTimestamp(at), trace.WithAttributes(
			attribute.String("exception.type", string(kindOf(err))), attribute.String("exception.message", message)))
	}
	span.End(trace.WithTimestamp(at))
}

func ofStep(e plan.Event) []attribute.KeyValue {
	if e.Step == "" {
		return nil
	}
	return []attribute.KeyValue{attribute.String("quorate.step.id", string(e.Step)), attribute.String("host.name", e.Host)}
}

func changes(key string, d plan.Diff) []attribute.KeyValue {
	// The description of an error has its differences bounded.
	bounded := events.Describe(&plan.NotConvergedError{Left: d}).Changes
	if len(bounded) == 0 {
		return nil
	}
	texts := make([]string, 0, len(bounded))
	for _, c := range bounded {
		texts = append(texts, c.String())
	}
	return []attribute.KeyValue{attribute.StringSlice(key, texts)}
}

// innermost returns an error and its causes, of several the first, outermost first.
func innermost(err error) []*events.Error {
	var out []*events.Error
	for e := events.Describe(err); e != nil; e = &e.Causes[0] {
		if out = append(out, e); len(e.Causes) == 0 {
			break
		}
	}
	return out
}

// kindOf is the innermost kind that says something.
func kindOf(err error) events.Kind {
	kind := events.KindOther
	for _, e := range innermost(err) {
		if e.Kind != events.KindOther {
			kind = e.Kind
		}
	}
	return kind
}

// ofError says of a failure what its causes say.
func ofError(err error) []attribute.KeyValue {
	out := []attribute.KeyValue{attribute.String("error.type", string(kindOf(err)))}
	text := func(key, value string) {
		if value != "" {
			out = append(out, attribute.String("quorate.error."+key, value))
		}
	}
	for _, e := range innermost(err) {
		text("phase", string(e.Phase))
		text("tried", e.Tried)
		text("output", e.Output)
		text("advice", e.Do)
		if e.ExitCode != nil {
			out = append(out, attribute.Int("quorate.error.exit_code", *e.ExitCode))
		}
		if e.Kind == events.KindHost && len(e.Findings) > 0 { // the first; the message has all
			text("output", e.Findings[0].Found)
			text("advice", e.Findings[0].Do)
		}
	}
	return out
}

func ofSummary(s *plan.Summary) []attribute.KeyValue {
	if s == nil {
		return nil
	}
	var out []attribute.KeyValue
	for _, outcome := range slices.Sorted(maps.Keys(s.Outcomes)) {
		out = append(out, attribute.Int("quorate.run.outcome."+string(outcome), s.Outcomes[outcome]))
	}
	trips := 0
	for _, n := range s.RoundTrips {
		trips += n
	}
	return append(out, attribute.Int("quorate.run.round_trips", trips))
}
