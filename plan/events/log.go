package events

import (
	"context"
	"log/slog"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
)

// LogTo returns an observer that writes every event to a logger: failures as
// errors, retries and what was left unfinished as warnings, a step's beginning
// and progress as debug. The message is the event's kind. Attributes have the
// names that Schema has; changes and error are texts here.
func LogTo(l *slog.Logger) func(plan.Event) {
	return func(e plan.Event) {
		level := slog.LevelInfo
		switch {
		case e.Err != nil && e.Kind == plan.StepRetrying, e.Kind == plan.StepUnfinished:
			level = slog.LevelWarn
		case e.Err != nil:
			level = slog.LevelError
		case e.Kind == plan.StepStarted || e.Kind == plan.StepProgress:
			level = slog.LevelDebug
		}
		l.LogAttrs(context.Background(), level, string(e.Kind), attrs(e)...)
	}
}

func attrs(e plan.Event) []slog.Attr {
	var attrs []slog.Attr
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, termsafe.Text(value)))
		}
	}
	text("run", e.Run)
	text("step", string(e.Step))
	text("host", e.Host)
	text("title", e.Title)
	text("message", e.Message)
	text("outcome", string(e.Outcome))
	if len(e.Diff) > 0 {
		changes := make([]string, 0, len(e.Diff))
		for _, c := range e.Diff {
			changes = append(changes, c.String())
		}
		attrs = append(attrs, slog.Any("changes", changes))
	}
	if e.Attempt > 0 {
		attrs = append(attrs, slog.Int("attempt", e.Attempt))
	}
	if e.Steps > 0 {
		attrs = append(attrs, slog.Int("steps", e.Steps))
	}
	if e.DryRun {
		attrs = append(attrs, slog.Bool("dryRun", e.DryRun))
	}
	if len(e.Irreversible) > 0 {
		attrs = append(attrs, slog.Any("irreversible", e.Irreversible))
	}
	if e.Elapsed > 0 {
		attrs = append(attrs, slog.Duration("elapsed", e.Elapsed))
	}
	if e.Err != nil {
		text("error", e.Err.Error())
	}
	return attrs
}
