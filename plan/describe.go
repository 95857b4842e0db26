package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// Describer is the ability of an Action to say, without any host, what it is
// made of. A preview compares what a host has with it, line by line, and tells
// by it one plan from another; two plans whose Actions have not this ability
// differ for it only in the Actions' types.
type Describer interface {
	// Describe does no I/O and gives the same at every call.
	Describe() Description
}

// Description is what an Action is made of. Sensitive contents are compared and
// never shown.
type Description struct {
	// Files are those that the Action keeps as they are here: its Check names
	// in its Diff, by their paths, those that differ.
	Files []quorate.File
	// Unchecked are files that Apply writes without its Check looking at them,
	// such as a configuration that is read once. A preview of a step that would
	// change looks at them itself, in one round trip.
	Unchecked []quorate.File
	// Inputs are what else decides on what Apply does: a version, the hash of a
	// file that is streamed, a manifest.
	Inputs []quorate.Content
}

// Commander is the ability of an Action to say which commands it would run.
type Commander interface {
	// Commands gives those that Apply would run for what Check has found, in
	// their order; where Apply runs a script, those that matter in it. It may
	// read from the host, and changes nothing.
	Commands(ctx context.Context, h *Host, d Diff) ([]Command, error)
}

// Command is one that would run on a host.
type Command struct {
	// Argv is the program and its arguments; they hold no secrets.
	Argv []string `json:"argv"`
	// Stdin says in words what the command would be given to read, empty if
	// nothing. It is never the content.
	Stdin string `json:"stdin,omitempty"`
}

// input is public texts as one content; no two lists of them give the same.
func input(texts ...string) quorate.Content { return quorate.Public(fmt.Appendf(nil, "%q", texts)) }

func command(argv ...string) Command { return Command{Argv: argv} }

// Describe gives the files and the units.
func (d Deploy) Describe() Description {
	out := Description{Files: d.Files}
	for _, u := range d.Units {
		out.Inputs = append(out.Inputs, input(u.Name, fmt.Sprint(u.EnableOnly), fmt.Sprint(u.NoBlock)))
	}
	return out
}

// Commands gives what systemctl would be told.
func (d Deploy) Commands(_ context.Context, _ *Host, diff Diff) ([]Command, error) {
	_, args := d.unitArgs(diff)
	var out []Command
	for pair := range slices.Chunk(args, 2) {
		argv := append([]string{"systemctl"}, strings.Fields(pair[0])...)
		if pair[1] != "" {
			argv = append(argv, pair[1])
		}
		out = append(out, Command{Argv: argv})
	}
	return out, nil
}

// Describe gives what is asked for, and what is wanted of it.
func (ps programs) Describe() Description {
	var d Description
	for _, p := range ps.needed {
		d.Inputs = append(d.Inputs, input(p.name, p.command, p.args, p.install))
	}
	return d
}

// Commands gives none: what is known already is written down.
func (programs) Commands(context.Context, *Host, Diff) ([]Command, error) { return nil, nil }

// Describe gives the file of settings.
func (k kernel) Describe() Description { return Description{Files: []quorate.File{k.file()}} }

// Commands loads it.
func (k kernel) Commands(context.Context, *Host, Diff) ([]Command, error) {
	return []Command{command("sysctl", "--load="+sysctlFile)}, nil
}

// Describe gives the repositories' files, and what is wanted in which versions.
func (p packages) Describe() Description {
	d := Description{Files: p.repositories, Inputs: []quorate.Content{input(p.version.String(), fmt.Sprint(p.hold))}}
	for _, w := range p.wanted {
		d.Inputs = append(d.Inputs, input(w.String()))
	}
	return d
}

// Commands asks the host which package manager it has.
func (p packages) Commands(ctx context.Context, h *Host, _ Diff) ([]Command, error) {
	found, err := p.look(ctx, h)
	if err != nil {
		return nil, err
	}
	missing := p.missing(found)
	if found.manager != "apt-get" {
		if len(missing) == 0 {
			return nil, nil
		}
		return []Command{{Argv: rpmInstall(found.manager, missing)}}, nil
	}
	var out []Command
	if len(missing) > 0 {
		install := []string{"apt-get", "install", "-q", "-y", "--no-install-recommends", "--allow-change-held-packages"}
		out = append(out, command("apt-get", "update", "-q"), Command{Argv: append(install, join(missing, "=")...)})
	}
	if hold := p.holding(found); len(hold) > 0 {
		out = append(out, Command{Argv: hold})
	}
	return out, nil
}

// Describe gives the hashes of what is streamed.
func (p push) Describe() Description {
	var d Description
	for _, f := range p.files {
		d.Inputs = append(d.Inputs, f.input())
	}
	return d
}

func (f Payload) input() quorate.Content {
	return input(f.Path, f.file().Mode.String(), strings.ToLower(f.SHA256))
}

// Describe gives the hashes of archives, and the images in them.
func (im images) Describe() Description {
	var d Description
	for _, a := range im.archives {
		d.Inputs = append(d.Inputs, a.input(), input(a.Names...))
	}
	return d
}

// Commands imports the archives whose images are not there.
func (im images) Commands(_ context.Context, _ *Host, d Diff) ([]Command, error) {
	var out []Command
	for _, c := range d {
		if c.Verb == "import" {
			out = append(out, command("ctr", "--address", im.socket, "--namespace", "k8s.io", "images", "import", c.Subject))
		}
	}
	return out, nil
}

// Describe gives kubeadm's configuration, which nothing compares once kubeadm
// has read it, and how kubeadm is called.
func (b bootstrap) Describe() Description {
	d := Description{Unchecked: b.config, Inputs: []quorate.Content{
		input(b.argv...), input(b.args...), input(b.reset...), input(b.check, b.after), b.token.input(),
	}}
	if b.instead != nil {
		d.Inputs = append(d.Inputs, input(b.instead.argv...))
		for _, f := range b.instead.config {
			d.Inputs = append(d.Inputs, f.Content)
		}
	}
	return d
}

// Commands is kubeadm, where it is to run.
func (b bootstrap) Commands(_ context.Context, _ *Host, d Diff) ([]Command, error) {
	var out []Command
	switch c := d[0]; {
	case c.Verb == verbRenew:
		return b.token.commands(), nil
	case c.Verb == verbRepair && c.Disruptive:
		out = append(out, Command{Argv: b.reset})
	case c.Verb != "run":
		return nil, nil // recorded only, or still at work: how that ends decides
	}
	if slices.ContainsFunc(b.config, func(f quorate.File) bool { return f.Path == kubeadm.KubeletDropInPath }) {
		out = append(out, command("systemctl", "daemon-reload"))
	}
	if b.instead != nil && d[0].Subject == b.instead.what() {
		return append(out, Command{Argv: b.instead.argv}), nil
	}
	return append(out, Command{Argv: b.argv}), nil
}

// Describe gives the manifest.
func (a applyManifest) Describe() Description {
	return Description{Inputs: []quorate.Content{a.yaml}}
}

// Commands applies it.
func (a applyManifest) Commands(context.Context, *Host, Diff) ([]Command, error) {
	return []Command{{Argv: kubectl("apply", "-f", "-"), Stdin: "manifest " + a.name}}, nil
}

// Describe gives the nodes and the taints.
func (u untaint) Describe() Description {
	return Description{Inputs: []quorate.Content{input(u.nodes...), input(u.taints...)}}
}

// Commands removes the taints.
func (u untaint) Commands(_ context.Context, _ *Host, d Diff) ([]Command, error) {
	var out []Command
	for _, argv := range u.argvs(d) {
		out = append(out, Command{Argv: argv})
	}
	return out, nil
}

// Describe gives the nodes and their version.
func (r nodesReady) Describe() Description {
	names := []string{r.cluster.Version.String()}
	for _, n := range r.cluster.Nodes {
		names = append(names, n.Name)
	}
	return Description{Inputs: []quorate.Content{input(names...)}}
}

// Commands waits, where kubectl can.
func (r nodesReady) Commands(_ context.Context, _ *Host, d Diff) ([]Command, error) {
	if !kubectlWaits(r.cluster.Version) {
		return nil, nil
	}
	return []Command{{Argv: waitReady(d)}}, nil
}
