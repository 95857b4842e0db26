package software

import (
	"context"
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// packages installs what is missing.
type packages struct {
	repositories []quorate.File
	version      quorate.Version
	wanted       []pkg
	hold         bool
}

// installedScript prints the package manager, for each argument that is
// installed its version and whether it is held, and what dnf or yum exclude. A
// name also matches what provides it, as curl-minimal provides curl.
//
//go:embed scripts/installed.sh
var installedScript string

// installed is what installedScript prints.
type installed struct {
	manager  string
	versions map[string]string
	// held are names, or patterns of them.
	held []string
}

func parseInstalled(out []byte) installed {
	found := installed{versions: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		if _, excluded, ok := strings.Cut(line, "="); ok && strings.HasPrefix(line, "exclude") {
			found.held = append(found.held, strings.FieldsFunc(excluded, func(r rune) bool { return strings.ContainsRune(" ,\t\r\n", r) })...)
			continue
		}
		switch words := strings.Fields(line); {
		case len(words) == 2 && words[0] == "manager":
			found.manager = words[1]
		case len(words) >= 4 && words[0] == "package" && words[2] == "installed":
			found.versions[words[1]] = words[3]
			if len(words) > 4 && words[4] == "hold" {
				found.held = append(found.held, words[1])
			}
		}
	}
	return found
}

// holds reports whether an upgrade of everything leaves a package alone.
func (i installed) holds(name string) bool {
	return slices.ContainsFunc(i.held, func(pattern string) bool {
		match, _ := path.Match(pattern, name) // a bad pattern holds nothing
		return match
	})
}

func (p packages) query() transport.Query {
	var names []string
	for _, w := range p.wanted {
		names = append(names, w.name)
	}
	return plan.Script(installedScript, nil, names...)
}

// look reads what is installed, and refuses a host on which nothing can be.
func (p packages) look(ctx context.Context, h *plan.Host) (installed, error) {
	out, err := h.Ask(ctx, p.query())
	if err != nil {
		return installed{}, err
	}
	found := parseInstalled(out)
	if found.manager == "none" {
		return found, &plan.HostError{Host: h.Name, Findings: []plan.Finding{{
			Found: "neither apt-get nor dnf nor yum", Do: "install the programs yourself and use Present, or use Pushed",
		}}}
	}
	if faults := p.newer(found); len(faults) > 0 {
		return found, &plan.HostError{Host: h.Name, Findings: faults}
	}
	return found, nil
}

// newer finds packages of a later Kubernetes: apt-get would refuse to go back,
// and dnf would do it.
func (p packages) newer(found installed) []plan.Finding {
	var faults []plan.Finding
	for _, name := range kubernetesPackages() {
		number, _, _ := strings.Cut(found.versions[name], "-")
		have, err := quorate.ParseVersion(strings.ReplaceAll(number, "~", "-"))
		if err == nil && have.Compare(p.version) > 0 {
			faults = append(faults, plan.Finding{
				Found: fmt.Sprintf("the package %s is of %s, later than the cluster's %s", name, have, p.version),
				Do:    "remove it, or set the cluster's version to that of its packages: nothing is downgraded",
			})
		}
	}
	return faults
}

func (p packages) missing(found installed) []pkg {
	return slices.DeleteFunc(slices.Clone(p.wanted), func(w pkg) bool {
		have, ok := found.versions[w.name]
		return ok && w.fits(have)
	})
}

// pinned are the packages to hold, none if they are not to be held.
func (p packages) pinned() []string {
	var names []string
	for _, w := range p.wanted {
		if p.hold && w.version != "" {
			names = append(names, w.name)
		}
	}
	return names
}

func (p packages) unheld(found installed) []string {
	return slices.DeleteFunc(p.pinned(), found.holds)
}

// Check reads what is missing or not held, in one round trip beside that for the
// repositories' files.
func (p packages) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	diff, err := h.DiffFiles(ctx, p.repositories...)
	if err != nil {
		return nil, err
	}
	found, err := p.look(ctx, h)
	if err != nil {
		return nil, err
	}
	for _, w := range p.missing(found) {
		c := plan.Change{Verb: "install", Subject: w.String()}
		if have := found.versions[w.name]; have != "" {
			c.Detail = have + " is installed"
		}
		diff = append(diff, c)
	}
	for _, name := range p.unheld(found) {
		diff = append(diff, plan.Change{Verb: "hold", Subject: name})
	}
	return diff, nil
}

// Apply puts the repositories in place, installs what is missing, and holds
// what is pinned.
func (p packages) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	if err := (plan.Deploy{Files: p.repositories}).Apply(ctx, h, d); err != nil {
		return err
	}
	found, err := p.look(ctx, h)
	if err != nil {
		return err
	}
	if found.manager == "apt-get" {
		return p.applyAPT(ctx, h, found)
	}
	return p.applyRPM(ctx, h, found)
}

// aptScript installs its arguments. A host's own version of a configuration
// file stays. Another process that is at it, as on a host that has just booted,
// is waited for: apt-get does that by itself for dpkg's lock, and not for that
// of the lists. What the update complains of, and goes on without, is part of
// the error if something is then not found.
//
//go:embed scripts/aptinstall.sh
var aptScript string

func (p packages) applyAPT(ctx context.Context, h *plan.Host, found installed) error {
	missing := p.missing(found)
	if len(missing) > 0 {
		if _, err := h.Script(ctx, aptScript, nil, join(missing, "=")...); err != nil {
			return err
		}
	}
	if hold := p.holding(found); len(hold) > 0 {
		_, err := h.Run(ctx, hold...)
		return err
	}
	return nil
}

// holding is how apt-get's packages are held, nil if they are. Installing a held
// package may have let go of it.
func (p packages) holding(found installed) []string {
	held := p.pinned()
	if len(held) == 0 || len(p.missing(found)) == 0 && len(p.unheld(found)) == 0 {
		return nil
	}
	return append([]string{"apt-mark", "hold"}, held...)
}

// applyRPM looks past the exclude= lines that hold the packages.
func (p packages) applyRPM(ctx context.Context, h *plan.Host, found installed) error {
	if unheld := p.unheld(found); len(unheld) > 0 {
		return &plan.HostError{Host: h.Name, Findings: []plan.Finding{{
			Found: "nothing keeps " + found.manager + " from upgrading " + strings.Join(unheld, ", "),
			Do:    "add exclude=" + strings.Join(unheld, " ") + " to their repository's file, or set Packages.Unheld",
		}}}
	}
	missing := p.missing(found)
	if len(missing) == 0 {
		return nil
	}
	_, err := h.Run(ctx, rpmInstall(found.manager, missing)...)
	return err
}

func rpmInstall(manager string, missing []pkg) []string {
	anyway := "--setopt=disable_excludes=all,*" // dnf 4 says all, dnf 5 says *
	if manager == "yum" {
		anyway = "--disableexcludes=all"
	}
	return append([]string{manager, "install", "-q", "-y", anyway}, join(missing, "-")...)
}

func join(ps []pkg, by string) []string {
	out := make([]string, 0, len(ps))
	for _, w := range ps {
		out = append(out, w.joined(by))
	}
	return out
}

// Prefetch returns the repositories' files and the script.
func (p packages) Prefetch() plan.Prefetch {
	r := plan.Prefetch{Queries: []transport.Query{p.query()}}
	for _, f := range p.repositories {
		r.Files = append(r.Files, f.Path)
	}
	return r
}

// Describe returns the repositories' files, and what is wanted in which versions.
func (p packages) Describe() plan.Description {
	d := plan.Description{Kind: "quorate/packages", Files: p.repositories, Inputs: []quorate.Content{plan.InputText(p.version.String(), fmt.Sprint(p.hold))}}
	for _, w := range p.wanted {
		d.Inputs = append(d.Inputs, plan.InputText(w.String()))
	}
	return d
}

// Commands reads from the host which package manager it has.
func (p packages) Commands(ctx context.Context, h *plan.Host, _ plan.Diff) ([]plan.Command, error) {
	found, err := p.look(ctx, h)
	if err != nil {
		return nil, err
	}
	missing := p.missing(found)
	if found.manager != "apt-get" {
		if len(missing) == 0 {
			return nil, nil
		}
		return []plan.Command{{Argv: rpmInstall(found.manager, missing)}}, nil
	}
	var out []plan.Command
	if len(missing) > 0 {
		install := []string{"apt-get", "install", "-q", "-y", "--no-install-recommends", "--allow-change-held-packages"}
		out = append(out, plan.Command{Argv: []string{"apt-get", "update", "-q"}}, plan.Command{Argv: append(install, join(missing, "=")...)})
	}
	if hold := p.holding(found); len(hold) > 0 {
		out = append(out, plan.Command{Argv: hold})
	}
	return out, nil
}
