package software

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/vip"
)

// program is one that a host must have.
type program struct {
	name string
	// command is looked up in PATH unless it is a path; with args it prints its
	// version in its first line.
	command, args string
	// install says what to do when it is not there.
	install string
	// judge finds fault with the first line; nil takes any version.
	judge func(line string) (plan.Finding, bool)
}

func kubernetesProgram(name, args string, want quorate.Version) program {
	return program{
		name: name, command: name, args: args,
		install: "install " + want.String(),
		judge: func(line string) (plan.Finding, bool) {
			have, err := printedVersion(line)
			if err != nil {
				return plan.Finding{Found: fmt.Sprintf("%s prints %q as its version", name, line), Do: "install " + want.String()}, true
			}
			return plan.Finding{Found: name + " is " + have.String(), Do: "install " + want.String() + ", the version of the cluster"}, have != want
		},
	}
}

func etcdProgram(e quorate.Etcd) program {
	atLeast := "etcd " + e.Version.String() + " or later"
	return program{
		name: "etcd", command: e.Binary, args: "--version",
		install: "put " + atLeast + " there (from the archive of its release, by Pushed, or by the distribution's package in " +
			"Packages.Etcd), or set etcd.binary to where it is",
		judge: func(line string) (plan.Finding, bool) {
			have, err := printedVersion(line)
			if err != nil {
				return plan.Finding{Found: fmt.Sprintf("%s prints %q as its version", e.Binary, line), Do: "put " + atLeast + " there"}, true
			}
			return plan.Finding{Found: e.Binary + " is etcd " + have.String(), Do: "put " + atLeast + " there, or set etcd.version to what it is"}, have.Compare(e.Version) < 0
		},
	}
}

// haproxyVersion is in the first line of haproxy -v: "HAProxy version
// 2.6.12-1+deb12u2 2025/04/16 - https://haproxy.org/", with "HA-Proxy" before 2.4.
var haproxyVersion = regexp.MustCompile(`^HA-?Proxy version (\d+)\.(\d+)`)

func haproxyProgram() program {
	atLeast := fmt.Sprintf("haproxy %d.%d or later", vip.MinHAProxyMajor, vip.MinHAProxyMinor)
	return program{
		name: "haproxy", command: "haproxy", args: "-v",
		install: "install " + atLeast + ", or leave endpoint.loadBalancer out",
		judge: func(line string) (plan.Finding, bool) {
			m := haproxyVersion.FindStringSubmatch(line)
			if m == nil {
				return plan.Finding{Found: fmt.Sprintf("haproxy prints %q as its version", line), Do: "install " + atLeast}, true
			}
			major, _ := strconv.Atoi(m[1]) // digits; one out of range is a later version
			minor, _ := strconv.Atoi(m[2])
			old := cmp.Or(cmp.Compare(major, vip.MinHAProxyMajor), cmp.Compare(minor, vip.MinHAProxyMinor)) < 0
			return plan.Finding{Found: "haproxy is " + m[1] + "." + m[2], Do: "install " + atLeast + ", or leave endpoint.loadBalancer out"}, old
		},
	}
}

// gitVersion is where kubectl before 1.28 puts its version, in the middle of a
// line: Client Version: version.Info{Major:"1", ..., GitVersion:"v1.10.4", ...}.
var gitVersion = regexp.MustCompile(`GitVersion:"([^"]+)"`)

// printedVersion reads the last word, where kubeadm, kubelet, kubectl and etcd
// put it: "Kubernetes v1.37.2", "Client Version: v1.37.2", "etcd Version: 3.6.16".
func printedVersion(line string) (quorate.Version, error) {
	if m := gitVersion.FindStringSubmatch(line); m != nil {
		return quorate.ParseVersion(m[1])
	}
	return quorate.ParseVersion(line[strings.LastIndexByte(line, ' ')+1:])
}

// fault says what is wrong with a program on a host where it printed line.
func (p program) fault(line string, there bool) (plan.Finding, bool) {
	if !there {
		where := ""
		if strings.HasPrefix(p.command, "/") {
			where = " at " + p.command
		}
		return plan.Finding{Found: p.name + " is not installed" + where, Do: p.install}, true
	}
	if p.judge == nil {
		return plan.Finding{}, false
	}
	return p.judge(line)
}

// programs refuses a host that lacks a program or has another version of it. The
// versions are remembered on the host beside the identity of each file: to start a
// program of 50 MB for its version takes as long as all else that a run without
// changes does.
type programs struct {
	// memory is the host's file of versions found before.
	memory string
	needed []program
}

// versionsScript prints the installed versions, in one round trip. The arguments are
// three for each program: name, command and the command's arguments.
//
// The remembered versions hold as long as each command is at the same path and its file
// has the same inode, size and times. No tool can set the last of these, the time of
// the inode's last change. The device is not compared: a reboot may renumber it. If
// something differs, the script prints the versions, then "remember:" and the identities
// to keep with them. It prints none if a program is a script or a link to a launcher
// such as snap's, which may start another version tomorrow.
//
//go:embed scripts/versions.sh
var versionsScript string

func (ps programs) query() transport.Query {
	var args []string
	for _, p := range ps.needed {
		args = append(args, p.name, p.command, p.args)
	}
	return plan.Script(versionsScript, map[string]string{"MEMORY": ps.memory}, args...)
}

// look returns the versions, and the file to keep on the host, if it changes.
func (ps programs) look(ctx context.Context, h *plan.Host) (versions, memory []byte, err error) {
	out, err := h.Ask(ctx, ps.query())
	versions, memory, _ = bytes.Cut(out, []byte("remember:\n"))
	if len(memory) > 0 {
		memory = slices.Concat(memory, versions)
	}
	return versions, memory, err
}

// Check returns every missing or unsuitable program at once in a *HostError.
func (ps programs) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	versions, memory, err := ps.look(ctx, h)
	if err != nil {
		return nil, err
	}
	found := keyval.Parse(versions)
	var faults []plan.Finding
	for _, p := range ps.needed {
		line, there := found[p.name]
		if fault, wrong := p.fault(line, there); wrong {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return nil, &plan.HostError{Host: h.Name, Findings: faults}
	}
	if len(memory) > 0 {
		return plan.Diff{{Verb: "record", Subject: "the versions of " + strings.Join(ps.names(), ", ")}}, nil
	}
	return nil, nil
}

func (ps programs) names() []string {
	var names []string
	for _, p := range ps.needed {
		names = append(names, p.name)
	}
	return names
}

// Apply remembers the versions.
func (ps programs) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	_, memory, err := ps.look(ctx, h)
	if err != nil || len(memory) == 0 {
		return err
	}
	return h.WriteFiles(ctx, ps.remembered(memory))
}

func (ps programs) remembered(memory []byte) quorate.File {
	return quorate.File{Path: ps.memory, Mode: 0o600, Content: quorate.Public(memory)}
}

// Prefetch returns the script.
func (ps programs) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{ps.query()}}
}

func (ps programs) deploy() plan.Deploy {
	return plan.Deploy{Files: []quorate.File{ps.remembered(nil)}}
}

// Backup copies the file of what is remembered.
func (ps programs) Backup(ctx context.Context, h *plan.Host, d plan.Diff, dir string) error {
	return ps.deploy().Backup(ctx, h, d, dir)
}

// Undo restores the file.
func (ps programs) Undo(ctx context.Context, h *plan.Host, dir string) error {
	return ps.deploy().Undo(ctx, h, dir)
}

// Describe returns the programs, and the versions that are wanted.
func (ps programs) Describe() plan.Description {
	d := plan.Description{Kind: "quorate/programs"}
	for _, p := range ps.needed {
		d.Inputs = append(d.Inputs, plan.InputText(p.name, p.command, p.args, p.install))
	}
	return d
}

// Commands returns none: Apply only writes the file.
func (programs) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return nil, nil
}
