package survey

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
)

// Described is what running clusters are compared with.
type Described struct {
	// Cluster with its defaults.
	Cluster quorate.Cluster
	// Init is the configuration of the first control plane's kubeadm.
	Init kubeadm.Init
	// EtcdUnits are the texts of etcd's units by node, where systemd runs it.
	EtcdUnits map[string]string
	// VIPConfigs are keepalived's by node, where it holds the VIP: a password is in some.
	VIPConfigs map[string]quorate.Content
	// Authorities are the public files of a control plane that its clients trust, by path.
	Authorities map[string]string
	// APIServers are the URLs of the control planes' own API servers, by their nodes.
	APIServers map[string]string
	// EtcdTLS is how members of etcd are read; nil if they are not.
	EtcdTLS *tls.Config
	// Gone are nodes that the cluster has and that the run takes out of it.
	Gone []string
}

// comparison collects differences: one for a path and store, with all of its hosts.
type comparison struct {
	d     Described
	found []Difference
	// stored is what kubeadm keeps of its configuration, nil if nobody knows; regenerated
	// reports whether kubeadm has just written a file from the description.
	stored      *kubeadm.Init
	regenerated func(what string) bool
}

func (c *comparison) add(path string, store Store, host, described, running string) {
	for i, f := range c.found {
		if f.Path == path && f.Store == store && f.Running == running {
			if host != "" && !slices.Contains(f.Hosts, host) {
				c.found[i].Hosts = append(c.found[i].Hosts, host)
			}
			return
		}
	}
	field, _ := FieldOf(path)
	one := Difference{Path: path, Class: field.Class, Store: store, Described: described, Running: running, Do: field.Do}
	if host != "" {
		one.Hosts = []string{host}
	}
	c.found = append(c.found, one)
}

// same adds a difference of two values.
func (c *comparison) same(path string, store Store, host, described, running string) {
	if described != running {
		c.add(path, store, host, described, running)
	}
}

// compare returns what differs, by the order of fields, then of stores. It compares what it
// is there: a host that did not answer, and an API that did not, are compared by nothing.
func (d Described) compare(reports map[string]report, api *settings) []Difference {
	c := &comparison{d: d}
	if api != nil && api.cluster != nil {
		c.cluster(api.cluster.Version, *api.cluster.Init)
		c.fields("kubeadm.kubelet", InAPI, "", d.Init.Kubelet, api.kubelet)
		c.fields("kubeadm.kubeProxy", InAPI, "", d.Init.KubeProxy, api.kubeProxy)
	}
	if api != nil {
		c.nodes(*api)
	}
	for _, n := range d.Cluster.Nodes {
		if r, ok := reports[n.Name]; ok {
			c.host(n, r)
		}
	}
	c.across(reports)
	order := Fields()
	rank := func(x Difference) int {
		f, _ := FieldOf(x.Path)
		return slices.IndexFunc(order, func(o Field) bool { return o.Path == f.Path })
	}
	slices.SortStableFunc(c.found, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Store, b.Store))
	})
	return c.found
}

// cluster compares what kubeadm keeps of its configuration.
func (c *comparison) cluster(v quorate.Version, run kubeadm.Init) {
	want, own := c.d.Init, c.d.Cluster
	same := func(path, described, running string) { c.same(path, InAPI, "", described, running) }
	same("name", want.ClusterName, cmp.Or(run.ClusterName, "kubernetes"))
	same("version", own.Version.String(), v.String())
	wantHost, wantPort, _ := net.SplitHostPort(want.Endpoint)
	host, port, _ := net.SplitHostPort(run.Endpoint)
	same("endpoint.host", wantHost, host)
	same("endpoint.port", wantPort, port)
	same("pods", prefixes(want.Pods), prefixes(run.Pods))
	same("services", prefixes(want.Services), prefixes(run.Services))
	same("dnsDomain", want.DNSDomain, cmp.Or(run.DNSDomain, "cluster.local"))
	same("etcd.stacked", strconv.FormatBool(want.Etcd == nil), strconv.FormatBool(run.Etcd == nil))
	switch {
	case want.Etcd != nil && run.Etcd != nil && len(want.Etcd.Endpoints) > 0 && len(run.Etcd.Endpoints) > 0:
		ours, ourPort := schemeAndPort(want.Etcd.Endpoints[0])
		theirs, theirPort := schemeAndPort(run.Etcd.Endpoints[0])
		same("etcd.plainHTTP", strconv.FormatBool(ours == "http"), strconv.FormatBool(theirs == "http"))
		same("etcd.clientPort", ourPort, theirPort)
	case want.Etcd == nil && run.Etcd == nil:
		same("etcd.dataDir", cmp.Or(want.LocalEtcd.DataDir, hostpath.StackedEtcdData), cmp.Or(run.LocalEtcd.DataDir, hostpath.StackedEtcdData))
		c.stackedTuning(InAPI, "", run.LocalEtcd.Args)
	}
	same("kubeadm.imageRepository", want.ImageRepository, cmp.Or(run.ImageRepository, want.ImageRepository))
	for _, san := range own.Kubeadm.CertSANs {
		if !slices.ContainsFunc(run.CertSANs, func(s string) bool { return sameSAN(s, san) }) {
			c.add("kubeadm.certSANs", InAPI, "", san, strings.Join(run.CertSANs, " "))
		}
	}
	c.bools("kubeadm.featureGates", want.FeatureGates, run.FeatureGates)
	for _, one := range c.components() {
		theirs := map[string]kubeadm.Component{apiServer: run.APIServer, controllerManager: run.ControllerManager, scheduler: run.Scheduler}[one.name]
		c.args(one.field, one.Args, theirs.Args)
		c.volumes(one, theirs)
		c.env(one.field, one.Env, theirs.Env)
	}
}

const apiServer, controllerManager, scheduler = "kube-apiserver", "kube-controller-manager", "kube-scheduler"

// component is one of the three, and the beginning of its fields' names.
type component struct {
	name, field string
	kubeadm.Component
}

func (c *comparison) components() []component {
	return []component{
		{apiServer, "kubeadm.apiServer", c.d.Init.APIServer},
		{controllerManager, "kubeadm.controllerManager", c.d.Init.ControllerManager},
		{scheduler, "kubeadm.scheduler", c.d.Init.Scheduler},
	}
}

// args compares arguments both ways: one that is no longer described must go too.
func (c *comparison) args(field string, want, run kubeadm.Args) {
	names := map[string]bool{}
	for _, a := range slices.Concat(want, run) {
		names[a.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		ours, theirs := want.Values(name), run.Values(name)
		// kubeadm up to 1.2x writes its own default into the ConfigMap.
		if len(ours) == 0 && name == "authorization-mode" && slices.Equal(theirs, []string{"Node,RBAC"}) || slices.Equal(ours, theirs) {
			continue
		}
		c.arg(field, name, InAPI, "", strings.Join(ours, " "), strings.Join(theirs, " "))
	}
}

// arg adds a difference of an argument to the field that it follows from.
func (c *comparison) arg(field, name string, store Store, host, described, running string) {
	path := field + "Args[" + name + "]"
	own := c.d.Cluster
	if _, given := own.Kubeadm.APIServerArgs[name]; field == "kubeadm.apiServer" && !given {
		switch name {
		case "shutdown-delay-duration":
			for _, p := range []string{"endpoint.vip.checkInterval", "endpoint.vip.checkTimeout", "endpoint.vip.fall"} {
				c.add(p, store, host, name+" "+described, name+" "+running)
			}
			return
		case "goaway-chance":
			path = "endpoint.loadBalancer"
		}
	}
	c.add(path, store, host, described, running)
}

func (c *comparison) volumes(one component, run kubeadm.Component) {
	ours, theirs := map[string]quorate.Volume{}, map[string]quorate.Volume{}
	for _, v := range one.Volumes {
		ours[v.Name] = v
	}
	for _, v := range run.Volumes {
		theirs[v.Name] = v
	}
	for _, name := range names(ours, theirs) {
		if ours[name] != theirs[name] {
			c.add(one.field+"Volumes["+name+"]", InAPI, "", volume(ours, name), volume(theirs, name))
		}
	}
}

func volume(all map[string]quorate.Volume, name string) string {
	v, there := all[name]
	if !there {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s at %s, read only %t %s", v.HostPath, v.MountPath, v.ReadOnly, v.PathType))
}

// env compares variables, and shows no value: a proxy's URL has a password.
func (c *comparison) env(field string, want, run []kubeadm.EnvVar) {
	ours, theirs := envMap(want), envMap(run)
	for _, name := range names(ours, theirs) {
		if ours[name] != theirs[name] {
			c.add(field+"Env["+name+"]", InAPI, "", unshown(ours, name), unshown(theirs, name))
		}
	}
}

func envMap(all []kubeadm.EnvVar) map[string]string {
	m := map[string]string{}
	for _, e := range all {
		m[e.Name] = fmt.Sprintf("%q %v", e.Value, e.ValueFrom)
	}
	return m
}

func unshown(all map[string]string, name string) string {
	if _, there := all[name]; !there {
		return ""
	}
	return someValue
}

// someValue stands for one that may be a secret.
const someValue = "(a value)"

func names[V any](all ...map[string]V) []string {
	seen := map[string]bool{}
	for _, m := range all {
		for name := range m {
			seen[name] = true
		}
	}
	out := make([]string, 0, len(seen))
	for name := range seen {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (c *comparison) bools(path string, want, run map[string]bool) {
	show := func(m map[string]bool, name string) string {
		if v, there := m[name]; there {
			return strconv.FormatBool(v)
		}
		return ""
	}
	for _, name := range names(want, run) {
		c.same(path+"["+name+"]", InAPI, "", show(want, name), show(run, name))
	}
}

// stackedTuning compares the arguments of kubeadm's own members.
func (c *comparison) stackedTuning(store Store, host string, run kubeadm.Args) {
	for flag, path := range map[string]string{
		"heartbeat-interval": "etcd.heartbeat", "election-timeout": "etcd.election", "quota-backend-bytes": "etcd.quotaBytes", "snapshot-count": "etcd.snapshotCount",
	} {
		described, _ := c.d.Init.LocalEtcd.Args.Value(flag)
		running, there := run.Value(flag)
		if store != InAPI && described == "" || described == running && (there || described == "") {
			continue
		}
		c.add(path, store, host, described, running)
		last := &c.found[len(c.found)-1]
		last.Class, last.Do = ByOther, byKubeadm // members that kubeadm runs no run touches
	}
}

// fields compares those that are described with those of a document.
func (c *comparison) fields(path string, store Store, host string, want, run map[string]any) {
	if run == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !sameValue(want[name], run[name]) {
			c.add(path+"["+name+"]", store, host, shown(want[name]), shown(run[name]))
		}
	}
	if !c.d.Cluster.Version.Has(quorate.SparseComponentConfig) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(run)) {
		// kubeadm 1.37 writes kube-proxy's default mode.
		if _, described := want[name]; !described && !byKubeadmItself[name] && !isZero(run[name]) && !(name == "mode" && run[name] == "iptables") {
			c.add(path+"["+name+"]", store, host, "", shown(run[name]))
		}
	}
}

// byKubeadmItself are the fields that kubeadm sets in the documents of the kubelet and of
// kube-proxy (cmd/kubeadm/app/componentconfigs).
var byKubeadmItself = map[string]bool{
	"apiVersion": true, "kind": true, "authentication": true, "authorization": true, "cgroupDriver": true, "clusterDNS": true, "clusterDomain": true,
	"containerRuntimeEndpoint": true, "healthzBindAddress": true, "healthzPort": true, "resolvConf": true, "rotateCertificates": true,
	"staticPodPath": true, "logging": true, "memorySwap": true, "crashLoopBackOff": true, "imageMinimumGCAge": true, "failCgroupV1": true,
	"bindAddress": true, "bindAddressHardFail": true, "clientConnection": true, "clusterCIDR": true, "conntrack": true, "featureGates": true,
	"iptables": true, "ipvs": true, "nftables": true, "winkernel": true, "detectLocal": true, "localhostNodePorts": true, "enableContentionProfiling": false,
}

// isZero reports whether a value says nothing: 0, "", "0s", false, and what holds only such.
func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		for _, one := range v {
			if !isZero(one) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	case string:
		return v == "" || v == "0s"
	}
	return reflect.ValueOf(v).IsZero()
}

// sameValue compares what is written in two ways: numbers by value, durations by length.
func sameValue(a, b any) bool {
	if v, w := plain(a), plain(b); reflect.DeepEqual(v, w) {
		return true
	}
	ours, ok := a.(string)
	theirs, also := b.(string)
	if !ok || !also {
		return false
	}
	x, err := time.ParseDuration(ours)
	y, otherErr := time.ParseDuration(theirs)
	return err == nil && otherErr == nil && x == y
}

// plain is a value as JSON has it.
func plain(v any) (out any) {
	b, err := json.Marshal(v)
	if err != nil || json.Unmarshal(b, &out) != nil {
		return v
	}
	return out
}

func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func prefixes(all []netip.Prefix) string {
	var words []string
	for _, p := range all {
		words = append(words, p.Masked().String())
	}
	return strings.Join(words, ",")
}

func schemeAndPort(endpoint string) (scheme, port string) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", ""
	}
	return u.Scheme, u.Port()
}

func sameSAN(a, b string) bool {
	x, err := netip.ParseAddr(a)
	y, otherErr := netip.ParseAddr(b)
	return strings.EqualFold(a, b) || err == nil && otherErr == nil && x == y
}

// nodes compares the nodes that the API has.
func (c *comparison) nodes(api settings) {
	own := c.d.Cluster
	for _, n := range api.nodes {
		i := slices.IndexFunc(own.Nodes, func(d quorate.Node) bool { return d.Name == n.Name })
		if i < 0 {
			if !n.ControlPlane && n.Ready != "True" || slices.Contains(c.d.Gone, n.Name) {
				continue // what a worker has left that is gone: it takes no part
			}
			role := string(quorate.Worker)
			if n.ControlPlane {
				role = string(quorate.ControlPlane)
			}
			c.add("nodes.name", InAPI, "", "", role+" "+n.Name)
			continue
		}
		d, path := own.Nodes[i], fmt.Sprintf("nodes[%d]", i)
		if n.ControlPlane && d.Role == quorate.Worker {
			c.add(path+".role", InAPI, "", string(d.Role), string(quorate.ControlPlane))
		}
		// A kubelet that was configured with one address of two reports one.
		for _, a := range n.Addresses {
			if !slices.Contains(d.Addresses, a) {
				c.add(path+".addresses", InAPI, "", fmt.Sprint(d.Addresses), fmt.Sprint(n.Addresses))
				break
			}
		}
		for _, key := range slices.Sorted(maps.Keys(d.Labels)) {
			c.same(path+".labels["+key+"]", InAPI, "", d.Labels[key], n.Labels[key])
		}
		if d.Taints != nil {
			c.taints(path+".taints", d.Taints, n.Taints)
		}
	}
}

// taints leaves out those by which the cluster itself says how a node is.
func (c *comparison) taints(path string, want, run []quorate.Taint) {
	text := func(all []quorate.Taint) string {
		var words []string
		for _, t := range all {
			if !OwnTaint(t) {
				words = append(words, t.Key+"="+t.Value+":"+t.Effect)
			}
		}
		slices.Sort(words)
		return strings.Join(words, " ")
	}
	c.same(path, InAPI, "", text(want), text(run))
}

// OwnTaint reports whether the cluster itself says by a taint how a node is.
func OwnTaint(t quorate.Taint) bool {
	return strings.HasPrefix(t.Key, "node.kubernetes.io/") || strings.HasPrefix(t.Key, "node.cloudprovider.kubernetes.io/")
}

// host compares the files and processes of one host.
func (c *comparison) host(n quorate.Node, r report) {
	own := c.d.Cluster
	// Patches may change what is written on hosts in any way.
	patched := own.Kubeadm.PatchesDir != ""
	if n.Role == quorate.ControlPlane {
		for _, one := range c.components() {
			if !patched {
				c.staticPod(n, r, one)
			}
		}
		c.servingCert(n, r)
		c.etcdMember(n, r)
		c.vip(n, r)
	}
	if text := r.texts[hostpath.KubeletConfig]; text != "" && !patched && own.Version.Has(quorate.KubeletConfigFile) {
		c.fields("kubeadm.kubelet", InFile, n.Name, c.d.Init.Kubelet, fieldsOf(text))
	}
	if server, err := url.Parse(r.lineOf(hostpath.KubeletConf, "server")); err == nil && server.Host != "" {
		local := netip.AddrPortFrom(n.Address(), uint16(own.Endpoint.APIServerPort())).String()
		if n.Role == quorate.Worker || server.Host != local { // kubelets of control planes ask their own from 1.35 on
			c.same("endpoint.host", InFile, n.Name, own.Endpoint.Host, server.Hostname())
			c.same("endpoint.port", InFile, n.Name, strconv.Itoa(own.Endpoint.Port), server.Port())
		}
	}
	for _, path := range []string{kubeadm.InitPath, kubeadm.JoinPath} {
		if socket := r.lineOf(path, "criSocket"); socket != "" {
			c.same("kubeadm.criSocket", InFile, n.Name, strings.TrimPrefix(own.Kubeadm.CRISocket, "unix://"), strings.TrimPrefix(socket, "unix://"))
			c.same("kubeadm.patchesDir", InFile, n.Name, own.Kubeadm.PatchesDir, r.lineOf(path, "directory"))
			break
		}
	}
}

// staticPod compares what the manifest says, and what its process was started with, with
// the arguments that are described.
func (c *comparison) staticPod(n quorate.Node, r report, one component) {
	pod, there := r.manifest(one.name)
	if !there {
		return
	}
	own := c.d.Cluster
	for _, at := range []struct {
		store Store
		args  kubeadm.Args
	}{{InFile, pod.args}, {InProcess, r.running(one.name)}} {
		if at.args == nil {
			continue // it does not run
		}
		for _, a := range one.Args {
			if want, run := one.Args.Values(a.Name), at.args.Values(a.Name); !slices.Equal(want, run) {
				c.arg(one.field, a.Name, at.store, n.Name, strings.Join(want, " "), strings.Join(run, " "))
			}
		}
		for _, a := range c.gone(one).Args {
			if run := at.args.Values(a.Name); slices.Contains(run, a.Value) {
				c.arg(one.field, a.Name, at.store, n.Name, "", strings.Join(run, " "))
			}
		}
		if one.name != apiServer {
			continue
		}
		for flag, want := range map[string][2]string{
			"secure-port":              {"endpoint.port", strconv.Itoa(own.Endpoint.APIServerPort())},
			"service-cluster-ip-range": {"services", prefixes(own.Services)},
			"advertise-address":        {c.path(n, "addresses"), n.Address().String()},
		} {
			_, given := own.Kubeadm.APIServerArgs[flag]
			if run, set := at.args.Value(flag); set && !given {
				c.same(want[0], at.store, n.Name, want[1], run)
			}
		}
	}
	for _, v := range c.gone(one).Volumes {
		if _, mounted := pod.volumes[v.Name]; mounted {
			c.add(one.field+"Volumes["+v.Name+"]", InFile, n.Name, "", volume(pod.volumes, v.Name))
		}
	}
	for _, e := range c.gone(one).Env {
		if _, set := pod.env[e.Name]; set {
			c.add(one.field+"Env["+e.Name+"]", InFile, n.Name, "", someValue)
		}
	}
	for _, v := range one.Volumes {
		if run, mounted := pod.volumes[v.Name]; !mounted || run.HostPath != v.HostPath || run.MountPath != v.MountPath || run.ReadOnly != v.ReadOnly {
			c.add(one.field+"Volumes["+v.Name+"]", InFile, n.Name, volume(map[string]quorate.Volume{v.Name: v}, v.Name), volume(pod.volumes, v.Name))
		}
	}
	for _, e := range one.Env {
		if run, set := pod.env[e.Name]; e.ValueFrom == nil && (!set || run != e.Value) {
			c.add(one.field+"Env["+e.Name+"]", InFile, n.Name, someValue, unshown(pod.env, e.Name))
		}
	}
	if at := strings.LastIndexByte(pod.image, ':'); at > 0 {
		c.same("version", InFile, n.Name, own.Version.String(), strings.ReplaceAll(pod.image[at+1:], "_", "+"))
		if repository, name := pod.image[:max(0, strings.LastIndexByte(pod.image[:at], '/'))], pod.image[strings.LastIndexByte(pod.image[:at], '/')+1:at]; name == one.name {
			c.same("kubeadm.imageRepository", InFile, n.Name, own.Kubeadm.ImageRepository, repository)
		}
	}
}

// gone is what kubeadm-config has of a component that is no longer described. What kubeadm has
// written from the description since is kubeadm's own.
func (c *comparison) gone(one component) kubeadm.Component {
	var out kubeadm.Component
	if c.stored == nil || c.regenerated(one.name) {
		return out
	}
	stored := map[string]kubeadm.Component{apiServer: c.stored.APIServer, controllerManager: c.stored.ControllerManager, scheduler: c.stored.Scheduler}[one.name]
	for _, a := range stored.Args {
		if len(one.Args.Values(a.Name)) == 0 {
			out.Args = append(out.Args, a)
		}
	}
	for _, v := range stored.Volumes {
		if !slices.ContainsFunc(one.Volumes, func(o quorate.Volume) bool { return o.Name == v.Name }) {
			out.Volumes = append(out.Volumes, v)
		}
	}
	for _, e := range stored.Env {
		if !slices.ContainsFunc(one.Env, func(o kubeadm.EnvVar) bool { return o.Name == e.Name }) {
			out.Env = append(out.Env, e)
		}
	}
	return out
}

func (c *comparison) path(n quorate.Node, field string) string {
	return fmt.Sprintf("nodes[%d].%s", slices.IndexFunc(c.d.Cluster.Nodes, func(d quorate.Node) bool { return d.Name == n.Name }), field)
}

// servingCert wants the names that are described in the API server's certificate.
func (c *comparison) servingCert(n quorate.Node, r report) {
	block, _ := pem.Decode([]byte(r.texts[apiServerCert]))
	if block == nil {
		return
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return
	}
	has := func(san string) bool {
		if a, err := netip.ParseAddr(san); err == nil {
			return slices.ContainsFunc(cert.IPAddresses, func(ip net.IP) bool { return ip.Equal(a.AsSlice()) })
		}
		return slices.ContainsFunc(cert.DNSNames, func(name string) bool { return strings.EqualFold(name, san) })
	}
	if host := c.d.Cluster.Endpoint.Host; !has(host) {
		c.add("endpoint.host", InFile, n.Name, host, "the certificate of the API server without it")
	}
	for _, san := range c.d.Cluster.Kubeadm.CertSANs {
		if !has(san) {
			c.add("kubeadm.certSANs", InFile, n.Name, san, "the certificate of the API server without it")
		}
	}
}

// etcdMember compares how a member with data was started with how it would be.
func (c *comparison) etcdMember(n quorate.Node, r report) {
	_, stackedPod := r.manifest("etcd")
	own := c.d.Cluster.Etcd
	if own.Stacked {
		if pod, there := r.manifest("etcd"); there {
			c.stackedTuning(InFile, n.Name, pod.args)
		} else if r.data != "" {
			c.add("etcd.stacked", InFile, n.Name, "true", "a member that systemd runs, with data in "+r.data)
		}
		return
	}
	if stackedPod {
		c.add("etcd.stacked", InFile, n.Name, "false", "a member that kubeadm runs")
	}
	described := report{texts: map[string]string{etcd.UnitPath: c.d.EtcdUnits[n.Name]}}
	want := described.etcdUnit()
	c.etcdTuning(n, r, described)
	if r.data == "" {
		return // without data it may start in any way
	}
	for _, at := range []struct {
		store Store
		args  kubeadm.Args
	}{{InFile, r.etcdUnit()}, {InProcess, r.running("etcd")}} {
		if len(at.args) == 0 {
			continue
		}
		for flag, path := range map[string]string{"data-dir": "etcd.dataDir", "listen-client-urls": "etcd.clientPort", "listen-peer-urls": "etcd.peerPort"} {
			ours, _ := want.Value(flag)
			theirs, set := at.args.Value(flag)
			if !set {
				continue
			}
			if flag == "data-dir" {
				c.same(path, at.store, n.Name, ours, theirs)
				continue
			}
			ourScheme, ourPort := schemeAndPort(strings.Split(ours, ",")[0])
			theirScheme, theirPort := schemeAndPort(strings.Split(theirs, ",")[0])
			c.same(path, at.store, n.Name, ourPort, theirPort)
			c.same("etcd.plainHTTP", at.store, n.Name, strconv.FormatBool(ourScheme == "http"), strconv.FormatBool(theirScheme == "http"))
		}
		ours, _ := want.Value("initial-advertise-peer-urls")
		if theirs, set := at.args.Value("initial-advertise-peer-urls"); set && hostOf(ours) != hostOf(theirs) {
			c.add(c.path(n, "addresses"), at.store, n.Name, hostOf(ours), hostOf(theirs))
		}
	}
}

// tuned are the fields of a member that a run brings about, by the flag that they set.
var tuned = [...]struct{ flag, path string }{
	{"heartbeat-interval", "etcd.heartbeat"}, {"election-timeout", "etcd.election"}, {"quota-backend-bytes", "etcd.quotaBytes"},
	{"auto-compaction-retention", "etcd.compactionRetention"}, {"snapshot-count", "etcd.snapshotCount"}, {"listen-metrics-urls", "etcd.metricsPort"},
}

// etcdTuning compares what a run brings about, of a member that systemd runs.
func (c *comparison) etcdTuning(n quorate.Node, r, described report) {
	want := described.etcdUnit()
	argv := r.processes["etcd"]
	for _, at := range []struct {
		store  Store
		binary string
		args   kubeadm.Args
	}{{InFile, r.etcdBinary(), r.etcdUnit()}, {InProcess, strings.Join(argv[:min(1, len(argv))], ""), r.running("etcd")}} {
		if len(at.args) == 0 || len(want) == 0 {
			continue
		}
		if at.binary != "" {
			c.same("etcd.binary", at.store, n.Name, described.etcdBinary(), at.binary)
		}
		for _, f := range tuned {
			ours, _ := want.Value(f.flag)
			theirs, _ := at.args.Value(f.flag)
			if f.flag == "listen-metrics-urls" {
				_, ours = schemeAndPort(strings.Split(ours, ",")[0])
				_, theirs = schemeAndPort(strings.Split(theirs, ",")[0])
			}
			c.same(f.path, at.store, n.Name, ours, theirs)
		}
	}
}

// vip compares how keepalived is set, but for what decides how long API servers serve after
// they are stopped: that is an argument of theirs.
func (c *comparison) vip(n quorate.Node, r report) {
	run := keepalived(r.texts[keepalivedConf])
	want := keepalived(string(c.d.VIPConfigs[n.Name].Bytes()))
	if len(run) == 0 || len(want) == 0 {
		return
	}
	for _, setting := range slices.Sorted(maps.Keys(want)) {
		path := "endpoint.vip." + setting
		if setting == "interface" && n.Interface != "" {
			path = c.path(n, "interface")
		}
		c.same(path, InFile, n.Name, want[setting], run[setting])
	}
}

const keepalivedConf = "/etc/keepalived/keepalived.conf"

// keepalived reads the fields of endpoint.vip from lines of a configuration; none of a text
// that has none.
func keepalived(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "interface", "weight", "rise":
			out[words[0]] = words[1]
		case "virtual_router_id":
			out["routerID"] = words[1]
		case "advert_int":
			out["advertInterval"] = words[1] + "s"
		case "unicast_src_ip":
			out["multicast"] = "false"
		default:
			if address, err := netip.ParsePrefix(words[0]); err == nil && words[1] == "dev" {
				out["subnet"] = "an address with /" + strconv.Itoa(address.Bits())
			}
		}
	}
	if len(out) > 0 {
		out["multicast"], out["weight"] = cmp.Or(out["multicast"], "true"), cmp.Or(out["weight"], "0")
	}
	return out
}

func hostOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// across compares what one host alone does not show.
func (c *comparison) across(reports map[string]report) {
	var holders, made []string
	balanced := 0
	for _, n := range c.d.Cluster.ControlPlanes() {
		r, seen := reports[n.Name]
		if !seen || r.mark != "done" {
			continue
		}
		made = append(made, n.Name)
		if r.has(keepalivedConf, hostpath.State+"/keepalived.sha256") {
			holders = append(holders, n.Name)
		}
		if r.has(hostpath.State + "/haproxy.sha256") {
			balanced++
		}
	}
	own := c.d.Cluster.Endpoint
	if len(made) == 0 {
		return
	}
	for _, host := range holders {
		if own.External {
			c.add("endpoint.external", InFile, host, "true", "keepalived holds the VIP")
		}
	}
	if !own.External && len(holders) == 0 {
		for _, host := range made {
			c.add("endpoint.external", InFile, host, "false", "no keepalived was ever set up")
		}
	}
	if (own.LoadBalancer != "") != (balanced > 0) {
		running := ""
		if balanced > 0 {
			running = string(quorate.HAProxy)
		}
		c.add("endpoint.loadBalancer", InFile, "", string(own.LoadBalancer), running)
	}
	c.authorities(reports, made)
}

// authorities refuses to replace what every control plane agrees on: a file that one host
// alone has otherwise is repaired.
func (c *comparison) authorities(reports map[string]report, made []string) {
	for _, path := range slices.Sorted(maps.Keys(c.d.Authorities)) {
		want, others := keysIn(c.d.Authorities[path]), 0
		var hosts []string
		for _, host := range made {
			have := keysIn(reports[host].texts[path])
			if len(have) == 0 {
				continue
			}
			if slices.ContainsFunc(have, func(k string) bool { return slices.Contains(want, k) }) {
				others++
				continue
			}
			hosts = append(hosts, host)
		}
		if len(hosts) == 0 || others > 0 || len(want) == 0 {
			continue
		}
		for _, host := range hosts {
			c.add("certs["+path+"]", InFile, host, "another key", "the key that this cluster was made with")
			last := &c.found[slices.IndexFunc(c.found, func(d Difference) bool { return d.Path == "certs["+path+"]" })]
			last.Class, last.Do = Fixed, "use the authorities and the service accounts' key that this cluster was made with: another one here would shut out every client, pod and member"
		}
	}
}

// keysIn are the public keys of certificates and keys in PEM.
func keysIn(text string) []string {
	var keys []string
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return keys
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			keys = append(keys, string(cert.RawSubjectPublicKeyInfo))
		} else if _, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			keys = append(keys, string(block.Bytes))
		}
	}
}
