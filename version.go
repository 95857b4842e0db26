package quorate

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Version is a release of Kubernetes, or of a part such as etcd, as semantic
// versioning writes it. The zero Version means "not set".
type Version struct {
	Major, Minor, Patch int
	// Pre is the pre-release part without its hyphen ("rc.1"), empty for a release.
	Pre string
}

var versionPattern = regexp.MustCompile(`^v?(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$`)

// ParseVersion reads "v1.37.2", "1.37.2" or "v1.38.0-rc.1". Anything else, a
// version without a patch number among it, is an error that names the input.
func ParseVersion(s string) (Version, error) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("version %q: want MAJOR.MINOR.PATCH, as in v1.37.2", s)
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // the pattern admits at most six digits
	}
	return Version{Major: n[0], Minor: n[1], Patch: n[2], Pre: m[4]}, nil
}

// MustVersion is ParseVersion for constants of a program, as regexp.MustCompile is for
// patterns: it panics with the error that ParseVersion returns. It is the one function of
// this module that panics by design; never call it with what somebody else has written.
func MustVersion(s string) Version {
	v, err := ParseVersion(s)
	if err != nil {
		panic(err)
	}
	return v
}

// String returns "v1.37.2", and "" for the zero Version.
func (v Version) String() string {
	if v.IsZero() {
		return ""
	}
	return "v" + v.Number()
}

// Number returns the version without the leading v: "1.37.2".
func (v Version) Number() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		s += "-" + v.Pre
	}
	return s
}

// IsZero reports whether the version is not set.
func (v Version) IsZero() bool { return v == Version{} }

// AtLeast reports whether v is of this minor release or a later one.
// A pre-release of a minor counts as that minor.
func (v Version) AtLeast(major, minor int) bool {
	return cmp.Or(cmp.Compare(v.Major, major), cmp.Compare(v.Minor, minor)) >= 0
}

// Compare orders versions by semantic-versioning precedence: -1, 0 or 1.
func (v Version) Compare(o Version) int {
	return cmp.Or(
		cmp.Compare(v.Major, o.Major),
		cmp.Compare(v.Minor, o.Minor),
		cmp.Compare(v.Patch, o.Patch),
		comparePre(v.Pre, o.Pre),
	)
}

// comparePre follows section 11 of semver.org: a release is later than its
// pre-releases; identifiers compare one by one, numbers below words.
func comparePre(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(len(b), len(a)) // at most one is non-empty, or they are equal
	}
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if c := comparePreField(as[i], bs[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}

func comparePreField(a, b string) int {
	an, aErr := strconv.ParseUint(a, 10, 64)
	bn, bErr := strconv.ParseUint(b, 10, 64)
	switch {
	case aErr == nil && bErr == nil:
		return cmp.Compare(an, bn)
	case aErr == nil:
		return -1
	case bErr == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// MarshalText writes the form of String.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what ParseVersion reads; empty text is the zero Version.
func (v *Version) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*v = Version{}
		return nil
	}
	parsed, err := ParseVersion(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
