package software_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

func preparationNames(prepared []software.Preparation) []string {
	var names []string
	for _, p := range prepared {
		names = append(names, p.Name)
	}
	return names
}

// did returns what the host was made to do, from the call on with that number:
// what it was only read from is left out.
func did(h *faketransport.Host, from int) []string {
	var out []string
	asked := regexp.MustCompile(`^(dial|gather|stat|read)\b|which |^exec (dpkg-query|rpm) |systemctl show|images ls|import --help`)
	for _, c := range h.Calls()[from:] {
		if !asked.MatchString(c.Op.String()) {
			out = append(out, c.Op.String())
		}
	}
	return out
}

// install puts programs on the host that print a line as their version.
func install(h *faketransport.Host, printed map[string]string) {
	for program, line := range printed {
		h.Handle(faketransport.Prefix(program), faketransport.Reply(line+"\nmore that nobody asked for\n"))
	}
}

// rightPrograms are those that the cluster of three wants.
func rightPrograms() map[string]string {
	return map[string]string{
		"kubeadm": "v1.37.2", "kubelet": "Kubernetes v1.37.2", "kubectl": "Client Version: v1.37.2",
		"curl": "curl 7.88.1", "keepalived": "Keepalived v2.2.7 (01/16,2022)", "/usr/local/bin/etcd": "etcd Version: 3.6.16",
	}
}

func TestProgramsReportEveryFault(t *testing.T) {
	const putEtcd = "put etcd v3.6.16 or later there"
	const findEtcd = putEtcd + " (from the archive of its release, by Pushed, or by the distribution's package in Packages.Etcd), " +
		"or set etcd.binary to where it is"
	for name, tt := range map[string]struct {
		changed  map[string]string // "" takes the program away
		node     int               // 3 is the worker
		external bool
		want     []plan.Finding
	}{
		"all there":                {},
		"a later etcd":             {changed: map[string]string{"/usr/local/bin/etcd": "etcd Version: 3.7.0"}},
		"no keepalived needed":     {changed: map[string]string{"keepalived": ""}, external: true},
		"a worker needs no etcd":   {changed: map[string]string{"keepalived": "", "/usr/local/bin/etcd": ""}, node: 3},
		"an etcd in its old words": {changed: map[string]string{"/usr/local/bin/etcd": "etcd version 3.6.16"}},
		"nothing": {
			changed: map[string]string{"kubeadm": "", "kubelet": "", "kubectl": "", "curl": "", "keepalived": "", "/usr/local/bin/etcd": ""},
			want: []plan.Finding{
				{Found: "kubeadm is not installed", Do: "install v1.37.2"},
				{Found: "kubelet is not installed", Do: "install v1.37.2"},
				{Found: "kubectl is not installed", Do: "install v1.37.2"},
				{Found: "curl is not installed", Do: "install it: it reads the API server's health"},
				{Found: "etcd is not installed at /usr/local/bin/etcd", Do: findEtcd},
				{Found: "keepalived is not installed", Do: "install it, or use an external endpoint"},
			},
		},
		"other versions": {
			changed: map[string]string{
				"kubeadm": "v1.37.20", "kubelet": "Kubernetes v1.36.2", "kubectl": "Client Version: v1.38.0-rc.1",
				"/usr/local/bin/etcd": "etcd Version: 3.5.24",
			},
			want: []plan.Finding{
				{Found: "kubeadm is v1.37.20", Do: "install v1.37.2, the version of the cluster"},
				{Found: "kubelet is v1.36.2", Do: "install v1.37.2, the version of the cluster"},
				{Found: "kubectl is v1.38.0-rc.1", Do: "install v1.37.2, the version of the cluster"},
				{Found: "/usr/local/bin/etcd is etcd v3.5.24", Do: putEtcd + ", or set etcd.version to what it is"},
			},
		},
		"programs that do not run": {
			changed: map[string]string{
				"kubelet": "sh: kubelet: Exec format error", "/usr/local/bin/etcd": "etcd Version: GIT", "keepalived": "",
			},
			want: []plan.Finding{
				{Found: `kubelet prints "sh: kubelet: Exec format error" as its version`, Do: "install v1.37.2"},
				{Found: `/usr/local/bin/etcd prints "etcd Version: GIT" as its version`, Do: putEtcd},
				{Found: "keepalived is not installed", Do: "install it, or use an external endpoint"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := hafixture.Three()
			c.Etcd.Version = quorate.Version{Major: 3, Minor: 6, Patch: 16}
			c.Endpoint.External = tt.external
			c = c.WithDefaults()
			tr, h := fixture.FakeHost(t)
			programs := rightPrograms()
			for program, line := range tt.changed {
				if programs[program] = line; line == "" {
					delete(programs, program)
				}
			}
			install(h, programs)
			prepared, err := software.Present{}.Prepare(c, c.Nodes[tt.node])
			require.NoError(t, err)
			_, err = hafixture.RunOne(t, tr, hafixture.Preparation(t, prepared, "binaries"), false)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			var host *plan.HostError
			require.ErrorAs(t, err, &host)
			require.Equal(t, "cp-1", host.Host)
			require.Equal(t, tt.want, host.Findings)
		})
	}
}

func TestRuntimeByCRISocket(t *testing.T) {
	for socket, want := range map[string][]string{
		"":                             {"containerd.service", "kubelet.service"},
		"unix:///run/containerd.sock":  {"containerd.service", "kubelet.service"},
		"unix:///run/crio/crio.sock":   {"crio.service", "kubelet.service"},
		"unix:///run/cri-dockerd.sock": {"kubelet.service"},
	} {
		t.Run(socket, func(t *testing.T) {
			c := hafixture.Three()
			c.Kubeadm.CRISocket = socket
			deploy, ok := hafixture.Preparation(t, hafixture.Preparations(t, software.Present{}, c), "services").(plan.Deploy)
			require.True(t, ok)
			var units []string
			for _, u := range deploy.Units {
				units = append(units, u.Name)
				require.Equal(t, u.Name == "kubelet.service", u.EnableOnly, "kubeadm starts the kubelet")
			}
			require.Equal(t, want, units)
		})
	}
}
