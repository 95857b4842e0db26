package quorate_test

import (
	"slices"
	"testing"

	"github.com/quorate-dev/quorate"
	"pgregory.net/rapid"
)

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]string{
		"v1.37.2": "v1.37.2", "1.37.2": "v1.37.2", "v1.38.0-rc.1": "v1.38.0-rc.1", "0.0.1": "v0.0.1", "1.2.3--": "v1.2.3--",
	} {
		if v, err := quorate.ParseVersion(in); err != nil || v.String() != want {
			t.Errorf("%q: %v, %v", in, v, err)
		}
	}
	for _, in := range []string{
		"", "v", "1.37", "1.37.x", "01.37.2", "1.037.2", "1.37.2-", "1.37.2-a..b", "1.37.2+build", "vv1.37.2", " 1.37.2",
		"1.37.2\n", "-1.37.2", "1.37.9999999", "stable",
	} {
		if v, err := quorate.ParseVersion(in); err == nil {
			t.Errorf("%q is accepted as %s", in, v)
		}
	}
}

// TestCompare is the chain of section 11 of semver.org, with minors around.
func TestCompare(t *testing.T) {
	chain := []string{
		"1.9.9", "1.36.10", "1.37.0-alpha", "1.37.0-alpha.1", "1.37.0-alpha.beta", "1.37.0-beta", "1.37.0-beta.2",
		"1.37.0-beta.11", "1.37.0-rc.1", "1.37.0", "1.37.2", "1.37.10", "2.0.0",
	}
	for i := range chain {
		for j := range chain {
			a, b := version(chain[i]), version(chain[j])
			want := 0
			if i != j {
				want = 1
				if i < j {
					want = -1
				}
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%s against %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestAtLeast(t *testing.T) {
	v := version("1.37.0-rc.1")
	for _, tt := range []struct {
		major, minor int
		want         bool
	}{{1, 36, true}, {1, 37, true}, {1, 38, false}, {2, 0, false}, {0, 99, true}} {
		if got := v.AtLeast(tt.major, tt.minor); got != tt.want {
			t.Errorf("%s at least %d.%d: %t", v, tt.major, tt.minor, got)
		}
	}
}

func drawVersion(t *rapid.T, label string) quorate.Version {
	n := rapid.IntRange(0, 3)
	return quorate.Version{
		Major: n.Draw(t, label+" major"), Minor: n.Draw(t, label+" minor"), Patch: n.Draw(t, label+" patch"),
		Pre: rapid.OneOf(rapid.Just(""), rapid.StringMatching(`(0|[1-9]|[a-c-]{1,2})(\.([1-9]|[a-c]))?`)).Draw(t, label+" pre"),
	}
}

func TestVersionProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawVersion(t, "a"), drawVersion(t, "b"), drawVersion(t, "c")
		if a.Compare(b) != -b.Compare(a) || a.Compare(a) != 0 {
			t.Fatalf("%v and %v: not antisymmetric", a, b)
		}
		if (a.Compare(b) == 0) != (a == b) {
			t.Fatalf("%v and %v: equal order must mean the same version", a, b)
		}
		s := []quorate.Version{a, b, c}
		slices.SortFunc(s, quorate.Version.Compare)
		if s[0].Compare(s[2]) > 0 {
			t.Fatalf("%v: not transitive", s)
		}
		if a.IsZero() {
			return
		}
		text, err := a.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back quorate.Version
		if err := back.UnmarshalText(text); err != nil || back != a {
			t.Fatalf("%s came back as %v: %v", text, back, err)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"v1.37.2", "1.38.0-rc.1", "1.37", "", "v1.2.3-0.-.a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := quorate.ParseVersion(s)
		if err != nil {
			return
		}
		if again, err := quorate.ParseVersion(v.Number()); err != nil || again != v {
			t.Errorf("%q: %v does not read back: %v, %v", s, v, again, err)
		}
	})
}

func FuzzDuration(f *testing.F) {
	f.Add("1.5s")
	f.Add("100")
	f.Fuzz(func(t *testing.T, s string) {
		var d, again quorate.Duration
		if d.UnmarshalText([]byte(s)) != nil {
			return
		}
		text, _ := d.MarshalText()
		if err := again.UnmarshalText(text); err != nil || again != d {
			t.Errorf("%q: %v does not read back: %v, %v", s, d, again, err)
		}
	})
}

// MustVersion is ParseVersion, and panics with its error.
func TestMustVersion(t *testing.T) {
	if v := quorate.MustVersion("v1.37.2"); v != (quorate.Version{Major: 1, Minor: 37, Patch: 2}) {
		t.Errorf("MustVersion reads v1.37.2 as %v", v)
	}
	for _, bad := range []string{"", "1.37", "latest"} {
		_, want := quorate.ParseVersion(bad)
		func() {
			defer func() {
				if got, ok := recover().(error); !ok || want == nil || got.Error() != want.Error() {
					t.Errorf("MustVersion(%q) panics with %v, and ParseVersion returns %v", bad, got, want)
				}
			}()
			quorate.MustVersion(bad)
		}()
	}
}
