package hatest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// pod is a static pod as its kubelet runs it.
type pod struct {
	// sum is of the manifest that it was started with.
	sum [sha256.Size]byte
	// ended says that its process ends at its start.
	ended bool
}

// RefuseSetting has a program of control planes, "kube-apiserver", or "kubelet" end at its start
// wherever its command line or, of the kubelet, its file holds a text; with atParse also where it
// is only asked whether it takes its arguments. An empty text refuses nothing any more.
func (c *Cluster) RefuseSetting(program, text string, atParse bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = map[string]refusal{}
	}
	c.refused[program] = refusal{text, atParse}
}

// refusal is a text that a program does not start with.
type refusal struct {
	text    string
	atParse bool
}

func (c *Cluster) refuses(program, settings string) bool {
	r := c.refused[program]
	return r.text != "" && strings.Contains(settings, r.text)
}

// Starts returns how often a static pod or the kubelet of a host was started.
func (c *Cluster) Starts(hostName, program string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[hostName]
	if h == nil {
		return 0
	}
	h.syncPods()
	return h.starts[program]
}

// staticPods are the programs that a control plane's kubelet runs.
var staticPods = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// syncPods has the kubelet see its manifests: one that has changed is started again, one that is
// gone is ended.
func (h *host) syncPods() {
	if h.node.Role != quorate.ControlPlane || !h.running("kubelet.service") {
		return
	}
	for _, name := range staticPods {
		f, err := h.File(hostpath.Manifests + "/" + name + ".yaml")
		if err != nil {
			if h.pods[name] != nil {
				delete(h.pods, name)
				_ = h.process(name) // ending one never fails
			}
			continue
		}
		sum := sha256.Sum256(f.Data.Bytes())
		if p := h.pods[name]; p != nil && p.sum == sum && (p.ended || h.has("/proc/"+strconv.Itoa(slices.Index(processes, name))+"/comm")) {
			continue
		}
		command := commandOf(f.Data.Bytes())
		if len(command) == 0 {
			continue // kubeadm was killed while it wrote it
		}
		p := &pod{sum: sum, ended: h.cluster.refuses(name, strings.Join(command, " "))}
		h.pods[name] = p
		if !p.ended {
			_ = h.process(name, command...)
			continue
		}
		_ = h.process(name)
		log := fmt.Sprintf("2026-01-01T00:00:00.000000000Z stderr F E0101 run.go:72] \"command failed\" err=\"%s is not taken\"\n", h.cluster.refused[name].text)
		_ = h.put("/var/log/pods/kube-system_"+name+"-"+h.node.Name+"_0/"+name+"/0.log", []byte(log))
	}
}

// crashed reports whether a static pod's process ends at its start. What another host asks makes
// no kubelet look: each does when a program is run on its own host, and so in the same order always.
func (h *host) crashed(name string) bool {
	return h.pods[name] != nil && h.pods[name].ended
}

func commandOf(manifest []byte) []string {
	var doc struct {
		Spec struct{ Containers []struct{ Command []string } }
	}
	if err := yaml.Unmarshal(manifest, &doc); err != nil || len(doc.Spec.Containers) == 0 {
		return nil
	}
	return doc.Spec.Containers[0].Command
}

// parsesFlags answers a program that is asked for its version by further arguments.
func (h *host) parsesFlags(program string) func(faketransport.Invocation, []string) error {
	return func(in faketransport.Invocation, args []string) error {
		if !h.has("/proc/" + strconv.Itoa(slices.Index(processes, program)) + "/comm") {
			return faketransport.Exit(127)
		}
		if h.cluster.refused[program].atParse && h.cluster.refuses(program, strings.Join(args, " ")) {
			return fail(in, "Error: invalid argument for %s", h.cluster.refused[program].text)
		}
		return say(in, "Kubernetes %s\n", h.cluster.c.Version)
	}
}

// configOf reads a configuration of kubeadm from a file, or from standard input.
func (h *host) configOf(in faketransport.Invocation, args []string) ([]byte, error) {
	if config(args) == "/dev/stdin" {
		return io.ReadAll(in.Stdin)
	}
	f, err := h.File(config(args))
	if err != nil {
		return nil, fail(in, "[ERROR] unable to read config from %q", config(args))
	}
	return f.Data.Bytes(), nil
}

// kubeadmPhase is one of kubeadm init's by itself.
func (h *host) kubeadmPhase(in faketransport.Invocation, args []string) error {
	text, err := h.configOf(in, args)
	if err != nil {
		return err
	}
	cfg, _, err := kubeadm.Parse(text, h.cluster.c.Version)
	if err != nil || cfg.Init == nil {
		return fail(in, "[ERROR] no configuration of init: %v", err)
	}
	names := map[string]string{"apiserver": staticPods[0], "controller-manager": staticPods[1], "scheduler": staticPods[2]}
	switch what := strings.Join(args[2:4], " "); what {
	case "control-plane apiserver", "control-plane controller-manager", "control-plane scheduler":
		if err := h.writeManifest(names[args[3]], *cfg.Init); err != nil {
			return err
		}
		h.syncPods()
		return nil
	case "certs apiserver":
		return h.issue(*cfg.Init)
	case "upload-config kubeadm", "upload-config kubelet", "addon kube-proxy":
		if !h.cluster.api() {
			return fail(in, "[ERROR] the API server does not answer")
		}
		uploaded, err := h.documents(in, text)
		if err != nil {
			return err
		}
		for name, data := range uploaded {
			if strings.HasPrefix(name, map[string]string{"upload-config kubeadm": "kubeadm-config", "upload-config kubelet": "kubelet-config", "addon kube-proxy": "kube-proxy"}[what]) {
				h.cluster.configMaps[name] = data
			}
		}
		return nil
	}
	return fail(in, "kubeadm: %q is not simulated", args)
}

// issue makes the API server's certificate, the same of the same names, unless there is one.
func (h *host) issue(i kubeadm.Init) error {
	const cert, key = hostpath.KubernetesPKI + "/apiserver.crt", hostpath.KubernetesPKI + "/apiserver.key"
	if h.has(cert) && h.has(key) {
		return nil
	}
	seed := sha256.Sum256([]byte(h.node.Name))
	private := ed25519.NewKeyFromSeed(seed[:])
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"}, DNSNames: []string{h.node.Name},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for _, san := range append([]string{h.node.Address().String()}, i.CertSANs...) {
		if a, err := netip.ParseAddr(san); err == nil {
			t.IPAddresses = append(t.IPAddresses, a.AsSlice())
		} else {
			t.DNSNames = append(t.DNSNames, san)
		}
	}
	der, err := x509.CreateCertificate(zeros{}, t, t, private.Public(), private)
	if err != nil {
		return err
	}
	if err := h.put(key, []byte("simulated\n")); err != nil {
		return err
	}
	return h.Put(transport.File{Path: cert, Mode: 0o644, Data: transport.Bytes(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))})
}

// zeros is no randomness: of this key none is needed.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// presents answers a curl that connects to an API server by another name.
func (h *host) presents(args []string, target *url.URL) error {
	to := strings.TrimPrefix(args[slices.Index(args, "--connect-to")+1], "::")
	for _, other := range h.cluster.hosts {
		if to != netip.AddrPortFrom(other.node.Address(), uint16(h.cluster.c.Endpoint.APIServerPort())).String() || !other.serves() {
			continue
		}
		f, err := other.File(hostpath.KubernetesPKI + "/apiserver.crt")
		if err != nil {
			return faketransport.Exit(35)
		}
		block, _ := pem.Decode(f.Data.Bytes())
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || cert.VerifyHostname(target.Hostname()) != nil {
			return faketransport.Exit(60)
		}
		return nil
	}
	return faketransport.Exit(7)
}

// wellOnLoopback answers what asks a program on its own host.
func (h *host) wellOnLoopback(in faketransport.Invocation, port string) error {
	program := map[string]string{"10257": "kube-controller-manager", "10259": "kube-scheduler", "10248": "kubelet"}[port]
	if program == "" || !h.running("kubelet.service") || h.crashed(program) || !h.has("/proc/"+strconv.Itoa(slices.Index(processes, program))+"/comm") {
		return faketransport.Exit(7)
	}
	return say(in, "ok")
}

// kubeletProcess has the kubelet of a node run with its file.
func (h *host) kubeletProcess() error {
	f, err := h.File(hostpath.KubeletConfig)
	if err != nil {
		return nil //nolint:nilerr // kubeadm has not run here
	}
	if h.cluster.refuses("kubelet", string(f.Data.Bytes())) {
		return h.process("kubelet")
	}
	env, err := h.File("/var/lib/kubelet/kubeadm-flags.env")
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	_, flags, _ := strings.Cut(strings.TrimSpace(string(env.Data.Bytes())), "=")
	argv := []string{"/usr/bin/kubelet", "--config=" + hostpath.KubeletConfig}
	return h.process("kubelet", append(argv, strings.Fields(strings.Trim(flags, `"`))...)...)
}

// label answers "kubectl label node NAME --overwrite KEY=VALUE...".
func (h *host) label(in faketransport.Invocation, name string, words []string) error {
	n := h.cluster.nodes[name]
	if n == nil {
		return fail(in, "Error from server (NotFound): nodes %q not found", name)
	}
	labels := map[string]string{}
	for key, value := range n.labels {
		labels[key] = value
	}
	for _, word := range words {
		key, value, set := strings.Cut(word, "=")
		if set {
			labels[key] = value
		} else {
			delete(labels, strings.TrimSuffix(word, "-"))
		}
	}
	n.labels = labels
	return nil
}

// taint answers "kubectl taint node NAME --overwrite KEY=VALUE:EFFECT... KEY:EFFECT-...".
func (h *host) taint(in faketransport.Invocation, name string, words []string) error {
	n := h.cluster.nodes[name]
	if n == nil {
		return fail(in, "Error from server (NotFound): nodes %q not found", name)
	}
	taints := slices.Clone(n.taints)
	for _, word := range words {
		what, remove := strings.CutSuffix(word, "-")
		pair, effect, _ := strings.Cut(what, ":")
		key, value, _ := strings.Cut(pair, "=")
		taints = slices.DeleteFunc(taints, func(t quorate.Taint) bool { return t.Key == key && t.Effect == effect })
		if !remove {
			taints = append(taints, quorate.Taint{Key: key, Value: value, Effect: effect})
		} else if slices.Contains(quorate.ControlPlaneTaints(h.cluster.c.Version), key) {
			n.tainted = false
		}
	}
	n.taints = taints
	return nil
}

// getConfigMap answers "kubectl get configmap NAME -o json".
func (h *host) getConfigMap(in faketransport.Invocation, name string) error {
	m := h.cluster.configMaps[name]
	if m == nil {
		return fail(in, "Error from server (NotFound): configmaps %q not found", name)
	}
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"name": name, "resourceVersion": "1"}, "data": m})
	if err != nil {
		return err
	}
	return say(in, "%s\n", text)
}

// replaceConfigMap answers "kubectl replace -f -" of one of kubeadm's.
func (h *host) replaceConfigMap(in faketransport.Invocation) error {
	var m struct {
		Metadata struct{ Name string }
		Data     map[string]string
	}
	if err := json.NewDecoder(in.Stdin).Decode(&m); err != nil || h.cluster.configMaps[m.Metadata.Name] == nil {
		return fail(in, "error: %v", err)
	}
	h.cluster.configMaps[m.Metadata.Name] = m.Data
	return nil
}
