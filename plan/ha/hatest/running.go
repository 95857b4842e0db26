package hatest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// upload keeps the documents of an init in ConfigMaps, as kubeadm does.
func (h *host) upload(in faketransport.Invocation, args []string) error {
	text, err := h.configOf(in, args)
	if err != nil {
		return err
	}
	h.cluster.configMaps, err = h.documents(in, text)
	return err
}

// documents are the ConfigMaps that kubeadm makes of its configuration.
func (h *host) documents(in faketransport.Invocation, config []byte) (map[string]map[string]string, error) {
	uploaded := map[string]map[string]string{"kube-proxy": {
		"config.conf": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n", "kubeconfig.conf": "simulated\n",
	}}
	for _, text := range strings.Split(string(config), "\n---\n") {
		var doc map[string]any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			return nil, fail(in, "[ERROR] %v", err)
		}
		switch kind, _ := doc["kind"].(string); kind {
		case "ClusterConfiguration", "MasterConfiguration":
			for _, secret := range []string{"token", "tokenTTL", "bootstrapTokens", "nodeRegistration"} {
				delete(doc, secret)
			}
			public, err := yaml.Marshal(doc)
			if err != nil {
				return nil, err
			}
			uploaded["kubeadm-config"] = map[string]string{kind: string(public)}
		case "KubeletConfiguration":
			name := "kubelet-config"
			if !h.cluster.c.Version.Has(quorate.ControlPlaneTaint) { // both are of 1.24
				name = fmt.Sprintf("kubelet-config-%d.%d", h.cluster.c.Version.Major, h.cluster.c.Version.Minor)
			}
			uploaded[name] = map[string]string{"kubelet": text}
		case "KubeProxyConfiguration":
			uploaded["kube-proxy"] = map[string]string{"config.conf": text, "kubeconfig.conf": "simulated\n"}
		}
	}
	return uploaded, nil
}

// EditConfigMap changes one text of kubeadm's ConfigMaps, as somebody with kubectl does:
// kubeadm-config's ClusterConfiguration, for example.
func (c *Cluster) EditConfigMap(name, key string, edit func(string) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.configMaps[name]; m != nil {
		m[key] = edit(m[key])
	}
}

// clusterConfig is what kubeadm keeps of the cluster, as it reads it again for a join.
func (c *Cluster) clusterConfig() (kubeadm.Init, error) {
	m := c.configMaps["kubeadm-config"]
	cfg, _, err := kubeadm.Parse([]byte(cmp.Or(m["ClusterConfiguration"], m["MasterConfiguration"])), c.c.Version)
	if err != nil || cfg.Init == nil {
		return kubeadm.Init{}, fmt.Errorf("hatest: kubeadm-config: %w", err)
	}
	return *cfg.Init, nil
}

// writeManifests writes the static pods of a control plane, and its API server's certificate.
func (h *host) writeManifests() error {
	i, err := h.cluster.clusterConfig()
	if err != nil {
		return err
	}
	for _, name := range staticPods {
		if err := h.writeManifest(name, i); err != nil {
			return err
		}
	}
	return h.issue(i)
}

// writeManifest writes one, which the kubelet then runs.
func (h *host) writeManifest(only string, i kubeadm.Init) error {
	c := h.cluster.c
	var ranges []string
	for _, p := range i.Services {
		ranges = append(ranges, p.String())
	}
	for name, component := range map[string]struct {
		own kubeadm.Args
		kubeadm.Component
	}{
		"kube-apiserver": {kubeadm.Args{
			{Name: "advertise-address", Value: h.node.Address().String()}, {Name: "secure-port", Value: strconv.Itoa(c.Endpoint.APIServerPort())},
			{Name: "service-cluster-ip-range", Value: strings.Join(ranges, ",")},
		}, i.APIServer},
		"kube-controller-manager": {kubeadm.Args{{Name: "leader-elect", Value: "true"}}, i.ControllerManager},
		"kube-scheduler":          {kubeadm.Args{{Name: "leader-elect", Value: "true"}}, i.Scheduler},
	} {
		if name != only {
			continue
		}
		args := component.own
		for _, a := range component.Args {
			args = args.With(a.Name, a.Value)
		}
		argv := []string{name}
		for _, a := range args {
			argv = append(argv, "--"+a.Name+"="+a.Value)
		}
		var env, volumes, mounts []map[string]any
		for _, e := range component.Env {
			env = append(env, map[string]any{"name": e.Name, "value": e.Value})
		}
		for _, v := range component.Volumes {
			volumes = append(volumes, map[string]any{"name": v.Name, "hostPath": map[string]any{"path": v.HostPath, "type": v.PathType}})
			mounts = append(mounts, map[string]any{"name": v.Name, "mountPath": v.MountPath, "readOnly": v.ReadOnly})
		}
		text, err := yaml.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": "kube-system"},
			"spec": map[string]any{
				"hostNetwork": true, "volumes": volumes,
				"containers": []any{map[string]any{
					"name": name, "image": i.ImageRepository + "/" + name + ":" + c.Version.String(), "command": argv, "env": env, "volumeMounts": mounts,
				}},
			},
		})
		if err != nil {
			return err
		}
		if err := h.put(hostpath.Manifests+"/"+name+".yaml", text); err != nil {
			return err
		}
	}
	return nil
}

// writeKubelet writes the kubelet's settings, from the cluster's own, and has it run.
func (h *host) writeKubelet(r kubeadm.Registration) error {
	for name, m := range h.cluster.configMaps {
		if strings.HasPrefix(name, "kubelet-config") {
			if err := h.put(hostpath.KubeletConfig, []byte(m["kubelet"])); err != nil {
				return err
			}
		}
	}
	if err := h.put("/var/lib/kubelet/kubeadm-flags.env", fmt.Appendf(nil, "KUBELET_KUBEADM_ARGS=%q\n", "--container-runtime-endpoint="+r.CRISocket)); err != nil {
		return err
	}
	return h.kubeletProcess()
}

// processes are what hosts run, by the numbers that they have here.
var processes = []string{"", "", "kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}

// process has a program run; without arguments, no longer.
func (h *host) process(name string, argv ...string) error {
	dir := "/proc/" + strconv.Itoa(slices.Index(processes, name))
	if len(argv) == 0 {
		h.Delete(dir+"/comm", dir+"/cmdline", dir+"/stat")
		return nil
	}
	h.starts[name]++
	stat := fmt.Sprintf("%s (%s) S%s %d 0\n", path.Base(dir), name, strings.Repeat(" 0", 18), 1000+h.starts[name])
	if err := h.put(dir+"/stat", []byte(stat)); err != nil {
		return err
	}
	const commLen = 15
	if err := h.put(dir+"/comm", []byte(name[:min(len(name), commLen)]+"\n")); err != nil {
		return err
	}
	return h.put(dir+"/cmdline", []byte(strings.Join(argv, "\x00")+"\x00"))
}

func (h *host) put(path string, data []byte) error {
	return h.Put(transport.File{Path: path, Mode: 0o600, Data: transport.Bytes(data)})
}

// etcdArgv is the command line in etcd's unit.
func (h *host) etcdArgv() []string {
	f, err := h.File(etcd.UnitPath)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(f.Data.Bytes()), "ExecStart=")
	command, _, _ := strings.Cut(strings.ReplaceAll(rest, "\\\n", " "), "\n")
	return strings.Fields(command)
}

// list executes kubectl's template over the nodes and kubeadm's ConfigMaps.
func (h *host) list(in faketransport.Invocation, text string) error {
	t, err := template.New("").Parse(text)
	if err != nil {
		return fail(in, "error: error parsing template %s, %v", text, err)
	}
	var items []any
	for _, n := range h.cluster.c.Nodes {
		if registered := h.cluster.nodes[n.Name]; registered != nil {
			items = append(items, h.cluster.object(n, registered))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.cluster.configMaps)) {
		data := map[string]any{}
		for key, value := range h.cluster.configMaps[name] {
			data[key] = value
		}
		items = append(items, map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": data})
	}
	var out bytes.Buffer
	if err := t.Execute(&out, map[string]any{"items": items}); err != nil {
		return fail(in, "error: error executing template %q: %v", text, err)
	}
	return say(in, "%s", out.String())
}

// object is a node as the API has it.
func (c *Cluster) object(n quorate.Node, registered *node) map[string]any {
	labels := map[string]any{"kubernetes.io/hostname": n.Name}
	for key, value := range registered.labels {
		labels[key] = value
	}
	if n.Role == quorate.ControlPlane && !registered.registered {
		labels[quorate.ControlPlaneLabel(c.c.Version)] = ""
	}
	var taints, addresses []any
	if registered.tainted {
		for _, key := range quorate.ControlPlaneTaints(c.c.Version) {
			taints = append(taints, map[string]any{"key": key, "effect": "NoSchedule"})
		}
	}
	for _, t := range registered.taints {
		taints = append(taints, map[string]any{"key": t.Key, "value": t.Value, "effect": t.Effect})
	}
	for _, a := range n.Addresses {
		addresses = append(addresses, map[string]any{"type": "InternalIP", "address": a.String()})
	}
	return map[string]any{
		"kind":     "Node",
		"metadata": map[string]any{"name": n.Name, "labels": labels},
		"spec":     map[string]any{"taints": taints, "unschedulable": registered.cordoned},
		"status": map[string]any{
			"conditions": []any{map[string]any{"type": "Ready", "status": registered.ready()}}, "addresses": addresses,
			"nodeInfo": map[string]any{"kubeletVersion": registered.kubelet},
		},
	}
}

// HashKV is the same of all members: none has other data.
func (m *member) HashKV(context.Context, *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	return &pb.HashKVResponse{Header: m.header(), Hash: 0xfeed, CompactRevision: 1}, nil
}
