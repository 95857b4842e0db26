package machines

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestHealOnceAndInReverse: a failed heal can be repeated, one that succeeded is
// not done twice, and HealAll heals the rest, last first.
func TestHealOnceAndInReverse(t *testing.T) {
	l := &Lab{state: &state{}}
	var log []string
	broken := true
	undo := func(name string) func(context.Context) error {
		return func(context.Context) error {
			log = append(log, name)
			if name == "b" && broken {
				return errors.New("not yet")
			}
			return nil
		}
	}
	a := l.healable("a", undo("a"))
	l.healable("b", undo("b"))
	c := l.healable("c", undo("c"))
	if err := a(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.HealAll(t.Context()); err == nil || !strings.Contains(err.Error(), "heal b: not yet") {
		t.Errorf("error %v", err)
	}
	broken = false
	if err := errors.Join(l.HealAll(t.Context()), a(t.Context()), c(t.Context())); err != nil {
		t.Error(err)
	}
	if want := []string{"a", "c", "b", "b"}; !slices.Equal(log, want) {
		t.Errorf("healed %q, want %q", log, want)
	}
}

// TestInjectRefuses what cannot be, by name, before anything is touched.
func TestInjectRefuses(t *testing.T) {
	l := &Lab{dir: t.TempDir(), state: &state{Spec: Spec{}.WithDefaults(), Hosts: map[string]*hostState{"cp-1": {}}}}
	for _, c := range []struct {
		fault      Fault
		host, want string
	}{
		{"flood", "cp-1", `no fault "flood"`},
		{DiskFull, "cp-1", "Spec.EtcdDisk"},
		{SSHRefused, "cp-1", "cp-1 is off"},
	} {
		if _, err := l.Inject(t.Context(), c.fault, c.host); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.fault, err, c.want)
		}
	}
	for _, f := range Faults() {
		if _, err := l.Inject(t.Context(), f, "cp-9"); err == nil || !strings.Contains(err.Error(), `no host "cp-9"`) {
			t.Errorf("%s: error %v does not name the host", f, err)
		}
	}
	if _, err := l.Impair(t.Context(), "cp-1", Impairment{Latency: -1, Loss: 2}); err == nil ||
		!strings.Contains(err.Error(), "latency") || !strings.Contains(err.Error(), "loss 2") {
		t.Errorf("error %v does not hold both reasons", err)
	}
}
