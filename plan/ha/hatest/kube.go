package hatest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// kubeadm answers version, init, join and reset.
func (h *host) kubeadm(in faketransport.Invocation, args []string) error {
	switch args[0] {
	case "version":
		return say(in, "%s\n", h.version("kubeadm"))
	case "init":
		if len(args) > 4 && args[1] == "phase" {
			return h.kubeadmPhase(in, args)
		}
		return h.kubeadmInit(in, args)
	case "join":
		return h.kubeadmJoin(in, args)
	case "reset":
		h.kubeadmReset()
		return nil
	}
	return fail(in, "kubeadm: %q is not simulated", args)
}

func (h *host) kubeadmInit(in faketransport.Invocation, args []string) error {
	c := h.cluster
	cfg, err := h.readConfig(in, args)
	switch {
	case err != nil:
		return err
	case c.initialised && !kubeadm.ControlPlanesInit(c.c.Version):
		return fail(in, "[ERROR] the cluster is initialised already")
	case cfg.Init == nil:
		return fail(in, "[ERROR] %q tells to join", config(args))
	case !c.c.Etcd.Stacked && !c.hasQuorum():
		return fail(in, "[ERROR ExternalEtcdVersion] etcd has no quorum")
	}
	if err := h.upload(in, args); err != nil {
		return err
	}
	if err := h.becomeControlPlane(in, cfg.Registration); err != nil {
		return err
	}
	c.initialised = true
	c.written.Store(true)
	c.admit(cfg)
	return nil
}

func (h *host) kubeadmJoin(in faketransport.Invocation, args []string) error {
	cfg, err := h.readConfig(in, args)
	switch {
	case err != nil:
		return err
	case cfg.Join == nil:
		return fail(in, "[ERROR] %q tells to initialise", config(args))
	case !h.cluster.initialised:
		return fail(in, "[ERROR] couldn't validate the identity of the API Server: connection refused")
	case !h.cluster.admits(cfg):
		return fail(in, "[ERROR] couldn't validate the identity of the API Server: the cluster-info ConfigMap does not yet contain a JWS signature for token ID")
	}
	if h.node.Role == quorate.ControlPlane {
		return h.becomeControlPlane(in, cfg.Registration)
	}
	return h.register(cfg.Registration, false)
}

// becomeControlPlane wants what kubeadm wants of a control plane: its
// authorities, and the client pair for etcd, or etcd's authority to make one.
func (h *host) becomeControlPlane(in faketransport.Invocation, r kubeadm.Registration) error {
	needed := []string{"ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt"}
	if h.cluster.c.Etcd.Stacked {
		needed = append(needed, "etcd/ca.key")
	} else {
		needed = append(needed, "apiserver-etcd-client.crt", "apiserver-etcd-client.key")
	}
	for _, name := range needed {
		if !h.has("/etc/kubernetes/pki/" + name) {
			return fail(in, "[ERROR] /etc/kubernetes/pki/%s does not exist", name)
		}
	}
	if err := h.put("/etc/kubernetes/admin.conf", []byte("simulated\n")); err != nil {
		return err
	}
	if err := h.writeManifests(); err != nil {
		return err
	}
	return h.register(r, true)
}

// CutKubeadm leaves a host as a kubeadm init or join leaves it that is killed
// half-way: files of its own, a kubelet that runs, and nothing that the API
// server would know. What it was begun with, the recipe has written before.
func (c *Cluster) CutKubeadm(hostName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[hostName]
	if h == nil {
		return fmt.Errorf("hatest: no host %q", hostName)
	}
	paths := []string{"/etc/kubernetes/bootstrap-kubelet.conf"}
	if h.node.Role == quorate.ControlPlane {
		paths = append(paths, "/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests/kube-apiserver.yaml")
	}
	for _, path := range paths {
		if err := h.Put(transport.File{Path: path, Mode: 0o600, Data: transport.Bytes([]byte("simulated\n"))}); err != nil {
			return err
		}
	}
	h.unit("kubelet.service").active = true
	return nil
}

// CutKubeadmReset leaves a host as a kubeadm reset leaves it that is killed
// half-way: its static pods and authorities are gone, its kubelet has stopped, and
// files of its own are left.
func (c *Cluster) CutKubeadmReset(hostName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[hostName]
	if h == nil {
		return fmt.Errorf("hatest: no host %q", hostName)
	}
	for _, path := range h.Files() {
		if strings.HasPrefix(path, "/etc/kubernetes/pki/") || strings.HasPrefix(path, "/etc/kubernetes/manifests/") {
			h.Delete(path)
		}
	}
	h.unit("kubelet.service").active = false
	return nil
}

// kubeadmReset takes everything below /etc/kubernetes away but kubeadm's own
// input, as kubeadm does, and stops the kubelet. The cluster keeps the node.
func (h *host) kubeadmReset() {
	for _, path := range h.Files() {
		if strings.HasPrefix(path, "/etc/kubernetes/") && !strings.HasPrefix(path, "/etc/kubernetes/kubeadm-") {
			h.Delete(path)
		}
	}
	h.Delete("/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env")
	for _, name := range processes[2:6] {
		_ = h.process(name) // ending one never fails
		delete(h.pods, name)
	}
	h.unit("kubelet.service").active = false
	if n := h.cluster.nodes[h.node.Name]; n != nil {
		n.silent = true
	}
}

func (h *host) register(r kubeadm.Registration, tainted bool) error {
	var taints []quorate.Taint
	for _, t := range r.Taints {
		taints = append(taints, quorate.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
	}
	h.cluster.nodes[h.node.Name] = &node{tainted: tainted && r.Taints == nil, labels: r.Labels, taints: taints, kubelet: h.version("kubelet")}
	if err := h.writeKubelet(r); err != nil {
		return err
	}
	server := h.cluster.c.Endpoint.HostPort()
	if err := h.put("/etc/kubernetes/kubelet.conf", []byte("clusters:\n- cluster:\n    server: https://"+server+"\n")); err != nil {
		return err
	}
	u := h.unit("kubelet.service")
	u.active, u.with = true, h.filesOf("kubelet.service")
	h.syncPods()
	return nil
}

// reports has a kubelet that starts say so to the cluster, and register its node again where somebody
// has deleted it: at the endpoint or, on control planes from Kubernetes 1.35 on, at its own API server.
// What kubeadm has set, a control plane's label and taint, does not come back with it.
func (h *host) reports() {
	c := h.cluster
	n := c.nodes[h.node.Name]
	own := h.node.Role == quorate.ControlPlane && c.c.Version.Has(quorate.LocalKubelets)
	if n == nil && c.initialised && h.has("/etc/kubernetes/kubelet.conf") && h.has(hostpath.KubeletConfig) && (own && h.serves() || !own && c.api()) {
		n = &node{registered: true}
		c.nodes[h.node.Name] = n
	}
	if n != nil {
		n.kubelet, n.silent = h.version("kubelet"), false
	}
}

// config is the value of --config.
func config(args []string) string {
	if i := slices.Index(args, "--config"); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// kubectl answers what the recipe asks of the API server.
func (h *host) kubectl(in faketransport.Invocation, args []string) error {
	args = withoutConnection(args)
	if args[0] == "version" {
		return say(in, "Client Version: %s\n", h.version("kubectl"))
	}
	if !h.cluster.initialised || !h.answers() || !h.cluster.api() {
		return fail(in, "The connection to the server was refused - did you specify the right host or port?")
	}
	switch line := strings.Join(args, " "); {
	case strings.Contains(line, "configmap/cluster-info"):
		return say(in, "configmap/cluster-info\nclusterrolebinding/kubeadm:node-proxier\n")
	case strings.HasPrefix(line, "get configmap cluster-info"):
		return h.signed(in)
	case strings.HasPrefix(line, "get secret "+tokenPrefix):
		return h.getToken(in, args[2])
	case strings.HasPrefix(line, "delete secret "+tokenPrefix):
		delete(h.cluster.tokens, strings.TrimPrefix(args[2], tokenPrefix))
		return nil
	case line == "create -f -":
		return h.createToken(in)
	case strings.HasPrefix(line, "get nodes,configmaps -o go-template="):
		return h.list(in, strings.TrimPrefix(args[len(args)-1], "go-template="))
	case strings.HasPrefix(line, "get node "):
		if slices.Contains(args, "--ignore-not-found") {
			return h.sayCordoned(in, args[2])
		}
		return h.getNode(in, args[2])
	case args[0] == "wait":
		return nil
	case strings.HasPrefix(line, "get pods --all-namespaces "):
		return h.listPods(in, args)
	case args[0] == "drain":
		return h.drain(in, args)
	case args[0] == "cordon":
		if h.cluster.nodes[args[1]] == nil {
			return fail(in, "Error from server (NotFound): nodes %q not found", args[1])
		}
		h.cluster.nodes[args[1]].cordoned = true
		return nil
	case strings.HasPrefix(line, "delete node "):
		delete(h.cluster.nodes, args[2])
		return nil
	case strings.HasPrefix(line, "get configmap ") && strings.HasSuffix(line, " -o json"):
		return h.getConfigMap(in, args[2])
	case line == "replace -f -":
		return h.replaceConfigMap(in)
	case strings.HasPrefix(line, "label node "):
		return h.label(in, args[2], args[4:])
	case strings.HasPrefix(line, "taint node "):
		return h.taint(in, args[2], args[4:])
	case line == "rollout restart daemonset/kube-proxy" || strings.HasPrefix(line, "rollout status daemonset/kube-proxy"):
		return nil
	case args[0] == "taint":
		args = slices.DeleteFunc(args, func(a string) bool { return a == "--overwrite" })
		for _, name := range args[2 : len(args)-1] {
			h.cluster.nodes[name].tainted = strings.HasSuffix(args[len(args)-1], ":NoSchedule")
		}
		return nil
	case args[0] == "diff" || args[0] == "delete" || args[0] == "apply" || args[0] == "get" && slices.Contains(args, "-f"):
		return h.manifest(in, args[0])
	}
	return fail(in, "kubectl: %q is not simulated", args)
}

// sayCordoned answers what withdraws and forgets nodes.
func (h *host) sayCordoned(in faketransport.Invocation, name string) error {
	n := h.cluster.nodes[name]
	if n == nil {
		return nil
	}
	if n.cordoned {
		return say(in, "%s true", name)
	}
	return say(in, "%s ", name)
}

// serves reports whether an API server of this host answers: one that kubeadm
// has come to the end with, over an etcd that can act: it asks its own host's member alone.
func (h *host) serves() bool {
	c := h.cluster
	return c.initialised && h.has("/etc/kubernetes/manifests/kube-apiserver.yaml") && !h.crashed("kube-apiserver") && h.running("kubelet.service") && h.answers() &&
		(c.c.Etcd.Stacked || h.running(etcd.UnitName) && c.hasQuorum())
}

// api reports whether any API server answers.
func (c *Cluster) api() bool {
	for _, h := range c.hosts {
		if h.serves() {
			return true
		}
	}
	return false
}

// curl asks an API server whether it is well: this host's own, or whichever the
// VIP leads to, which --cacert must vouch for if it is given.
func (h *host) curl(in faketransport.Invocation, args []string) error {
	if slices.Contains(args, "--write-out") {
		return h.connect(in, args[len(args)-1])
	}
	target, err := url.Parse(args[len(args)-1])
	if err != nil {
		return faketransport.Exit(3)
	}
	if slices.Contains(args, "--connect-to") {
		return h.presents(args, target)
	}
	if target.Hostname() == "127.0.0.1" {
		return h.wellOnLoopback(in, target.Port())
	}
	for _, n := range h.cluster.c.Nodes {
		other := h.cluster.hosts[n.Name]
		own := target.Host == net.JoinHostPort(n.Address().String(), strconv.Itoa(h.cluster.c.Endpoint.APIServerPort()))
		byVIP := target.Host == h.cluster.c.Endpoint.HostPort() && (other.running("keepalived.service") || h.cluster.c.Endpoint.External)
		if !other.serves() || !own && !byVIP {
			continue
		}
		if i := slices.Index(args, "--cacert"); i >= 0 {
			ours, err := h.File(args[i+1])
			theirs, theirErr := other.File("/etc/kubernetes/pki/ca.crt")
			if err != nil || theirErr != nil || !bytes.Equal(ours.Data.Bytes(), theirs.Data.Bytes()) {
				return faketransport.Exit(60)
			}
		}
		return say(in, "ok")
	}
	return faketransport.Exit(7)
}

// answers reports whether the API server that kubectl on this host asks is
// there: its own, where it has one, which a kubeadm that was killed never saw.
func (h *host) answers() bool {
	return !h.has("/etc/kubernetes/bootstrap-kubelet.conf") || !h.has("/etc/kubernetes/admin.conf")
}

// withoutConnection leaves out how the API server is reached.
func withoutConnection(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--kubeconfig" || a == "--server" || a == "-n":
			i++
		case strings.HasPrefix(a, "--request-timeout"):
		default:
			out = append(out, a)
		}
	}
	return out
}

func (h *host) getNode(in faketransport.Invocation, name string) error {
	n, ok := h.cluster.c.Node(name)
	if !ok || h.cluster.nodes[name] == nil {
		return fail(in, "Error from server (NotFound): nodes %q not found", name)
	}
	labels := "kubernetes.io/hostname=" + name
	if n.Role == quorate.ControlPlane {
		labels += "," + quorate.ControlPlaneLabel(h.cluster.c.Version) + "="
	}
	return say(in, "%s   Ready   <none>   1m   %s   %s\n", name, h.cluster.nodes[name].kubelet, labels)
}

// manifest remembers what has been applied; kubectl diff, and get, exit with 1
// where that differs.
func (h *host) manifest(in faketransport.Invocation, verb string) error {
	b, err := io.ReadAll(in.Stdin)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	key := hex.EncodeToString(sum[:])
	switch {
	case verb == "apply":
		h.cluster.manifests[key] = true
	case verb == "delete":
		delete(h.cluster.manifests, key)
	case !h.cluster.manifests[key]:
		return faketransport.Exit(1)
	}
	return nil
}
