package oracle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Release is one release of Kubernetes that judges files.
type Release struct {
	// Version without a v, "1.30.3".
	Version string
	// API is the version of kubeadm's configuration API to render for it, and
	// the only one that its oracle takes.
	API string
	// CI marks the ones that CI builds: of every API version its first and its
	// last release. (Of v1beta4 the last is judged by kubeadm/upstream.) The
	// others are built by hand, "make oracles".
	CI bool
	// Migrates are the API versions that its "kubeadm config migrate" takes and
	// writes as API, from validateSupportedVersion in its
	// cmd/kubeadm/app/util/config/common.go, before 1.14 DetectUnsupportedVersion.
	// None before 1.11, which has no such command. Experimental ones, for which it
	// wants a flag, are not among them.
	Migrates []string
}

// Releases are all that can be built, oldest first.
var Releases = []Release{
	{"1.10.4", "v1alpha1", true, nil},
	{"1.11.10", "v1alpha2", true, []string{"v1alpha1", "v1alpha2"}},
	{"1.12.10", "v1alpha3", true, []string{"v1alpha2", "v1alpha3"}},
	{"1.13.12", "v1beta1", true, []string{"v1alpha3", "v1beta1"}},
	{"1.14.10", "v1beta1", true, []string{"v1alpha3", "v1beta1"}},
	{"1.15.12", "v1beta2", true, []string{"v1beta1", "v1beta2"}},
	{"1.17.17", "v1beta2", false, []string{"v1beta1", "v1beta2"}},
	{"1.20.15", "v1beta2", false, []string{"v1beta1", "v1beta2"}},
	{"1.21.14", "v1beta2", true, []string{"v1beta1", "v1beta2"}},
	{"1.22.17", "v1beta3", true, []string{"v1beta2", "v1beta3"}},
	{"1.25.16", "v1beta3", false, []string{"v1beta2", "v1beta3"}},
	{"1.28.15", "v1beta3", false, []string{"v1beta3"}},
	{"1.30.3", "v1beta3", true, []string{"v1beta3"}},
	{"1.31.14", "v1beta4", true, []string{"v1beta3", "v1beta4"}},
	{"1.34.4", "v1beta4", false, []string{"v1beta3", "v1beta4"}},
	{"1.36.3", "v1beta4", false, []string{"v1beta3", "v1beta4"}},
	{"1.37.2", "v1beta4", false, []string{"v1beta4"}},
}

// Find returns a release by its version, with or without a v.
func Find(version string) (Release, error) {
	i := slices.IndexFunc(Releases, func(r Release) bool { return r.Version == strings.TrimPrefix(version, "v") })
	if i < 0 {
		return Release{}, &UnknownReleaseError{Version: version}
	}
	return Releases[i], nil
}

// Minor returns 30 for 1.30.3.
func (r Release) Minor() int {
	minor, err := strconv.Atoi(strings.Split(r.Version, ".")[1])
	if err != nil {
		panic("a release's version is 1.MINOR.PATCH: " + r.Version) // Releases is a constant
	}
	return minor
}

// String returns "v1.30.3", as the file's kubernetesVersion has it.
func (r Release) String() string { return "v" + r.Version }

// stagedInTree reports releases whose module has no go.mod and brings its staging
// modules along, because those were not yet published with versions to require.
func (r Release) stagedInTree() bool { return r.Minor() <= 14 }

// cut names a file of the release that must go for its oracle to build, or "".
// It makes no part of the verdict: in 1.10 the file that prints errors imports
// the preflight checks, and those most of Kubernetes, with modules that exist no
// longer.
func (r Release) cut() string {
	if r.Minor() == 10 {
		return "cmd/kubeadm/app/util/error.go"
	}
	return ""
}

// since picks the newest of the files named PREFIX_1.MINOR.go that is not newer
// than the release: the minor in a name is the first that the file is for.
func (r Release) since(prefix string, minors ...int) string {
	chosen := minors[0]
	for _, minor := range minors {
		if minor <= r.Minor() {
			chosen = minor
		}
	}
	return fmt.Sprintf("%s_1.%d.go", prefix, chosen)
}

// sources names the files of the program for a release. What differs between
// releases is where packages are and what the loaders' functions are called.
func (r Release) sources() []string {
	names := []string{"main.go", "strict.go", "migrate.go"}
	switch r.API {
	case "v1alpha1", "v1alpha2":
		return append(names, r.API+".go")
	}
	names = append(names, "documents.go", r.since("load", 12, 13, 14, 30, 31), r.since("components", 12, 17, 19), r.since("migrate", 12, 13, 14, 28, 30, 31, 37))
	if r.Minor() >= 17 {
		names = append(names, "refused_1.17.go", r.since("kubelet", 17, 23))
	}
	return names
}
