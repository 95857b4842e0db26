package plan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/plan/journaltest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Some kinds of errors that programs make.
type (
	fieldError struct {
		Login  map[string]string
		Tokens []string
		Raw    []byte
		Err    error
	}
	closedError struct{ text string }
	textError   string
)

func (e *fieldError) Error() string  { return fmt.Sprintf("login %v: %v", e.Login, e.Err) }
func (e *fieldError) Unwrap() error  { return e.Err }
func (e *closedError) Error() string { return e.text }
func (e textError) Error() string    { return string(e) }

var errSentinel = errors.New("refused")

// What an Action returns as an error or a difference holds no secret of the plan wherever it
// is shown, and its type and causes can still be found.
func TestSecretsInWhatActionsReturn(t *testing.T) {
	differs := plan.Diff{{Verb: "set", Subject: "password", Detail: "it is not " + marker, Data: marker}}
	for name, c := range map[string]struct {
		err  error
		as   func(error) bool
		diff plan.Diff
	}{
		"text":    {err: errors.New("wrong: " + marker)},
		"wrapped": {err: fmt.Errorf("login with %s: %w", marker, errSentinel), as: func(err error) bool { return errors.Is(err, errSentinel) }},
		"cause":   {err: fmt.Errorf("login: %w", errors.New(marker))},
		"joined":  {err: errors.Join(errors.New(marker), fs.ErrNotExist), as: func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		"hidden cause": {err: &fieldError{Err: fmt.Errorf("no: %w", &closedError{marker})}, as: func(err error) bool {
			var f *fieldError
			return errors.As(err, &f)
		}},
		"fields": {err: &fieldError{Login: map[string]string{"root": marker}, Tokens: []string{marker}, Raw: []byte(marker), Err: errSentinel}, as: func(err error) bool {
			var f *fieldError
			return errors.As(err, &f) && f.Tokens[0] == "[sensitive]" && errors.Is(err, errSentinel)
		}},
		"own text": {err: textError("no " + marker), as: func(err error) bool {
			var e textError
			return errors.As(err, &e)
		}},
		"exit": {err: fmt.Errorf("set up: %w", &transport.ExitError{Host: "h", Argv: []string{"login", marker}, Code: 7, Stderr: marker}), as: func(err error) bool {
			var e *transport.ExitError
			return errors.As(err, &e) && e.Code == 7
		}},
		"finding": {err: &plan.HostError{Host: "h", Findings: []plan.Finding{{Found: marker, Do: "change " + marker}}}, as: func(err error) bool {
			var e *plan.HostError
			return errors.As(err, &e)
		}},
		"difference": {diff: differs},
	} {
		t.Run(name, func(t *testing.T) {
			action := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) { return c.diff, c.err }}
			action.OnApply = func(context.Context, *plan.Host) error { return c.err }
			p := newPlan(t, plan.Step{ID: "own", Host: "h", Action: action}).WithSecrets(quorate.Sensitive([]byte(marker)))
			var said strings.Builder
			var lines bytes.Buffer
			stream := events.NewWriter(&lines)
			var journal journaltest.Memory
			r := plan.Runner{Transport: fakeHosts("h"), Journal: &journal, Observe: func(e plan.Event) {
				fmt.Fprintf(&said, "%+v %#v %v\n", e, e.Diff, e.Err)
				stream.Observe(e)
			}}
			_, err := r.Run(t.Context(), p)
			require.Error(t, err)
			if c.as != nil {
				require.True(t, c.as(err), "%v", err)
			}
			preview, _ := r.Preview(t.Context(), p)
			kept, failed := json.Marshal(fixture.Records(t, &journal))
			require.NoError(t, failed)
			for where, text := range map[string]string{
				"error": err.Error(), "printed error": printed(err), "events": said.String(), "lines": lines.String(), "journal": string(kept),
				"preview": string(preview.JSON()), "text": preview.Text(),
			} {
				require.NotContains(t, text, marker, where)
			}
			require.Contains(t, err.Error(), "[sensitive]")
			if c.diff != nil {
				require.Equal(t, marker, c.diff[0].Data, "the Action's own Diff was changed")
			}
		})
	}
}

// printed is an error with all that it wraps, as fmt prints them.
func printed(err error) string {
	text := fmt.Sprintf("%v %+v %#v\n", err, err, err)
	switch e := err.(type) { //nolint:errorlint // one level
	case interface{ Unwrap() error }:
		if c := e.Unwrap(); c != nil {
			text += printed(c)
		}
	case interface{ Unwrap() []error }:
		for _, c := range e.Unwrap() {
			text += printed(c)
		}
	}
	return text
}

// Of what an own Action would run, a preview shows no secret.
func TestSecretsInCommands(t *testing.T) {
	p := newPlan(t, plan.Step{ID: "own", Host: "h", Action: commanding{}}).WithSecrets(quorate.Sensitive([]byte(marker)))
	preview, err := (&plan.Runner{Transport: fakeHosts("h")}).Preview(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, []plan.Command{{Argv: []string{"login", "--password=[sensitive]"}, Stdin: "the [sensitive]"}}, preview.Steps[0].Commands)
}

type commanding struct{ nothing }

func (commanding) Check(context.Context, *plan.Host) (plan.Diff, error) {
	return plan.Diff{{Verb: "run", Subject: "login"}}, nil
}

func (commanding) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: []string{"login", "--password=" + marker}, Stdin: "the " + marker}}, nil
}

// Of a standard error that is cut in the middle of a secret, no rest of it is shown, wherever
// the cut is; nor of an output that a command did not bring to its end.
func TestSecretsAtACut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// No part of it is in it twice.
		letters := rapid.Permutation([]byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw0123456789+/")).Draw(rt, "letters")
		secret := string(letters[:rapid.IntRange(16, len(letters)).Draw(rt, "length")])
		other := secret[rapid.IntRange(0, 7).Draw(rt, "from"):rapid.IntRange(12, len(secret)).Draw(rt, "to")]
		cut := rapid.IntRange(0, len(secret)).Draw(rt, "cut")
		end := rapid.IntRange(0, len(secret)).Draw(rt, "end")
		stderr := "invalid input: " + secret + " " + strings.Repeat("x", transport.StderrLimit-len(secret)-1+cut)
		hosts := fakeHosts("h")
		hosts.Host("h").Handle(faketransport.Exact("blurt"), func(_ context.Context, i faketransport.Invocation) error {
			_, err := io.WriteString(i.Stderr, stderr)
			_, outErr := io.WriteString(i.Stdout, "your input was\n"+secret[:end])
			return errors.Join(err, outErr, faketransport.Exit(1))
		})
		var out []byte
		action := fixture.Action{OnCheck: func(ctx context.Context, h *plan.Host) (plan.Diff, error) {
			var err error
			out, err = h.Run(ctx, "blurt")
			return nil, err
		}}
		p, err := plan.New(plan.Step{ID: "own", Host: "h", Action: action})
		require.NoError(rt, err)
		p = p.WithSecrets(quorate.Sensitive([]byte(secret+"\n"+other)), quorate.Sensitive([]byte(marker)))
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
		var exit *transport.ExitError
		require.ErrorAs(rt, err, &exit)
		const seen = 4 // fewer characters say nothing
		for i := 0; i+seen <= len(secret); i++ {
			require.NotContains(rt, strings.TrimLeft(exit.Stderr, "x"), secret[i:i+seen])
			require.NotContains(rt, strings.ReplaceAll(string(out), "your input was", ""), secret[i:i+seen])
		}
	})
}

// The host's answer that is no command's shows no rest of a secret either, at no line's
// beginning.
func TestSecretsAtACutOfAnAnswer(t *testing.T) {
	action := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
		return nil, &transport.NotStartedError{Host: "h", Argv: []string{"x"}, Code: 1, Said: marker[5:] + " is wrong\n" + marker[3:] + "\nand " + marker[:7]}
	}}
	p := newPlan(t, plan.Step{ID: "own", Host: "h", Action: action}).WithSecrets(quorate.Sensitive([]byte(marker)))
	_, err := (&plan.Runner{Transport: fakeHosts("h")}).Run(t.Context(), p)
	var refused *transport.NotStartedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "[sensitive] is wrong\n[sensitive]\nand [sensitive]", refused.Said)
}

// An error that cannot say what it is fails its step.
func TestErrorThatPanics(t *testing.T) {
	action := fixture.Action{OnCheck: func(context.Context, *plan.Host) (plan.Diff, error) {
		var none *closedError
		return nil, none
	}}
	_, err := (&plan.Runner{Transport: fakeHosts("h")}).Run(t.Context(), newPlan(t, plan.Step{ID: "own", Host: "h", Action: action}))
	var panicked *plan.PanicError
	require.ErrorAs(t, err, &panicked)
	require.NotEmpty(t, err.Error())
}
