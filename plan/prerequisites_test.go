package plan_test

import (
	"net/netip"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// fakeHost gives one host in memory with nothing on it.
func fakeHost(t *testing.T) (*faketransport.Transport, *faketransport.Host) {
	t.Helper()
	tr := faketransport.New()
	return tr, tr.Host("cp-1")
}

// preparations gives what is prepared on a control plane of three.
func preparations(t *testing.T, p plan.Prerequisites, c quorate.Cluster) []plan.Preparation {
	t.Helper()
	c = c.WithDefaults()
	prepared, err := p.Prepare(c, c.Nodes[0])
	require.NoError(t, err)
	return prepared
}

func preparationNames(prepared []plan.Preparation) []string {
	var names []string
	for _, p := range prepared {
		names = append(names, p.Name)
	}
	return names
}

// preparation gives one of them by its name.
func preparation(t *testing.T, prepared []plan.Preparation, name string) plan.Action {
	t.Helper()
	i := slices.IndexFunc(prepared, func(p plan.Preparation) bool { return p.Name == name })
	require.GreaterOrEqual(t, i, 0, "no preparation %s", name)
	return prepared[i].Action
}

// runOne runs one action on the host, and gives the change that it saw.
func runOne(t *testing.T, tr *faketransport.Transport, a plan.Action, dry bool) (plan.Diff, error) {
	t.Helper()
	p, err := plan.New(plan.Step{ID: "one", Host: "cp-1", Retry: plan.Retry{Attempts: 1}, Action: a})
	require.NoError(t, err)
	var diff plan.Diff
	_, err = (&plan.Runner{Transport: tr, DryRun: dry, Observe: func(e plan.Event) {
		if len(e.Diff) > 0 {
			diff = e.Diff
		}
	}}).Run(t.Context(), p)
	return diff, err
}

// changes gives a diff as text.
func changes(d plan.Diff) []string {
	var out []string
	for _, c := range d {
		out = append(out, c.String())
	}
	return out
}

// did gives what the host was told to do, from the call on with that number:
// what it was only asked is left out.
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

// install puts programs on the host that print a line when asked for their version.
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

func TestEveryFaultOfTheProgramsIsFoundAtOnce(t *testing.T) {
	const putEtcd = "put etcd v3.6.16 or later there"
	const findEtcd = putEtcd + " (from the archive of its release, by Pushed, or by the distribution's package in Packages.Etcd), " +
		"or set etcd.binary to where it is"
	for name, tt := range map[string]struct {
		changed  map[string]string // "" takes the program away
		node     int               // 3 is the worker
		external bool
		want     []plan.HostFault
	}{
		"all there":                {},
		"a later etcd":             {changed: map[string]string{"/usr/local/bin/etcd": "etcd Version: 3.7.0"}},
		"no keepalived needed":     {changed: map[string]string{"keepalived": ""}, external: true},
		"a worker needs no etcd":   {changed: map[string]string{"keepalived": "", "/usr/local/bin/etcd": ""}, node: 3},
		"an etcd in its old words": {changed: map[string]string{"/usr/local/bin/etcd": "etcd version 3.6.16"}},
		"nothing": {
			changed: map[string]string{"kubeadm": "", "kubelet": "", "kubectl": "", "curl": "", "keepalived": "", "/usr/local/bin/etcd": ""},
			want: []plan.HostFault{
				{Found: "kubeadm is not installed", Do: "install v1.37.2"},
				{Found: "kubelet is not installed", Do: "install v1.37.2"},
				{Found: "kubectl is not installed", Do: "install v1.37.2"},
				{Found: "curl is not installed", Do: "install it: the API server's health is asked with it"},
				{Found: "etcd is not installed at /usr/local/bin/etcd", Do: findEtcd},
				{Found: "keepalived is not installed", Do: "install it, or use an external endpoint"},
			},
		},
		"other versions": {
			changed: map[string]string{
				"kubeadm": "v1.37.20", "kubelet": "Kubernetes v1.36.2", "kubectl": "Client Version: v1.38.0-rc.1",
				"/usr/local/bin/etcd": "etcd Version: 3.5.24",
			},
			want: []plan.HostFault{
				{Found: "kubeadm is v1.37.20", Do: "install v1.37.2, the version of the cluster"},
				{Found: "kubelet is v1.36.2", Do: "install v1.37.2, the version of the cluster"},
				{Found: "kubectl is v1.38.0-rc.1", Do: "install v1.37.2, the version of the cluster"},
				{Found: "/usr/local/bin/etcd is etcd v3.5.24", Do: putEtcd},
			},
		},
		"programs that do not run": {
			changed: map[string]string{
				"kubelet": "sh: kubelet: Exec format error", "/usr/local/bin/etcd": "etcd Version: GIT", "keepalived": "",
			},
			want: []plan.HostFault{
				{Found: `kubelet gives its version as "sh: kubelet: Exec format error"`, Do: "install v1.37.2"},
				{Found: `/usr/local/bin/etcd gives its version as "etcd Version: GIT"`, Do: putEtcd},
				{Found: "keepalived is not installed", Do: "install it, or use an external endpoint"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := three()
			c.Etcd.Version = quorate.Version{Major: 3, Minor: 6, Patch: 16}
			c.Endpoint.External = tt.external
			c = c.WithDefaults()
			tr, h := fakeHost(t)
			programs := rightPrograms()
			for program, line := range tt.changed {
				if programs[program] = line; line == "" {
					delete(programs, program)
				}
			}
			install(h, programs)
			prepared, err := plan.Present{}.Prepare(c, c.Nodes[tt.node])
			require.NoError(t, err)
			_, err = runOne(t, tr, preparation(t, prepared, "binaries"), false)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			var host *plan.HostError
			require.ErrorAs(t, err, &host)
			require.Equal(t, "cp-1", host.Host)
			require.Equal(t, tt.want, host.Faults)
		})
	}
}

func TestTheRuntimeIsThatOfTheCRISocket(t *testing.T) {
	for socket, want := range map[string][]string{
		"":                             {"containerd.service", "kubelet.service"},
		"unix:///run/containerd.sock":  {"containerd.service", "kubelet.service"},
		"unix:///run/crio/crio.sock":   {"crio.service", "kubelet.service"},
		"unix:///run/cri-dockerd.sock": {"kubelet.service"},
	} {
		t.Run(socket, func(t *testing.T) {
			c := three()
			c.Kubeadm.CRISocket = socket
			deploy, ok := preparation(t, preparations(t, plan.Present{}, c), "services").(plan.Deploy)
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

// addressed gives the cluster of three with addresses and networks of families.
func addressed(v4, v6 bool) quorate.Cluster {
	c := three()
	if v4 {
		c.Pods, c.Services = prefixes("10.244.0.0/16"), prefixes("10.96.0.0/16")
	}
	if !v6 {
		return c
	}
	c.Pods, c.Services = append(c.Pods, prefixes("fd00:244::/48")...), append(c.Services, prefixes("fd00:96::/112")...)
	address := netip.MustParseAddr("2001:db8::10")
	for i := range c.Nodes {
		if !v4 {
			c.Nodes[i].Addresses = nil
		}
		address = address.Next()
		c.Nodes[i].Addresses = append(c.Nodes[i].Addresses, address)
	}
	if !v4 {
		c.Endpoint.Host, c.Endpoint.VIP.Subnet = "2001:db8::ff", netip.MustParsePrefix("2001:db8::/64")
	}
	return c
}

func prefixes(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }

func TestTheKernelRoutesPodsOfBothFamilies(t *testing.T) {
	const comment = "# What Kubernetes nodes need to route pods' traffic.\n"
	const v4, v6 = "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"
	for name, tt := range map[string]struct {
		cluster quorate.Cluster
		keys    []string
	}{
		"IPv4": {addressed(true, false), []string{v4}},
		"IPv6": {addressed(false, true), []string{v6}},
		"both": {addressed(true, true), []string{v4, v6}},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := fakeCluster(t, tt.cluster)
			full, err := plan.HA(config(t, tt.cluster))
			require.NoError(t, err)
			step, ok := full.Step("prerequisites/cp-1/kernel")
			require.True(t, ok)
			const file = "/etc/sysctl.d/99-quorate.conf"
			want, content := []string{"create " + file}, comment
			for _, key := range tt.keys {
				want, content = append(want, "set "+key+" (0, want 1)"), content+key+" = 1\n"
			}

			diff, err := runOne(t, hosts.Transport, step.Action, false)
			require.NoError(t, err)
			require.Equal(t, want, changes(diff))
			got, err := hosts.Host("cp-1").File(file)
			require.NoError(t, err)
			require.Equal(t, content, string(got.Data.Bytes()))

			diff, err = runOne(t, hosts.Transport, step.Action, false)
			require.NoError(t, err)
			require.Empty(t, diff, "the second run changes nothing")

			// The file is right, and something else has changed the kernel.
			argv := append([]string{"sysctl"}, tt.keys...)
			hosts.Host("cp-1").Handle(faketransport.Exact(argv...), faketransport.Reply(tt.keys[0]+" = 0\n"))
			diff, err = runOne(t, hosts.Transport, step.Action, true)
			require.NoError(t, err)
			require.Contains(t, changes(diff), "set "+tt.keys[0]+" (0, want 1)")
			require.NotContains(t, changes(diff), "update "+file)
		})
	}
}
