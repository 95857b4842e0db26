// Package tier sorts this project's tests. What "make test" runs needs no root,
// no other host and no real time; what is slower waits for a target of its own,
// each of which CI runs:
//
//   - make host (QUORATE_HOST): real daemons, network namespaces, users, a browser,
//     and time that passes. Its tests are named TestReal.
//   - make sweep (QUORATE_SWEEP): every case of what "make test" takes samples of.
//   - make race: with the race detector, the packages where goroutines meet.
//
// QUORATE_CI says that the machine has all that tests need: what is skipped elsewhere
// for want of a program or of root fails there.
//
// Only tests import it.
package tier

import (
	"flag"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// Host skips the test outside "make host", and in it where one of these programs is
// missing. What needs root says so by Root.
func Host(t testing.TB, programs ...string) {
	t.Helper()
	if os.Getenv("QUORATE_HOST") == "" {
		t.Skip("takes real time and real programs: \"make host\" runs it")
	}
	for _, name := range programs {
		Program(t, name)
	}
}

// Sweep reports whether every case is run, as "make sweep" wants it.
func Sweep() bool { return os.Getenv("QUORATE_SWEEP") != "" }

// Checks has the properties of a test draw few cases, outside "make sweep", where
// they draw as many as -rapid.checks says. The test must not be parallel.
func Checks(t testing.TB, few string) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if checks == nil {
		t.Fatal("the test has no properties: nothing imports pgregory.net/rapid")
	}
	if Sweep() || checks.Value.String() != checks.DefValue {
		return
	}
	if Race { // each takes several times as long, and proves no more about goroutines
		few = "3"
	}
	if err := flag.Set(checks.Name, few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(checks.Name, checks.DefValue) }) // its own default parses
}

// Samples are the cases of a table of which one is to the race detector like another:
// every eighth with it, and all of them elsewhere.
func Samples[C any](cases map[string]C) map[string]C {
	if !Race {
		return cases
	}
	some := map[string]C{}
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		if i%8 == 0 {
			some[name] = cases[name]
		}
	}
	return some
}

// Program returns the path of the first of these programs that the machine has.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		for _, where := range []string{name, "/usr/sbin/" + name} { // not in a user's PATH
			if path, err := exec.LookPath(where); err == nil {
				return path
			}
		}
	}
	Missing(t, "not installed: %q", names)
	return ""
}

// Root skips the test of a user without rights.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "needs root")
	}
}

// Missing skips a test that the machine lacks something for; in CI it fails.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("QUORATE_CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
