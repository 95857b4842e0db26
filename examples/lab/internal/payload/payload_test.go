package payload_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/examples/lab/internal/payload"
)

func binaries() map[string]string {
	out := map[string]string{}
	for _, name := range []string{"kubeadm", "kubectl", "kubelet", "containerd", "containerd-shim-runc-v2", "ctr", "etcd", "etcdctl", "etcdutl"} {
		out[name] = "/cache/" + name
	}
	return out
}

func find(t *testing.T, files []machines.File, path string) string {
	t.Helper()
	for _, f := range files {
		if f.Path == path {
			return string(f.Content)
		}
	}
	t.Fatalf("no file %s", path)
	return ""
}

func TestCommonIsReproducible(t *testing.T) {
	c := payload.Config{Binaries: binaries(), PauseImage: "registry.k8s.io/pause:3.10.2"}
	first, err := payload.Common(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := payload.Common(c)
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Fatalf("the same input became other files (%v)", err)
		}
	}
	config := find(t, first, "/etc/containerd/config.toml")
	for _, want := range []string{"sandbox = 'registry.k8s.io/pause:3.10.2'", "SystemdCgroup = false", "restrict_oom_score_adj = true"} {
		if !strings.Contains(config, want) {
			t.Errorf("containerd's configuration lacks %s", want)
		}
	}
}

func TestCommonFollowsCgroups(t *testing.T) {
	files, err := payload.Common(payload.Config{Binaries: binaries(), SystemdCgroups: true})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(find(t, files, "/etc/containerd/config.toml"), "SystemdCgroup = true") {
		t.Error("with cgroup v2 systemd must manage the pods' groups")
	}
}

func TestCommonWithoutBinary(t *testing.T) {
	without := binaries()
	delete(without, "kubelet")
	if _, err := payload.Common(payload.Config{Binaries: without}); err == nil || !strings.Contains(err.Error(), "kubelet") {
		t.Errorf("error %v does not name the missing binary", err)
	}
}

func TestPodNetworkPerHost(t *testing.T) {
	files := payload.ForHost(machines.Host{Pods: netip.MustParsePrefix("10.244.3.0/24")})
	var conflist struct {
		Plugins []struct {
			IPAM struct {
				Ranges [][]struct{ Subnet string }
			}
		}
	}
	if err := json.Unmarshal([]byte(find(t, files, "/etc/cni/net.d/10-lab.conflist")), &conflist); err != nil {
		t.Fatal(err)
	}
	if got := conflist.Plugins[0].IPAM.Ranges[0][0].Subnet; got != "10.244.3.0/24" {
		t.Errorf("pods live in %s", got)
	}
}
