package kubeadm_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// describeExtras sets everything that a description may say beyond arguments and
// that not every version of kubeadm's API has.
func describeExtras(c *quorate.Cluster) {
	second := quorate.Duration(1e9)
	k := &c.Kubeadm
	k.APIServerArgs = map[string]string{"audit-policy-file": "/etc/audit/policy.yaml"}
	k.APIServerVolumes = []quorate.Volume{{Name: "audit", HostPath: "/etc/audit", MountPath: "/etc/audit", ReadOnly: true, PathType: "Directory"}}
	k.ControllerManagerVolumes = []quorate.Volume{{Name: "cloud", HostPath: "/etc/cloud", MountPath: "/etc/cloud"}}
	k.SchedulerVolumes = []quorate.Volume{{Name: "profiles", HostPath: "/etc/profiles", MountPath: "/etc/profiles", ReadOnly: true}}
	k.APIServerEnv = map[string]string{"HTTPS_PROXY": "http://proxy.example.com:3128"}
	k.ControllerManagerEnv = map[string]string{"A": "1"}
	k.SchedulerEnv = map[string]string{"B": "2"}
	k.PatchesDir = "/etc/kubernetes/patches"
	k.Timeouts = quorate.KubeadmTimeouts{
		ControlPlane: 361 * second, Kubelet: 362 * second, APICall: 63 * second, EtcdCall: 124 * second, TLSBootstrap: 305 * second, Discovery: 306 * second,
	}
	c.Nodes[len(c.Nodes)-1].Taints = []quorate.Taint{{Key: "example.com/pool", Value: "batch", Effect: "NoSchedule"}}
}

// What a version's API has a place for is in the files of the nodes that it
// concerns; what it has none for is refused by the description's own path.
func TestDescribedExtrasByVersion(t *testing.T) {
	const env, late = "kubeadm.apiServerEnv kubeadm.controllerManagerEnv kubeadm.schedulerEnv", "kubeadm.timeouts.kubelet kubeadm.timeouts.apiCall kubeadm.timeouts.etcdCall kubeadm.timeouts.tlsBootstrap"
	for release, refused := range map[string]string{
		"1.10.4":  env + " " + late + " kubeadm.apiServerVolumes kubeadm.controllerManagerVolumes kubeadm.patchesDir kubeadm.timeouts.controlPlane kubeadm.timeouts.discovery nodes[3].taints",
		"1.11.10": env + " " + late + " kubeadm.patchesDir kubeadm.timeouts.controlPlane",
		"1.12.10": env + " " + late + " kubeadm.patchesDir kubeadm.timeouts.controlPlane",
		"1.14.10": env + " " + late + " kubeadm.patchesDir",
		"1.21.14": env + " " + late + " kubeadm.patchesDir",
		"1.22.17": env + " " + late,
		"1.30.3":  env + " " + late,
		"1.31.0":  "",
		"1.37.2":  "",
	} {
		t.Run(release, func(t *testing.T) {
			c := eraCluster(t, release, false)
			describeExtras(&c)
			if p := c.Problems().Only(quorate.Refused); len(p) != 0 {
				t.Fatalf("the description is refused for its form: %v", p)
			}
			var got []string
			for _, p := range kubeadm.Problems(c).Only(quorate.Refused) {
				got = append(got, p.Path)
				if !strings.Contains(p.Message, "cannot express it") {
					t.Errorf("%s", p)
				}
			}
			want := strings.Fields(refused)
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); len(want)+len(got) > 0 && diff != "" {
				t.Fatalf("refused (-want +got):\n%s", diff)
			}
			for _, path := range want {
				withoutExtra(&c, path)
			}
			nodes, err := kubeadm.Nodes(c, secrets(t))
			if err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, n := range nodes {
				files, err := n.Files()
				if err != nil {
					t.Fatalf("%s: %v", n.Name, err)
				}
				for _, f := range files {
					all.Write(f.Content.Bytes())
				}
			}
			for path, text := range map[string]string{
				"kubeadm.apiServerVolumes": "/etc/audit", "kubeadm.controllerManagerVolumes": "/etc/cloud", "kubeadm.schedulerVolumes": "/etc/profiles",
				"kubeadm.apiServerEnv": "HTTPS_PROXY", "kubeadm.patchesDir": "/etc/kubernetes/patches", "nodes[3].taints": "example.com/pool",
				"kubeadm.timeouts.controlPlane": "6m1s", "kubeadm.timeouts.kubelet": "6m2s", "kubeadm.timeouts.apiCall": "1m3s",
				"kubeadm.timeouts.etcdCall": "2m4s", "kubeadm.timeouts.tlsBootstrap": "5m5s", "kubeadm.timeouts.discovery": "5m6s",
			} {
				// The argument has the path of the audit policy too.
				here := strings.Contains(strings.ReplaceAll(all.String(), "/etc/audit/policy.yaml", ""), text)
				if here == slices.Contains(want, path) {
					t.Errorf("%s, refused %t: %q in the files: %t", path, !here, text, here)
				}
			}
		})
	}
}

func withoutExtra(c *quorate.Cluster, path string) {
	k := &c.Kubeadm
	map[string]func(){
		"kubeadm.apiServerVolumes": func() {
			k.APIServerVolumes, k.APIServerArgs["audit-policy-file"] = nil, "/etc/kubernetes/pki/audit.yaml" // which the pod has by itself
		}, "kubeadm.controllerManagerVolumes": func() { k.ControllerManagerVolumes = nil },
		"kubeadm.apiServerEnv": func() { k.APIServerEnv = nil }, "kubeadm.controllerManagerEnv": func() { k.ControllerManagerEnv = nil }, "kubeadm.schedulerEnv": func() { k.SchedulerEnv = nil },
		"kubeadm.patchesDir": func() { k.PatchesDir = "" }, "nodes[3].taints": func() { c.Nodes[3].Taints = nil },
		"kubeadm.timeouts.controlPlane": func() { k.Timeouts.ControlPlane = 0 }, "kubeadm.timeouts.kubelet": func() { k.Timeouts.Kubelet = 0 },
		"kubeadm.timeouts.apiCall": func() { k.Timeouts.APICall = 0 }, "kubeadm.timeouts.etcdCall": func() { k.Timeouts.EtcdCall = 0 },
		"kubeadm.timeouts.tlsBootstrap": func() { k.Timeouts.TLSBootstrap = 0 }, "kubeadm.timeouts.discovery": func() { k.Timeouts.Discovery = 0 },
	}[path]()
}

// A file that a described volume brings into the pod is seen there; without the
// volume the description is warned of.
func TestDescribedVolumesAreSeen(t *testing.T) {
	c := eraCluster(t, "1.37.2", false)
	describeExtras(&c)
	if p := kubeadm.Problems(c); len(p) != 0 {
		t.Errorf("%v", p)
	}
	c.Kubeadm.APIServerVolumes = nil
	p := kubeadm.Problems(c)
	if len(p) != 1 || p[0].Path != `kubeadm.apiServerArgs["audit-policy-file"]` || !strings.Contains(p[0].Message, "kubeadm.apiServerVolumes") {
		t.Errorf("%v", p)
	}
}

// Control planes without a taint, as an empty list says, have that set in every
// version.
func TestNoTaints(t *testing.T) {
	for _, e := range eras {
		c := eraCluster(t, e.release, false)
		for i := range c.ControlPlanes() {
			c.Nodes[i].Taints = []quorate.Taint{}
		}
		nodes, err := kubeadm.Nodes(c, secrets(t))
		if err != nil {
			t.Errorf("%s: %v", e.release, err)
			continue
		}
		text, err := nodes[0].Config.YAML()
		if err != nil || !strings.Contains(string(text.Bytes()), "taints: []") && !strings.Contains(string(text.Bytes()), "noTaintMaster: true") {
			t.Errorf("%s: %v\n%s", e.release, err, text.Bytes())
		}
	}
}
