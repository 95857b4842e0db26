package quorate

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const raised = "MaxMinor is 1.%d, and this ends at 1.%d: "

// The facts were read for the newest minor. Where this fails, read what that
// minor changes of each, by its source, and raise factsReadUntil.
func TestFactsUpToTheNewestMinor(t *testing.T) {
	if factsReadUntil == MaxMinor {
		return
	}
	t.Errorf(raised+"releases.go, factsReadUntil", MaxMinor, factsReadUntil)
	for f, row := range facts {
		if row.major == kubernetesMajor {
			t.Errorf("  read for 1.%d: %s, %s (%s)", MaxMinor, Fact(f), Fact(f).When(), row.source)
		}
	}
	t.Errorf("  read for 1.%d: minEtcdOf (kubeadm: constants.MinExternalEtcdVersion), the components' ports, DefaultImageRepository", MaxMinor)
}

func TestFactsHaveRows(t *testing.T) {
	seen := map[string]bool{}
	for f, row := range facts {
		switch {
		case row.name == "" || row.source == "" || row.major == 0 || seen[row.name]:
			t.Errorf("fact %d: %+v", f, row)
		case row.first == 0 && row.last == 0:
			t.Errorf("%s is so at all times: it is the same for all releases", row.name)
		case row.last != 0 && row.first > row.last:
			t.Errorf("%s starts after its end", row.name)
		case row.major == kubernetesMajor && max(row.first, row.last) > MaxMinor:
			t.Errorf("%s is of a minor that is not supported", row.name)
		case row.major == kubernetesMajor && row.last != 0 && row.last < MinMinor || row.last == 0 && row.major == kubernetesMajor && row.first <= MinMinor:
			t.Errorf("%s is the same in all minors that are supported", row.name)
		}
		seen[row.name] = true
	}
}

// Has and When agree at the ends of every fact.
func TestHas(t *testing.T) {
	for i, row := range facts {
		f := Fact(i)
		at := func(minor int) Version { return Version{Major: row.major, Minor: minor} }
		if row.first > 0 && (at(row.first-1).Has(f) || !at(row.first).Has(f) || !strings.Contains(f.When(), fmt.Sprintf("from v%d.%d", row.major, row.first))) {
			t.Errorf("%s does not begin at %d: %s", f, row.first, f.When())
		}
		if row.last > 0 && (!at(row.last).Has(f) || at(row.last+1).Has(f) || !strings.HasSuffix(f.When(), fmt.Sprintf("v%d.%d", row.major, row.last))) {
			t.Errorf("%s does not end at %d: %s", f, row.last, f.When())
		}
		if (Version{}).Has(f) != (row.last == 0) {
			t.Errorf("%s: the zero Version is not the newest", f)
		}
		pre := Version{Major: row.major, Minor: max(row.first, row.last), Pre: "rc.1"}
		if !pre.Has(f) {
			t.Errorf("%s: a pre-release does not count as its minor", f)
		}
	}
}

func TestMinEtcdIsMonotonic(t *testing.T) {
	if !slices.IsSortedFunc(minEtcdOf, func(a, b struct {
		minor int
		min   Version
	}) int {
		return a.min.Compare(b.min)
	}) || minEtcdOf[0].minor != MinMinor {
		t.Error("minEtcdOf does not begin at the oldest minor, or falls")
	}
	for minor := MinMinor; minor <= MaxMinor; minor++ {
		k := Version{Major: 1, Minor: minor}
		if defaultEtcd(k).Compare(minEtcd(k)) < 0 {
			t.Errorf("1.%d: the default etcd is older than kubeadm wants", minor)
		}
	}
}

// Pages that name the range of versions name the whole of it.
func TestPagesNameTheSupportedMinors(t *testing.T) {
	want := fmt.Sprintf("1.%d", MaxMinor)
	for file, text := range map[string]string{
		"docs/cluster.md": fmt.Sprintf("v1.%d to v1.%d", MinMinor, MaxMinor),
		"README.md":       want,
		"CONTRIBUTING.md": fmt.Sprintf("Kubernetes %s is the newest. For 1.%d:", want, MaxMinor+1),
	} {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), text) {
			t.Errorf("%s does not say %q", file, text)
		}
	}
}
