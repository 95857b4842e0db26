package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const kubernetes = "k8s.io/kubernetes"

// raised are modules that do not work with today's Go at the versions that old
// releases ask for: they reach into the runtime or lack files for it.
var raised = []string{
	"golang.org/x/crypto v0.33.0",
	"golang.org/x/net v0.35.0",
	"golang.org/x/sys v0.30.0",
	"golang.org/x/term v0.29.0",
	"golang.org/x/text v0.22.0",
	"github.com/json-iterator/go v1.1.12",
	"github.com/modern-go/reflect2 v1.0.2",
}

// lastToRaise is the last minor that needs them raised.
const lastToRaise = 23

// vanished modules have moved, and their old address answers no longer.
var vanished = []string{"vbom.ml/util => github.com/fvbommel/util v0.0.0-20160121211510-db5cfe13f5cc"}

// requirementsOf is the release whose requirements replace those of the
// releases before Kubernetes was a module: the nearest that has any.
const requirementsOf = "1.15.12"

// Pin settles the modules of a release: which versions of everything its oracle
// is built from. It writes VERSION.mod and VERSION.sum to a directory. It is for
// adding a release, needs the module proxy, and takes as long as a build.
func Pin(ctx context.Context, dir string, r Release) (err error) {
	work, err := os.MkdirTemp("", "pin-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	sources, err := r.programFiles()
	if err != nil {
		return err
	}
	if err := writeFiles(work, append(sources, file{"go.mod", []byte(modHeader)})); err != nil {
		return err
	}
	if err := r.resolve(ctx, work, func(string) bool { return true }); err != nil {
		return err
	}
	if r.stagedInTree() {
		// All that replaces the release's requirements was a guess. Once it
		// is known what is linked, the rest goes.
		linked, err := goTool(ctx, work, "mod", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
		if err != nil {
			return err
		}
		modules := strings.Fields(string(linked))
		if err := r.resolve(ctx, work, func(module string) bool { return slices.Contains(modules, module) }); err != nil {
			return err
		}
	}
	if _, err := goTool(ctx, work, "mod", "build", "-o", os.DevNull, "."); err != nil {
		return err
	}
	source, err := r.download(ctx, work, "mod")
	if err != nil {
		return err
	}
	if err := addLine(filepath.Join(work, "go.sum"), r.sumLine(source)); err != nil {
		return err
	}
	// Says whether everything is settled.
	if _, err := goTool(ctx, work, "readonly", "build", "-o", os.DevNull, "."); err != nil {
		return err
	}
	for _, name := range []string{"mod", "sum"} {
		data, err := os.ReadFile(filepath.Join(work, "go."+name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, r.Version+"."+name), data, 0o644); err != nil { //nolint:gosec // a source file
			return err
		}
	}
	return nil
}

// resolve writes the module's go.mod with what is wanted of its requirements, and
// has the go command complete it. Not by tidy, which wants the tests of
// everything too.
func (r Release) resolve(ctx context.Context, work string, want func(module string) bool) error {
	mod, err := r.goMod(ctx, work, want)
	if err != nil {
		return err
	}
	if err := writeFiles(work, []file{{"go.mod", []byte(mod)}, {"go.sum", nil}}); err != nil {
		return err
	}
	if err := r.stage(ctx, work, "mod"); err != nil {
		return err
	}
	_, err = goTool(ctx, work, "mod", "list", "-deps", ".")
	return err
}

// addLine adds a line to a file that lacks it.
func addLine(name, line string) error {
	data, err := os.ReadFile(name)
	if err != nil || strings.Contains(string(data), line) {
		return err
	}
	return os.WriteFile(name, append(data, line...), 0o600)
}

const modHeader = "module oracle\n\ngo 1.26\n"

// goMod is what a release's module starts with; the go command completes it.
func (r Release) goMod(ctx context.Context, work string, want func(module string) bool) (string, error) {
	source, err := r.download(ctx, work, "mod")
	if err != nil {
		return "", err
	}
	names, err := r.staging(source)
	if err != nil {
		return "", err
	}
	require := []string{kubernetes + " " + r.String(), "gopkg.in/yaml.v3 v3.0.1"}
	var replace, exclude []string
	for _, name := range names {
		target := "./" + stagingDir + "/" + name
		if !r.stagedInTree() {
			if target = r.published(ctx, work, name); target == "" {
				exclude = append(exclude, "k8s.io/"+name+" v0.0.0")
				continue
			}
		}
		replace = append(replace, "k8s.io/"+name+" => "+target)
	}
	if r.stagedInTree() {
		if source, err = (Release{Version: requirementsOf}).download(ctx, work, "mod"); err != nil {
			return "", err
		}
		for _, name := range names {
			require = append(require, "k8s.io/"+name+" v0.0.0")
		}
	}
	mod, err := os.ReadFile(source.GoMod)
	if err != nil {
		return "", err
	}
	others, settled := thirdParty(mod), thirdPartyReplaces(mod)
	if r.stagedInTree() {
		unwanted := func(line string) bool { return !want(strings.Fields(line)[0]) }
		require = append(require, slices.DeleteFunc(others, unwanted)...)
		settled = slices.DeleteFunc(settled, unwanted)
	}
	replace = append(replace, settled...)
	if r.cut() != "" {
		replace = append(replace, kubernetes+" => ./"+stagingDir+"/kubernetes")
	}
	if r.Minor() <= lastToRaise {
		isRaised := func(line string) bool {
			module, _, _ := strings.Cut(line, " ")
			return slices.ContainsFunc(append(raised, vanished...), func(other string) bool { return strings.HasPrefix(other, module+" ") })
		}
		require = append(slices.DeleteFunc(require, isRaised), raised...)
		replace = append(slices.DeleteFunc(replace, isRaised), vanished...)
	}
	return modHeader + block("require", require) + block("replace", replace) + block("exclude", exclude), nil
}

func block(verb string, lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "\n" + verb + " (\n\t" + strings.Join(lines, "\n\t") + "\n)\n"
}

// staging names the staging modules of a release.
func (r Release) staging(source downloaded) ([]string, error) {
	var names []string
	if r.stagedInTree() {
		entries, err := os.ReadDir(filepath.Join(source.Dir, "staging", "src", "k8s.io"))
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.IsDir() {
				names = append(names, entry.Name())
			}
		}
		return names, nil
	}
	mod, err := os.ReadFile(source.GoMod)
	if err != nil {
		return nil, err
	}
	for _, match := range stagingReplace.FindAllSubmatch(mod, -1) {
		names = append(names, string(match[1]))
	}
	if len(names) == 0 {
		// From 1.3x on a workspace says where they are.
		for _, match := range stagingRequire.FindAllSubmatch(mod, -1) {
			names = append(names, string(match[1]))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s@%s names no staging module", kubernetes, r)
	}
	return names, nil
}

var (
	stagingReplace = regexp.MustCompile(`(?m)^\s*k8s\.io/(\S+) => \./staging/src/k8s\.io/`)
	stagingRequire = regexp.MustCompile(`(?m)^\s*k8s\.io/(\S+) v0\.0\.0\b`)
)

// published returns a staging module at the release that belongs to r. Of some
// only the minor's first is served; types hardly change within a minor. Of one
// that was first published later, a later one has to fill the place. "" if none
// is: whoever needs more of it than its name fails to build.
func (r Release) published(ctx context.Context, work, name string) string {
	versions := []string{"v0" + strings.TrimPrefix(r.Version, "1")}
	for later := range 4 {
		versions = append(versions, fmt.Sprintf("v0.%d.0", r.Minor()+later))
	}
	for _, version := range versions {
		if _, err := goTool(ctx, work, "mod", "mod", "download", "k8s.io/"+name+"@"+version); err == nil {
			return "k8s.io/" + name + " " + version
		}
	}
	return ""
}

// thirdParty returns the requirements of a go.mod that are not staging modules.
func thirdParty(mod []byte) []string {
	var lines []string
	for _, match := range requirement.FindAllSubmatch(mod, -1) {
		if module, version := string(match[1]), string(match[2]); version != "v0.0.0" {
			lines = append(lines, module+" "+version)
		}
	}
	return lines
}

// thirdPartyReplaces returns the replacements of a go.mod by which releases until
// 1.2x settle what they vendor. They do not reach who requires Kubernetes.
func thirdPartyReplaces(mod []byte) []string {
	var lines []string
	for _, match := range replacement.FindAllSubmatch(mod, -1) {
		if module, target := string(match[1]), string(match[2]); !strings.HasPrefix(target, ".") {
			lines = append(lines, module+" => "+target)
		}
	}
	return lines
}

var replacement = regexp.MustCompile(`(?m)^\t(\S+) => (\S+ v\S+)$`)

var requirement = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)(?: // indirect)?$`)
