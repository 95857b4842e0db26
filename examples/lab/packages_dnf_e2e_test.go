package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/ha/software"
)

// TestE2EPackagesDNF proves plan.Packages with the real dnf and rpm. Debian
// packages both, so the chroot has this machine's /usr without its apt-get.
func TestE2EPackagesDNF(t *testing.T) {
	root := packagesRoot(t, "dnf", "rpm", "rpmbuild", "createrepo_c")
	repository := rpmRepository(t)
	host := func(t *testing.T) chroot {
		t.Helper()
		h := newChroot(t, root, repository, "/usr")
		h.run(t, "rm", "/usr/bin/apt-get")
		return h
	}

	t.Run("a bare host", func(t *testing.T) {
		h := host(t)
		// What provides curl is as good as curl, which is in no repository here.
		h.run(t, "rpm", "--install", "--nodeps", repositoryDir+"/noarch/curl-minimal-7.76-1.noarch.rpm")
		p := fromRPMs("exclude=kubeadm kubelet kubectl")
		p.Etcd = "etcd-server"
		if _, err := h.prepare(t, p, "v1.37.2", "packages", "binaries"); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"kubeadm": "1.37.2-1.1", "kubelet": "1.37.2-1.1", "kubectl": "1.37.2-1.1",
			"containerd": "1.7.0-1", "etcd-server": "3.6.16-1", "keepalived": "2.2.8-1"}
		h.wantRPMs(t, want)
		diff, err := h.prepare(t, p, "v1.37.2", "packages", "binaries")
		if err != nil || len(diff) > 0 {
			t.Errorf("the second run: %v, %v", diff, err)
		}

		// An unattended upgrade takes what is new, and leaves what is held.
		h.run(t, "sh", "-c", "cd "+repositoryDir+" && mv later/*.rpm noarch && createrepo_c -q .")
		h.run(t, "dnf", "upgrade", "-q", "-y", "--refresh")
		want["containerd"] = "1.7.1-1"
		h.wantRPMs(t, want)
	})

	t.Run("from 1.37.1", func(t *testing.T) {
		h := host(t)
		list := fromRPMs("").Repositories[0]
		h.write(t, list.Path, list.Content.String())
		h.run(t, "dnf", "install", "-q", "-y", "kubeadm-1.37.1", "kubelet-1.37.1", "kubectl-1.37.1", "curl-minimal")
		if _, err := h.prepare(t, fromRPMs("excludepkgs=kube*"), "v1.37.2", "packages"); err != nil {
			t.Fatal(err)
		}
		h.wantRPMs(t, map[string]string{"kubeadm": "1.37.2-1.1", "kubelet": "1.37.2-1.1", "kubectl": "1.37.2-1.1"})
	})

	for name, tt := range map[string]struct {
		hold, version, want string
	}{
		"no such version": {"exclude=kube*", "v1.37.3", "Error: Unable to find a match: kubeadm-1.37.3-* kubelet-1.37.3-* kubectl-1.37.3-*"},
		"nothing holds":   {"", "v1.37.2", "nothing keeps dnf from upgrading kubeadm, kubelet, kubectl: add exclude=kubeadm kubelet kubectl to"},
	} {
		t.Run(name, func(t *testing.T) {
			h := host(t)
			_, err := h.prepare(t, fromRPMs(tt.hold), tt.version, "packages")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if got := h.run(t, "rpm", "--query", "--all"); got != "" {
				t.Errorf("installed: %s", got)
			}
		})
	}
}

// fromRPMs takes packages from the chroot's repository, which it configures
// with one more line.
func fromRPMs(line string) software.Packages {
	return software.Packages{Repositories: []quorate.File{{
		Path: "/etc/yum.repos.d/test.repo",
		Content: quorate.Public([]byte("[test]\nname=test\nbaseurl=file://" + repositoryDir +
			"\nenabled=1\ngpgcheck=0\n" + line + "\n")),
	}}}
}

func (c chroot) wantRPMs(t *testing.T, want map[string]string) {
	t.Helper()
	for name, version := range want {
		if got := c.run(t, "rpm", "--query", "--queryformat", "%{VERSION}-%{RELEASE}", name); got != version {
			t.Errorf("%s: %s, want %s", name, got, version)
		}
	}
}

// rpmRepository builds the packages and their index; below later is what is
// to be added.
func rpmRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, version := range []string{"1.36.0", "1.37.1", "1.37.2", "1.37.10"} {
		for name, words := range map[string]string{"kubeadm": "", "kubelet": "Kubernetes ", "kubectl": "Client Version: "} {
			rpmbuild(t, dir, name, version, "1.1", "", words+"v"+version)
		}
	}
	rpmbuild(t, dir, "containerd", "1.7.0", "1", "", "containerd 1.7.0")
	rpmbuild(t, dir, "keepalived", "2.2.8", "1", "", "Keepalived v2.2.8")
	rpmbuild(t, dir, "etcd-server", "3.6.16", "1", "", "etcd Version: 3.6.16")
	rpmbuild(t, dir, "curl-minimal", "7.76", "1", "Provides: curl = 7.76-1", "curl 7.76")
	machineRun(t, "createrepo_c", "-q", dir)
	rpmbuild(t, filepath.Join(dir, "later"), "containerd", "1.7.1", "1", "", "containerd 1.7.1")
	machineRun(t, "sh", "-c", "mv \"$1\"/later/noarch/*.rpm \"$1\"/later", "sh", dir)
	return dir
}

// rpmbuild makes a package with a program that prints a line.
func rpmbuild(t *testing.T, dir, name, version, release, extra, prints string) {
	t.Helper()
	program := map[string]string{"etcd-server": "etcd", "curl-minimal": "curl"}[name]
	if program == "" {
		program = name
	}
	spec := filepath.Join(t.TempDir(), name+".spec")
	text := fmt.Sprintf(`Name: %s
Version: %s
Release: %s
Summary: a test's
License: none
BuildArch: noarch
AutoReq: no
%s
%%description
A test's.
%%install
mkdir -p %%{buildroot}/usr/bin
printf '#!/bin/sh\necho "%s"\n' > %%{buildroot}/usr/bin/%s
chmod 755 %%{buildroot}/usr/bin/%s
%%files
/usr/bin/%s
`, name, version, release, extra, prints, program, program, program)
	if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	machineRun(t, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+t.TempDir(), "--define", "_rpmdir "+dir, spec)
}

func machineRun(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
