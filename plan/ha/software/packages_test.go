package software_test

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// distribution is a package manager and what it knows, on a fake host.
type distribution struct {
	available []string // "name=version", for dnf "name-version" in one
	installed map[string]string
	held      map[string]bool
}

// apt scripts apt-get, apt-mark and dpkg-query as far as Packages uses them.
func (d *distribution) apt(h *faketransport.Host) {
	h.Handle(faketransport.Prefix("apt-get", "update"), faketransport.Reply("Reading package lists...\n"))
	h.Handle(faketransport.Prefix("apt-get", "install"), d.install("=", "E: Unable to locate package "))
	h.Handle(faketransport.Prefix("apt-mark", "hold"), func(_ context.Context, in faketransport.Invocation) error {
		for _, name := range in.Argv[2:] {
			d.held[name] = true
		}
		return nil
	})
	h.Handle(faketransport.Prefix("dpkg-query"), func(_ context.Context, in faketransport.Invocation) error {
		for _, name := range in.Argv[3:] {
			version, ok := d.installed[name]
			if !ok {
				continue // and a complaint on standard error
			}
			state := "install"
			if d.held[name] {
				state = "hold"
			}
			if err := say(in, "package "+name+" installed "+version+" "+state+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
}

// rpm scripts dnf or yum, and rpm.
func (d *distribution) rpm(h *faketransport.Host, manager string) {
	h.Handle(faketransport.Prefix(manager), d.install("-", "Error: Unable to find a match: "))
	h.Handle(faketransport.Prefix("rpm", "--query", "--whatprovides"), func(_ context.Context, in faketransport.Invocation) error {
		name := in.Argv[len(in.Argv)-1]
		version, ok := d.installed[name]
		if !ok {
			if err := say(in, "no package provides "+name+"\n"); err != nil {
				return err
			}
			return faketransport.Exit(1)
		}
		return say(in, "package "+name+" installed "+version+" \n")
	})
}

func say(in faketransport.Invocation, text string) error {
	_, err := in.Stdout.Write([]byte(text))
	return err
}

// install puts the first available version that fits in place, and like the
// real thing lets go of a hold.
func (d *distribution) install(by, complaint string) faketransport.Handler {
	return func(ctx context.Context, in faketransport.Invocation) error {
		for _, arg := range in.Argv[2:] {
			if strings.HasPrefix(arg, "-") || strings.Contains(arg, "::") {
				continue
			}
			i := slices.IndexFunc(d.available, func(a string) bool {
				name, version, _ := strings.Cut(a, "=")
				fits, _ := path.Match(arg, name+by+version)
				return arg == name || fits
			})
			if i < 0 {
				return faketransport.Fail(1, complaint+arg+"\n")(ctx, in)
			}
			name, version, _ := strings.Cut(d.available[i], "=")
			d.installed[name] = version
			delete(d.held, name)
		}
		return nil
	}
}

func newDistribution() *distribution {
	return &distribution{
		available: []string{
			"kubeadm=1.37.10-1.1", "kubeadm=1.37.2-1.1", "kubelet=1.37.2-1.1", "kubectl=1.37.2-1.1", "keepalived=2.2.7-1",
			"containerd=1.6.20-1", "containerd.io=1.7.27-3.1", "curl=7.88.1-10", "nfs-common=2.6.2-4", "etcd-server=3.6.16-1", "cri-o=1.37.1-1",
		},
		installed: map[string]string{},
		held:      map[string]bool{},
	}
}

const (
	aptUpdate  = "exec apt-get update -q"
	aptInstall = "exec apt-get install -q -y --no-install-recommends --allow-change-held-packages " +
		"-o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "
	aptBegin = "run sh -c '# install packages...' sh "
	pinned   = "'kubeadm=1.37.2-*' 'kubelet=1.37.2-*' 'kubectl=1.37.2-*'"
	byDNF    = "'kubeadm-1.37.2-*' 'kubelet-1.37.2-*' 'kubectl-1.37.2-*'"
)

// The commands of each kind of host, to the letter; the second run has none.
func TestPackagesCommands(t *testing.T) {
	list := quorate.File{Path: "/etc/apt/sources.list.d/kubernetes.list", Content: quorate.Public([]byte("deb ...\n"))}
	repo := quorate.File{Path: "/etc/yum.repos.d/kubernetes.repo",
		Content: quorate.Public([]byte("[kubernetes]\nname=Kubernetes\nexclude=kubelet kubeadm kubectl cri-tools\n"))}
	for name, tt := range map[string]struct {
		packages  software.Packages
		manager   string
		installed map[string]string
		held      []string
		worker    bool
		external  bool
		socket    string
		diff      []string
		did       []string
	}{
		"apt, a bare control plane": {
			manager: "apt-get",
			diff: []string{"install containerd", "install keepalived", "install curl", "install kubeadm=1.37.2-*", "install kubelet=1.37.2-*",
				"install kubectl=1.37.2-*", "hold kubeadm", "hold kubelet", "hold kubectl"},
			did: []string{
				aptBegin + "containerd keepalived curl " + pinned, aptUpdate, aptInstall + "containerd keepalived curl " + pinned,
				"run apt-mark hold kubeadm kubelet kubectl",
			},
		},
		"apt, everything named": {
			manager: "apt-get",
			packages: software.Packages{
				Repositories: []quorate.File{list}, Extra: []string{"nfs-common"}, Runtime: "containerd.io=1.7.27-*", Etcd: "etcd-server",
			},
			diff: []string{"create " + list.Path, "install nfs-common", "install containerd.io=1.7.27-*", "install etcd-server",
				"install keepalived", "install curl", "install kubeadm=1.37.2-*", "install kubelet=1.37.2-*", "install kubectl=1.37.2-*",
				"hold containerd.io", "hold kubeadm", "hold kubelet", "hold kubectl"},
			did: []string{
				"write " + list.Path + " (0644 root:root)",
				aptBegin + "nfs-common 'containerd.io=1.7.27-*' etcd-server keepalived curl " + pinned, aptUpdate,
				aptInstall + "nfs-common 'containerd.io=1.7.27-*' etcd-server keepalived curl " + pinned,
				"run apt-mark hold containerd.io kubeadm kubelet kubectl",
			},
		},
		"apt, a worker needs neither keepalived nor etcd": {
			manager: "apt-get", worker: true, packages: software.Packages{Etcd: "etcd-server", Unheld: true},
			diff: []string{"install containerd", "install curl", "install kubeadm=1.37.2-*", "install kubelet=1.37.2-*", "install kubectl=1.37.2-*"},
			did:  []string{aptBegin + "containerd curl " + pinned, aptUpdate, aptInstall + "containerd curl " + pinned},
		},
		"apt, a runtime of one's own and an external endpoint": {
			manager: "apt-get", external: true, socket: "unix:///run/cri-dockerd.sock", packages: software.Packages{Unheld: true},
			diff: []string{"install curl", "install kubeadm=1.37.2-*", "install kubelet=1.37.2-*", "install kubectl=1.37.2-*"},
			did:  []string{aptBegin + "curl " + pinned, aptUpdate, aptInstall + "curl " + pinned},
		},
		"apt, one is of an older version and held": {
			manager: "apt-get",
			installed: map[string]string{"containerd": "1.6.20-1", "keepalived": "2.2.7-1", "curl": "7.88.1-10",
				"kubeadm": "1.37.1-1.1", "kubelet": "1.37.2-1.1", "kubectl": "1.37.2-1.1"},
			held: []string{"kubeadm", "kubelet", "kubectl"},
			diff: []string{"install kubeadm=1.37.2-* (1.37.1-1.1 is installed)"},
			did: []string{
				aptBegin + "'kubeadm=1.37.2-*'", aptUpdate, aptInstall + "'kubeadm=1.37.2-*'", "run apt-mark hold kubeadm kubelet kubectl",
			},
		},
		"apt, all there but not held": {
			manager: "apt-get",
			installed: map[string]string{"containerd": "1.6.20-1", "keepalived": "2.2.7-1", "curl": "7.88.1-10",
				"kubeadm": "1.37.2-1.1", "kubelet": "1.37.2-1.1", "kubectl": "1.37.2-1.1"},
			held: []string{"kubeadm"},
			diff: []string{"hold kubelet", "hold kubectl"},
			did:  []string{"run apt-mark hold kubeadm kubelet kubectl"},
		},
		"dnf, a bare control plane": {
			manager: "dnf", packages: software.Packages{Repositories: []quorate.File{repo}},
			diff: []string{"create " + repo.Path, "install containerd", "install keepalived", "install curl", "install kubeadm=1.37.2-*",
				"install kubelet=1.37.2-*", "install kubectl=1.37.2-*", "hold kubeadm", "hold kubelet", "hold kubectl"},
			did: []string{
				"write " + repo.Path + " (0644 root:root)",
				"run dnf install -q -y '--setopt=disable_excludes=all,*' containerd keepalived curl " + byDNF,
			},
		},
		"dnf, CRI-O": {
			manager: "dnf", socket: "unix:///run/crio/crio.sock", worker: true, packages: software.Packages{Unheld: true},
			diff: []string{"install cri-o", "install curl", "install kubeadm=1.37.2-*", "install kubelet=1.37.2-*", "install kubectl=1.37.2-*"},
			did:  []string{"run dnf install -q -y '--setopt=disable_excludes=all,*' cri-o curl " + byDNF},
		},
		"yum": {
			manager: "yum", worker: true, packages: software.Packages{Repositories: []quorate.File{repo}, Runtime: "containerd.io"},
			diff: []string{"create " + repo.Path, "install containerd.io", "install curl", "install kubeadm=1.37.2-*",
				"install kubelet=1.37.2-*", "install kubectl=1.37.2-*", "hold kubeadm", "hold kubelet", "hold kubectl"},
			did: []string{
				"write " + repo.Path + " (0644 root:root)",
				"run yum install -q -y --disableexcludes=all containerd.io curl " + byDNF,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr, h := fixture.FakeHost(t)
			d := newDistribution()
			for name, version := range tt.installed {
				d.installed[name] = version
			}
			for _, name := range tt.held {
				d.held[name] = true
			}
			if tt.manager == "apt-get" {
				d.apt(h)
			} else {
				d.rpm(h, tt.manager)
			}
			c := hafixture.Three()
			c.Endpoint.External, c.Kubeadm.CRISocket = tt.external, tt.socket
			if tt.worker {
				c.Nodes[0].Role = quorate.Worker
			}
			action := hafixture.Preparation(t, hafixture.Preparations(t, tt.packages, c), "packages")

			diff, err := hafixture.RunOne(t, tr, action, true)
			require.NoError(t, err)
			require.Equal(t, tt.diff, hafixture.Changes(diff), "the dry run")
			require.Empty(t, did(h, 0), "the dry run")

			_, err = hafixture.RunOne(t, tr, action, false)
			require.NoError(t, err)
			require.Equal(t, tt.did, did(h, 0))

			before := len(h.Calls())
			diff, err = hafixture.RunOne(t, tr, action, false)
			require.NoError(t, err)
			require.Empty(t, diff)
			require.Empty(t, did(h, before), "the second run changes nothing")
		})
	}
}

func TestPackagesUnsupportedHosts(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*distribution, *faketransport.Host)
		want []plan.Finding
	}{
		"no package manager": {
			set: func(*distribution, *faketransport.Host) {},
			want: []plan.Finding{{Found: "neither apt-get nor dnf nor yum",
				Do: "install the programs yourself and use Present, or use Pushed"}},
		},
		"later packages": {
			set: func(d *distribution, h *faketransport.Host) {
				d.apt(h)
				d.installed["kubeadm"], d.installed["kubelet"] = "1.37.10-1.1", "1.38.0~rc.1-1.1"
			},
			want: []plan.Finding{
				{Found: "the package kubeadm is of v1.37.10, later than the cluster's v1.37.2",
					Do: "remove it, or set the cluster's version to that of its packages: nothing is downgraded"},
				{Found: "the package kubelet is of v1.38.0-rc.1, later than the cluster's v1.37.2",
					Do: "remove it, or set the cluster's version to that of its packages: nothing is downgraded"},
			},
		},
		"nothing holds them with dnf": {
			set: func(d *distribution, h *faketransport.Host) {
				d.rpm(h, "dnf")
				require.NoError(t, h.Put(transport.File{Path: "/etc/yum.repos.d/k.repo", Data: transport.Bytes([]byte("exclude=kubelet\n"))}))
			},
			want: []plan.Finding{{Found: "nothing keeps dnf from upgrading kubeadm, kubectl",
				Do: "add exclude=kubeadm kubectl to their repository's file, or set Packages.Unheld"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr, h := fixture.FakeHost(t)
			tt.set(newDistribution(), h)
			_, err := hafixture.RunOne(t, tr, hafixture.Preparation(t, hafixture.Preparations(t, software.Packages{}, hafixture.Three()), "packages"), false)
			var host *plan.HostError
			require.ErrorAs(t, err, &host)
			require.Equal(t, tt.want, host.Findings)
			require.Empty(t, did(h, 0))
		})
	}
}

// A package that is nowhere: the error says what the package manager said.
func TestPackagesErrorText(t *testing.T) {
	for manager, want := range map[string]string{
		"apt-get": "E: Unable to locate package no-such", "dnf": "Error: Unable to find a match: no-such",
	} {
		t.Run(manager, func(t *testing.T) {
			tr, h := fixture.FakeHost(t)
			d := newDistribution()
			d.apt(h)
			if manager == "dnf" {
				tr, h = fixture.FakeHost(t)
				d.rpm(h, manager)
			}
			p := software.Packages{Extra: []string{"no-such"}, Unheld: true}
			_, err := hafixture.RunOne(t, tr, hafixture.Preparation(t, hafixture.Preparations(t, p, hafixture.Three()), "packages"), false)
			require.ErrorContains(t, err, "step one on cp-1: apply: cp-1: ")
			require.ErrorContains(t, err, want)
			var exit *transport.ExitError
			require.ErrorAs(t, err, &exit)
		})
	}
}

// The lists are locked while a host that has just booted updates them by itself:
// that is waited for, and nothing else is.
func TestPackagesWaitsForTheListsLock(t *testing.T) {
	const locked = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1\n"
	for name, tt := range map[string]struct {
		says  []string // by update; then it succeeds
		waits int
		want  string
	}{
		"locked for a while": {says: []string{locked, locked}, waits: 2},
		"locked for ever":    {says: slices.Repeat([]string{locked}, 1000), waits: 149, want: "Could not get lock"},
		"broken":             {says: []string{"E: The repository has no Release file.\n"}, want: "E: The repository has no Release file."},
	} {
		t.Run(name, func(t *testing.T) {
			tr, h := fixture.FakeHost(t)
			newDistribution().apt(h)
			updates, waits := 0, 0
			h.Handle(faketransport.Prefix("apt-get", "update"), func(ctx context.Context, in faketransport.Invocation) error {
				if updates++; updates <= len(tt.says) {
					return faketransport.Fail(100, tt.says[updates-1])(ctx, in)
				}
				return nil
			})
			h.Handle(faketransport.Exact("sleep", "2"), func(context.Context, faketransport.Invocation) error {
				waits++
				return nil
			})
			_, err := hafixture.RunOne(t, tr, hafixture.Preparation(t, hafixture.Preparations(t, software.Packages{}, hafixture.Three()), "packages"), false)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "exit status 100: "+strings.TrimSuffix(tt.says[0], "\n"))
				require.ErrorContains(t, err, tt.want)
			}
			require.Equal(t, tt.waits, waits)
		})
	}
}

// A repository that cannot be reached is only a warning to apt-get; if then
// something is not found, it is the reason in the error.
func TestPackagesUpdateWarnings(t *testing.T) {
	tr, h := fixture.FakeHost(t)
	newDistribution().apt(h)
	h.Handle(faketransport.Prefix("apt-get", "update"), func(_ context.Context, in faketransport.Invocation) error {
		_, err := fmt.Fprintln(in.Stderr, "W: Failed to fetch https://pkgs.example.com")
		return err
	})
	p := software.Packages{Extra: []string{"no-such"}}
	_, err := hafixture.RunOne(t, tr, hafixture.Preparation(t, hafixture.Preparations(t, p, hafixture.Three()), "packages"), false)
	require.ErrorContains(t, err, "W: Failed to fetch https://pkgs.example.com\n    E: Unable to locate package no-such")
}

// Without a package for it etcd must be there, and that is found out before
// anything is installed.
func TestPackagesChecksEtcdFirst(t *testing.T) {
	require.Equal(t, []string{"etcd", "packages", "binaries", "services"}, preparationNames(hafixture.Preparations(t, software.Packages{}, hafixture.Three())))
	require.Equal(t, []string{"packages", "binaries", "services"},
		preparationNames(hafixture.Preparations(t, software.Packages{Etcd: "etcd-server"}, hafixture.Three())))
	c := hafixture.Three().WithDefaults()
	worker, err := software.Packages{}.Prepare(c, c.Nodes[3])
	require.NoError(t, err)
	require.Equal(t, []string{"packages", "binaries", "services"}, preparationNames(worker))

	tr, h := fixture.FakeHost(t)
	_, err = hafixture.RunOne(t, tr, hafixture.Preparation(t, hafixture.Preparations(t, software.Packages{}, hafixture.Three()), "etcd"), false)
	require.EqualError(t, err, "1 step failed\n  step one on cp-1: check: host is not ready: etcd is not installed at /usr/local/bin/etcd: "+
		"put etcd v3.5.24 or later there (from the archive of its release, by Pushed, or by the distribution's package in "+
		"Packages.Etcd), or set etcd.binary to where it is")
	install(h, rightPrograms())
	_, err = hafixture.RunOne(t, tr, hafixture.Preparation(t, hafixture.Preparations(t, software.Packages{}, hafixture.Three()), "etcd"), false)
	require.NoError(t, err)
}

// A release candidate's packages have a ~ where its version has a hyphen.
func TestPackagesOfAPreRelease(t *testing.T) {
	c := hafixture.Three()
	c.Version.Pre = "rc.1"
	tr, h := fixture.FakeHost(t)
	d := newDistribution()
	d.available = append(d.available, "kubeadm=1.37.2~rc.1-1.1", "kubelet=1.37.2~rc.1-1.1", "kubectl=1.37.2~rc.1-1.1")
	d.apt(h)
	_, err := hafixture.RunOne(t, tr, hafixture.Preparation(t, hafixture.Preparations(t, software.Packages{}, c), "packages"), false)
	require.NoError(t, err)
	require.Equal(t, "1.37.2~rc.1-1.1", d.installed["kubelet"])
}

// Hosts whose repositories are not set up yet, with Docker's containerd at one
// version and its CRI turned on.
func ExamplePackages() {
	prerequisites := software.Packages{
		Repositories: []quorate.File{{
			Path: "/etc/apt/sources.list.d/kubernetes.list",
			Content: quorate.Public([]byte("deb [signed-by=/etc/apt/keyrings/kubernetes.asc] " +
				"https://pkgs.k8s.io/core:/stable:/v1.37/deb/ /\n")),
		}},
		Runtime:      "containerd.io=1.7.27-*",
		RuntimeFiles: []quorate.File{{Path: "/etc/containerd/config.toml", Content: quorate.Public([]byte("version = 2\n"))}},
		Extra:        []string{"nfs-common"},
	}
	cluster := quorate.Cluster{
		Version: quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Nodes: []quorate.Node{{
			Name: "cp-1", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")},
		}},
	}.WithDefaults()
	prepared, err := prerequisites.Prepare(cluster, cluster.Nodes[0])
	if err != nil {
		fmt.Println(err)
	}
	for _, p := range prepared {
		fmt.Printf("%s: %s\n", p.Name, p.Title)
	}
	// Output:
	// etcd: look for etcd
	// packages: install packages
	// binaries: check installed versions
	// services: run the container runtime
}
