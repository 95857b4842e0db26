package kubeadm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
)

const fileIsWhat = "kubeadm configuration file"

// Parse reads a file that kubeadm reads, of any version of its API from v1alpha1
// to v1beta4, or the ConfigMap kubeadm-config of a cluster: the documents of
// kubeadm init, or that of kubeadm join. version is that of the kubeadm which reads
// it, for a file that does not say it exactly; zero if that is not known, and then
// so is the Config's. Of a file that is for both, the Config is that of kubeadm
// init, and a warning says so; ParseAll returns both.
//
// What the file says and a Config has no field for is not lost: it is among the
// problems, as a warning with the line and the path of the field,
// "JoinConfiguration.clusterName", without its value, which may be a secret. The
// error is a *quorate.InvalidError for a file that kubeadm does not read: what is
// no YAML, a key that is there twice, a value of another type than its field's,
// documents that exclude each other. Its problems have lines and paths too, and
// nothing in them is a secret of the file. Whether the values make sense, YAML and
// Problems of the Config say.
func Parse(data []byte, version quorate.Version) (Config, quorate.Problems, error) {
	configs, problems, err := ParseAll(data, version)
	if err != nil {
		return Config{}, nil, err
	}
	if len(configs) > 1 {
		problems.Warn("JoinConfiguration", "is for kubeadm join, and not read here: ParseAll reads it")
	}
	return configs[0], problems, nil
}

// ParseAll reads a file as Parse does, and returns every Config in it: that of
// kubeadm init, that of kubeadm join, or both in this order.
func ParseAll(data []byte, version quorate.Version) ([]Config, quorate.Problems, error) {
	r := reader{version: version}
	configs, err := r.read(data)
	if err != nil {
		return nil, nil, err
	}
	return configs, redact(r.left(), r.secrets), nil
}

// Migrate reads a file as ParseAll does, and writes it for another version of
// Kubernetes, earlier or later. kubernetesVersion becomes that version. The
// problems are warnings: what the model or the new version has no place for and is
// left out, what the new version makes questionable, and what Quorate would not
// have in a cluster of its own. The error is that of Parse, or a
// *quorate.InvalidError for what kubeadm of the new version would refuse. It is not
// an upgrade: images, sockets and taints stay as they were.
//
// What it writes means what "kubeadm config migrate" of that version would write,
// field for field, where that takes the file, but for kubernetesVersion and for
// what that loses: that there are to be no taints (until 1.14), the documents of
// the kubelet and kube-proxy (from 1.16 on), timeouts (1.30 of v1beta3, 1.31 to
// 1.36 of v1beta4).
func Migrate(data []byte, to quorate.Version) (quorate.Content, quorate.Problems, error) {
	r := reader{version: to}
	configs, err := r.read(data)
	if err != nil {
		return quorate.Content{}, nil, err
	}
	problems := r.left()
	out, written := documents{}, api(0)
	for _, c := range configs {
		from := c.Version
		c.Version, c.APIVersion = to, ""
		var found quorate.Problems
		r.convert(&c, from, &found)
		found = append(found, c.outdated()...)
		docs, a := c.encode(&found, true)
		r.keepTexts(c, docs, a)
		found = append(found, unreported(found, warnings(c.Problems()))...)
		if c.Init != nil && c.Token.Len() == 0 {
			found = slices.DeleteFunc(found, func(p quorate.Problem) bool { return p.Path == "token" }) // kubeadm makes one
		}
		problems = append(problems, r.located(found, c)...)
		maps.Copy(out, docs)
		written = a
	}
	problems = redact(distinct(problems), r.secrets)
	slices.SortStableFunc(problems, func(a, b quorate.Problem) int { return cmp.Compare(a.Line, b.Line) })
	if err := problems.Err(fileIsWhat); err != nil {
		return quorate.Content{}, nil, err
	}
	text, err := out.yaml(written)
	return text, problems, err
}

// warnings are problems that refuse nothing, without the values in them: in a file
// of somebody else's these may be anything.
func warnings(problems quorate.Problems) quorate.Problems {
	for i, p := range problems {
		message := p.Message
		if value := leadingValue.FindString(message); value != "" {
			if text, err := strconv.Unquote(strings.TrimRight(value, ": ")); err != nil || !harmless(text) {
				message = message[len(value):]
				if !strings.HasPrefix(message, "want") {
					message = "the value " + message
				}
			}
		}
		problems[i].Severity, problems[i].Message = quorate.Warned, "Quorate would refuse it in a cluster of its own: "+message
	}
	return problems
}

var leadingValue = regexp.MustCompile(`\A"(\\.|[^"\\])*":? ?`)

// distinct drops problems that are there already.
func distinct(problems quorate.Problems) (out quorate.Problems) {
	seen := make(map[quorate.Problem]bool, len(problems))
	for _, p := range problems {
		if !seen[p] {
			out = append(out, p)
		}
		seen[p] = true
	}
	return out
}

// outdated warns of values whose time has passed at the Config's version.
func (c Config) outdated() quorate.Problems {
	var p quorate.Problems
	if quorate.IsDockershim(c.Registration.CRISocket) && !c.Version.Has(quorate.Dockershim) {
		p.Warn("registration.criSocket", "kubelets drive Docker by themselves %s: set the socket of the runtime that takes its place", quorate.Dockershim.When())
	}
	if c.Init != nil && c.Init.ImageRepository == "k8s.gcr.io" {
		p.Warn("init.imageRepository", "k8s.gcr.io has had no new images since April 2023: registry.k8s.io has them all")
	}
	for i, t := range c.Registration.Taints {
		if t.Key == quorate.MasterRole && !c.Version.Has(quorate.MasterTaint) {
			p.Warn(fmt.Sprintf("registration.taints[%d].key", i), "kubeadm itself taints control planes with %s; it used %s %s", quorate.ControlPlaneRole, quorate.MasterRole, quorate.MasterTaint.When())
		}
	}
	return p
}

// convert changes what the new version has elsewhere in another form, and leaves
// out what its components have lost.
func (r *reader) convert(c *Config, from quorate.Version, p *quorate.Problems) {
	old, now := r.newest(), apiFor(c.Version)
	if c.Init == nil {
		if now >= v1beta1 {
			// It is in all that kubeadm has written, without effect, and kubeadm drops it.
			c.Join.WorkerAddress, c.Join.WorkerPort = netip.Addr{}, 0
		}
		return
	}
	i := c.Init
	if now >= v1beta1 && old < v1beta1 {
		r.convertImages(i, from)
		if on, set := i.FeatureGates[coreDNSGate]; set {
			i.FeatureGates = maps.Clone(i.FeatureGates)
			delete(i.FeatureGates, coreDNSGate)
			if !on {
				i.DNS.Type = kubeDNS
			}
		}
	}
	if now < v1beta1 && now > 0 && i.DNS.Type == kubeDNS {
		i.FeatureGates = maps.Clone(i.FeatureGates)
		if i.FeatureGates == nil {
			i.FeatureGates = map[string]bool{}
		}
		i.FeatureGates[coreDNSGate], i.DNS.Type = false, ""
	}
	for _, name := range slices.Sorted(maps.Keys(i.FeatureGates)) {
		if life, known := featureGates[name]; known && !life.holds(c.Version) {
			p.Warn(key("init.featureGates", name), "left out, kubeadm %s does not have this feature gate, %s", c.Version, life)
			i.FeatureGates = maps.Clone(i.FeatureGates)
			delete(i.FeatureGates, name)
		}
	}
	lost := func(at string) func(path, why string) {
		return func(path, why string) { p.Warn(at+"."+path, "left out, %s", why) }
	}
	i.Kubelet = kubeletSchema.dropLost(i.Kubelet, c.Version, lost("init.kubelet"))
	i.KubeProxy = kubeProxySchema.dropLost(i.KubeProxy, c.Version, lost("init.kubeProxy"))
}

const (
	coreDNSGate = "CoreDNS"
	kubeDNS     = "kube-dns"
)

var (
	etcdImage      = regexp.MustCompile(`\A(.+)/etcd:([^:/]+)\z`)
	hyperKubeImage = regexp.MustCompile(`\A(.+)/hyperkube(-[a-z0-9]+)?:([^:/]+)\z`)
)

// convertImages follows Convert_v1alpha3_*_To_kubeadm_* in
// cmd/kubeadm/app/apis/kubeadm/v1alpha3/conversion.go of 1.13.
func (r *reader) convertImages(i *Init, from quorate.Version) {
	if image := etcdImage.FindStringSubmatch(i.LocalEtcd.Image); image != nil {
		i.LocalEtcd.Image, i.LocalEtcd.ImageRepository, i.LocalEtcd.ImageTag = "", image[1], image[2]
	}
	image := hyperKubeImage.FindStringSubmatch(i.UnifiedControlPlaneImage)
	if image != nil && image[1] == cmp.Or(i.ImageRepository, "k8s.gcr.io") && image[3] == from.String() {
		i.UnifiedControlPlaneImage, i.UseHyperKubeImage = "", true
	}
}

// reader is a file on its way to a Config.
type reader struct {
	version quorate.Version
	docs    map[docSet]*sourceDoc
	// all are the documents with what the mappings have taken out of them.
	all map[docSet]*sourceDoc
	// strange are documents of kinds that a Config has no place for, and notes what
	// is to be warned of besides.
	strange []*sourceDoc
	notes   quorate.Problems
	secrets []string
	// texts of fields that are addresses, which can be written in more than one form.
	texts map[textKey]string
	// refused is why the file is not read.
	refused quorate.Problems
}

// read reads a file. The error is a *quorate.InvalidError.
func (r *reader) read(data []byte) (configs []Config, err error) {
	docs := readFile(data, &r.refused)
	r.secrets, r.texts = secretsOf(docs), map[textKey]string{}
	r.docs = map[docSet]*sourceDoc{}
	for _, doc := range docs {
		r.add(doc)
	}
	if len(r.refused) == 0 && r.docs[inInit] == nil && r.docs[inCluster] == nil && r.docs[inJoin] == nil {
		r.refused.Refuse("", "no document of kubeadm's configuration in it: want kind InitConfiguration, ClusterConfiguration, JoinConfiguration, MasterConfiguration or NodeConfiguration")
	}
	if len(r.refused) == 0 {
		r.all = maps.Clone(r.docs)
		configs = r.configs()
	}
	slices.SortStableFunc(r.refused, func(a, b quorate.Problem) int { return cmp.Compare(a.Line, b.Line) })
	return configs, redact(r.refused, r.secrets).Err(fileIsWhat)
}

func (r *reader) refuse(doc *sourceDoc, path, format string, args ...any) {
	r.refused = append(r.refused, problemAt(doc, path, quorate.Refused, fmt.Sprintf(format, args...)))
}

// misread refuses every part of a value that is not read, at its own place.
func (r *reader) misread(doc *sourceDoc, path string, err error) {
	switch e := err.(type) { //nolint:errorlint // the errors are this package's own, and taken apart here
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			r.misread(doc, path, each)
		}
	case *partError:
		r.misread(doc, path+e.at, e.err)
	default:
		r.refuse(doc, path, "%v", err)
	}
}

func (r *reader) warn(doc *sourceDoc, path, format string, args ...any) {
	r.notes = append(r.notes, problemAt(doc, path, quorate.Warned, fmt.Sprintf(format, args...)))
}

func problemAt(doc *sourceDoc, path string, s quorate.Severity, message string) quorate.Problem {
	name := doc.name
	if doc.kind != "" {
		name = shownName(doc.kind)
	}
	at := strings.TrimSuffix(name+"."+shownPath(path), ".")
	return quorate.Problem{Path: at, Line: doc.lineOf(path), Message: message, Severity: s}
}

// shownPath hides the names in a path that may be secrets.
func shownPath(path string) string {
	names := strings.Split(path, ".")
	for i, name := range names {
		plain, index, _ := strings.Cut(name, "[")
		if !harmless(plain) && plain != "" {
			names[i] = strings.TrimSuffix(hidden+"["+index, "[")
		}
	}
	return strings.Join(names, ".")
}

func shownName(name string) string {
	if harmless(name) {
		return name
	}
	return hidden
}

func (r *reader) add(doc *sourceDoc) {
	where, a := docOf(doc.apiVersion, doc.kind)
	doc.api = a
	switch {
	case doc.apiVersion == "" && doc.kind == "":
		r.refuse(doc, "", "has neither apiVersion nor kind, by which kubeadm knows what a document is")
	case doc.kind == "":
		r.refuse(doc, "", "has no kind, by which kubeadm knows what a document is")
	case doc.apiVersion == "":
		r.refuse(doc, "", "has no apiVersion, by which kubeadm knows what a document is")
	case where == 0 && a == 0 && strings.HasPrefix(doc.apiVersion, "kubeadm.k8s.io/"):
		r.refuse(doc, "apiVersion", "is of no version of kubeadm's configuration API: want v1alpha1 to v1alpha3 or v1beta1 to v1beta4")
	case where == 0:
		r.strange = append(r.strange, doc)
	case r.docs[where] != nil:
		r.refuse(doc, "", "is in the file twice, first in line %d", r.docs[where].line)
	case where == inInit && r.docs[inCluster] != nil && (a <= v1alpha2 || r.docs[inCluster].api <= v1alpha2),
		where == inCluster && r.docs[inInit] != nil && r.docs[inInit].api <= v1alpha2:
		r.refuse(doc, "", "is beside another document of kubeadm init that has the same: a MasterConfiguration is alone")
	default:
		r.docs[where] = doc
	}
}

// docOf finds the place of a document and the version of kubeadm's API it is of;
// the place is zero if a Config has none for it.
func docOf(group, kind string) (docSet, api) {
	for _, d := range []docSet{inKubelet, inKubeProxy} {
		if kind == d.kind(0) && group == d.groupVersion(0) {
			return d, 0
		}
	}
	a := apiNamed(group)
	if a == 0 || group != a.groupVersion() {
		return 0, 0
	}
	for _, d := range []docSet{inInit, inCluster, inJoin} {
		if kind == d.kind(a) {
			return d, a
		}
	}
	if a == v1beta4 {
		return otherKinds[kind], a
	}
	return 0, a
}

// newest is the latest version of the API among the documents.
func (r *reader) newest() (newest api) {
	for _, doc := range r.docs {
		newest = max(newest, doc.api)
	}
	return newest
}

// configs reads the documents of each command.
func (r *reader) configs() (configs []Config) {
	if r.docs[inInit] != nil || r.docs[inCluster] != nil {
		c := Config{Version: r.version, Init: &Init{}, APIServer: &APIServer{}}
		r.components()
		r.config(&c)
		r.others(&c)
		r.dropImpliedInit(&c)
		configs = append(configs, r.finished(c, inInit|inCluster))
	}
	if r.docs[inJoin] != nil {
		c := Config{Version: r.version, Join: &Join{}}
		r.config(&c)
		if len(configs) == 0 {
			r.others(&c)
		}
		r.dropImpliedJoin(&c)
		configs = append(configs, r.finished(c, inJoin))
	}
	return configs
}

// finished names the version of the API if it is not the one that is written for
// the Config's version of Kubernetes.
func (r *reader) finished(c Config, in docSet) Config {
	var newest api
	for d, doc := range r.docs {
		if d&in != 0 {
			newest = max(newest, doc.api)
		}
	}
	if own := apiFor(c.Version); own != 0 && own != newest {
		c.APIVersion = newest.String()
	}
	return c
}

// components takes out of the components' documents what only objects of the API
// have, which kubeadm passes over.
func (r *reader) components() {
	for _, d := range []docSet{inKubelet, inKubeProxy} {
		doc := r.docs[d]
		if doc == nil {
			continue
		}
		if metadata, found := doc.fields["metadata"]; found {
			r.leftBelow(doc, "metadata", metadata)
			delete(doc.fields, "metadata")
		}
	}
}

// others keeps the documents of kubeadm's other commands.
func (r *reader) others(c *Config) {
	for _, d := range []docSet{inReset, inUpgrade} {
		if doc := r.docs[d]; doc != nil {
			c.Others = append(c.Others, Document{APIVersion: doc.apiVersion, Kind: doc.kind, Fields: doc.fields})
			delete(r.docs, d)
		}
	}
}

// config takes every field that the mappings know out of the documents.
func (r *reader) config(c *Config) {
	r.objects(c)
	r.before(c)
	for _, l := range fieldMappings {
		for _, from := range l.at {
			if !from.implied && !from.writeOnly && from.docs&c.roles() != 0 {
				r.take(c, l, from)
			}
		}
	}
	r.after(c)
}

// before reads what decides how other fields are read.
func (r *reader) before(c *Config) {
	if cluster, at := r.docs[inCluster], "etcd"; cluster != nil && c.Init != nil {
		etcd, _ := cluster.fields[at].(map[string]any)
		if etcd["external"] != nil && etcd["local"] != nil {
			r.refuse(cluster, at, "has external and local, which exclude each other: kubeadm takes one of them")
		}
	}
	master := r.docs[inInit]
	if c.Init != nil && master != nil && master.api <= v1alpha2 {
		etcd, _ := master.fields["etcd"].(map[string]any)
		endpoints, _ := etcd["endpoints"].([]any)
		switch {
		case master.api == v1alpha1 && len(endpoints) > 0:
			c.Init.Etcd = &ExternalEtcd{}
		case master.api == v1alpha2 && etcd["external"] != nil && etcd["local"] != nil:
			r.refuse(master, "etcd", "has external and local, which exclude each other: kubeadm takes one of them")
		}
	}
	if join := r.docs[inJoin]; c.Join != nil && join.api >= v1beta1 {
		discovery, _ := join.fields["discovery"].(map[string]any)
		if discovery["bootstrapToken"] != nil && discovery["file"] != nil {
			r.refuse(join, "discovery", "has bootstrapToken and file, which exclude each other: kubeadm takes one of them")
		}
	}
}

// after reads what a version has in fields of another kind.
func (r *reader) after(c *Config) {
	if join := r.docs[inJoin]; c.Join != nil && join.api <= v1alpha3 {
		r.oldTokens(c, join)
	}
	master := r.docs[inInit]
	if c.Init == nil || master == nil || master.api != v1alpha1 {
		return
	}
	r.idleEtcd(c, master)
	if c.Init.Endpoint != "" && c.APIServer.Port != 0 {
		c.Init.Endpoint = net.JoinHostPort(c.Init.Endpoint, strconv.Itoa(c.APIServer.Port))
	}
	// From cmd/kubeadm/app/apis/kubeadm/v1alpha1/conversion.go of 1.11.
	if modes, err := listOf(master.fields["authorizationModes"]); err == nil && len(modes) > 0 {
		delete(master.fields, "authorizationModes")
		if !slices.Equal(modes, []string{"Node", "RBAC"}) {
			c.Init.APIServer.Args = c.Init.APIServer.Args.With("authorization-mode", strings.Join(modes, ","))
		}
	}
	if provider, _ := master.fields["cloudProvider"].(string); provider != "" {
		delete(master.fields, "cloudProvider")
		const arg = "cloud-provider"
		c.Init.APIServer.Args = c.Init.APIServer.Args.With(arg, provider)
		c.Init.ControllerManager.Args = c.Init.ControllerManager.Args.With(arg, provider)
		c.Registration.KubeletArgs = c.Registration.KubeletArgs.With(arg, provider)
	}
}

// idleEtcd drops what v1alpha1 has beside an external etcd's endpoints for one that
// kubeadm runs itself: it makes no use of it, and fills in the directory.
func (r *reader) idleEtcd(c *Config, master *sourceDoc) {
	if c.Init.Etcd == nil {
		return
	}
	l := &c.Init.LocalEtcd
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"dataDir", l.DataDir != "" && l.DataDir != hostpath.StackedEtcdData}, {"image", l.Image != ""}, {"extraArgs", len(l.Args) > 0},
		{"serverCertSANs", len(l.ServerCertSANs) > 0}, {"peerCertSANs", len(l.PeerCertSANs) > 0},
	} {
		if f.set {
			r.warn(master, "etcd."+f.name, "is without effect beside etcd.endpoints: it is left out")
		}
	}
	*l = LocalEtcd{}
}

// oldTokens reads the tokens of the versions up to v1alpha3, where one is for
// two uses.
func (r *reader) oldTokens(c *Config, join *sourceDoc) {
	discovery, err := contentCodec.dec(cmp.Or[any](join.fields["discoveryToken"], ""))
	if err != nil {
		r.refuse(join, "discoveryToken", "%v", err)
		return
	}
	delete(join.fields, "discoveryToken")
	both := c.Token
	if discovery.Len() > 0 {
		c.Token = discovery
		if c.Join.TLSBootstrapToken.Len() == 0 && !both.Equal(discovery) {
			c.Join.TLSBootstrapToken = both
		}
	}
	if c.Join.File == "" {
		return
	}
	if c.Join.TLSBootstrapToken.Len() == 0 {
		c.Join.TLSBootstrapToken = both
	}
	c.Token = quorate.Content{}
	idle := func(set bool, name string) {
		if set {
			r.warn(join, name, "is without effect beside discoveryFile: it is left out")
		}
	}
	j := c.Join
	idle(discovery.Len() > 0, "discoveryToken")
	idle(j.Endpoint != "", "discoveryTokenAPIServers")
	idle(len(j.CAHashes) > 0, "discoveryTokenCACertHashes")
	idle(j.UnsafeSkipCAVerification, "discoveryTokenUnsafeSkipCAVerification")
	j.Endpoint, j.OtherEndpoints, j.CAHashes, j.UnsafeSkipCAVerification = "", nil, nil, false
}

// dropImpliedInit drops what the file says just as kubeadm fills it in, which files
// that kubeadm has written are full of. Whatever differs from that stays, to be
// warned of. From SetDefaults in cmd/kubeadm/app/apis/kubeadm and
// cmd/kubeadm/app/componentconfigs.
func (r *reader) dropImpliedInit(c *Config) {
	if c.Init.DNS.Type == "CoreDNS" {
		c.Init.DNS.Type = ""
	}
	if c.Init.AuditPolicy.LogDir == "/var/log/kubernetes/audit" && c.Init.AuditPolicy.Path == "" {
		c.Init.AuditPolicy.LogDir = ""
	}
	if age := c.Init.AuditPolicy.LogMaxAge; age != nil && *age == 2 {
		c.Init.AuditPolicy.LogMaxAge = nil
	}
	dropTimeout(&c.Timeouts)
	dropIf(c.Init.KubeProxy, "clusterCIDR", joinPrefixes(c.Init.Pods), "")
	dropIf(c.Init.KubeProxy, "clientConnection.kubeconfig", "/var/lib/kube-proxy/kubeconfig.conf", "")
	dropIf(c.Init.KubeProxy, "hostnameOverride", "")
	for path := range kubeProxySchema.values {
		dropIf(c.Init.KubeProxy, path, "")
	}
	dropIf(c.Init.Kubelet, "staticPodPath", hostpath.Manifests, "")
	dropIf(c.Init.Kubelet, "clusterDomain", cmp.Or(c.Init.DNSDomain, "cluster.local"), "")
	dropIf(c.Init.Kubelet, "containerRuntimeEndpoint", "")
	for path := range kubeletSchema.values {
		dropIf(c.Init.Kubelet, path, "")
	}
}

func (r *reader) dropImpliedJoin(c *Config) {
	if c.Join.TLSBootstrapToken.Equal(c.Token) {
		c.Join.TLSBootstrapToken = quorate.Content{}
	}
	if c.Join.CACertPath == hostpath.KubernetesCA {
		c.Join.CACertPath = ""
	}
	c.Join.File = strings.TrimPrefix(c.Join.File, "file://")
	if c.Join.WorkerPort == defaultBindPort {
		c.Join.WorkerPort = 0
	}
	dropTimeout(&c.Timeouts)
	dropIf(r.docs[inJoin].fields, "clusterName", "kubernetes")
}

// defaultBindPort is kubeadm's, from DefaultAPIBindPort.
const defaultBindPort = 6443

// dropTimeout drops the one that no kubeadm init or join waits for.
func dropTimeout(t *Timeouts) {
	if t.UpgradeManifests != nil && *t.UpgradeManifests == defaultUpgradeManifests {
		t.UpgradeManifests = nil
	}
}

// dropIf drops the field at a path if it has one of the values.
func dropIf(m map[string]any, path string, values ...string) {
	names := strings.Split(path, ".")
	below := m
	for _, name := range names[:len(names)-1] {
		below, _ = below[name].(map[string]any)
	}
	switch v := below[names[len(names)-1]].(type) {
	case string, json.Number:
		if slices.Contains(values, fmt.Sprint(v)) {
			take(m, path)
		}
	}
}

// objects refuses what has another value where a version has an object.
func (r *reader) objects(c *Config) {
	for _, l := range fieldMappings {
		for _, from := range l.at {
			if from.implied || from.docs&c.roles() == 0 {
				continue
			}
			if doc := r.docHolding(from, *c); doc != nil {
				r.objectsAbove(doc, from.path)
			}
		}
	}
	r.refused = distinct(r.refused)
}

func (r *reader) objectsAbove(doc *sourceDoc, path string) {
	names := strings.Split(path, ".")
	below := doc.fields
	for i, name := range names[:len(names)-1] {
		v, found := below[name]
		if !found {
			return
		}
		object, ok := v.(map[string]any)
		if !ok {
			r.refuse(doc, strings.Join(names[:i+1], "."), "%v", misread("an object"))
			return
		}
		below = object
	}
}

// take reads one field from the one document that has it.
func (r *reader) take(c *Config, l fieldMapping, from location) {
	for _, d := range fileOrder {
		doc := r.docs[d]
		if doc == nil || !from.holds(r.apiOf(doc)) {
			continue
		}
		if d == inInit && doc.api <= v1alpha2 && from.docs&inCluster != 0 && from.docs&inInit == 0 {
			d = inCluster // one document there, and the field is the cluster's
		}
		if from.docs&d == 0 || d&c.roles() == 0 {
			continue
		}
		v, found := any(doc.fields), len(doc.fields) > 0
		switch {
		case from.presence:
			v, found = peek(doc.fields, from.path)
		case l.absent != nil && l.absent(c):
			continue
		case from.path != "":
			v, found = take(doc.fields, from.path)
		default:
			delete(r.docs, d)
		}
		if !found || v == nil {
			continue
		}
		if l.field == "version" {
			v = r.release(c, doc, v)
		}
		if err := l.read(c, from, v); err != nil {
			r.misread(doc, from.path, err)
		}
		if text, ok := v.(string); ok && inTexts(l.field) {
			r.texts[textKey{c.Join != nil, l.field}] = text
		}
	}
}

// textKey is a field of the Config of kubeadm join, or of that of kubeadm init.
type textKey struct {
	join  bool
	field string
}

// inTexts reports whether a field is of addresses.
func inTexts(field string) bool {
	return slices.Contains([]string{"init.pods", "init.services", "apiServer.address", "join.workerAddress"}, field)
}

// keepTexts writes addresses as the file has them, as kubeadm does, where nothing
// but Quorate's form of them differs. Zeros in front of IPv4's parts are dropped,
// which not every version takes.
func (r *reader) keepTexts(c Config, docs documents, a api) {
	for _, l := range fieldMappings {
		text := r.texts[textKey{c.Join != nil, l.field}]
		if text == "" || !inTexts(l.field) {
			continue
		}
		for part := range strings.SplitSeq(text, ",") {
			addr, _, _ := strings.Cut(part, "/")
			if _, err := netip.ParseAddr(addr); err != nil {
				text = ""
			}
		}
		if where, why := l.location(&c, a); why == "" && !where.implied && text != "" {
			d := where.only(c.roles(), a)
			if _, written := peek(docs[d], where.path); written {
				docs.set(d, where.path, text)
			}
		}
	}
}

// apiOf is the version of the API that has a component's document.
func (r *reader) apiOf(doc *sourceDoc) api {
	if doc.api != 0 {
		return doc.api
	}
	return max(r.newest(), v1alpha3)
}

func (l fieldMapping) read(c *Config, from location, v any) (err error) {
	if from.from != nil {
		if v, err = from.from(v); err != nil || v == nil {
			return err
		}
	}
	return l.put(c, v)
}

var (
	// releasePattern and labelPattern follow cmd/kubeadm/app/util/version.go.
	releasePattern = regexp.MustCompile(`\A(v?(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*))([-\w.+]*)\z`)
	labelPattern   = regexp.MustCompile(`\A((ci|ci-cross|release|k8s-release)/)?(k8s-)?((latest|stable)(-[0-9]+(\.[0-9]+)?)?(\.txt)?|v?1\.[0-9]+\.[0-9]+[-\w.+]*)\z`)
)

// release is an exact version as the model has it. What kubeadm would look up on
// the network becomes the version that the file is read with.
func (r *reader) release(c *Config, doc *sourceDoc, v any) any {
	const at = "kubernetesVersion"
	text, ok := v.(string)
	if !ok {
		return v
	}
	if text == "" {
		return c.Version.String()
	}
	if _, err := quorate.ParseVersion(text); err == nil {
		return text
	}
	if exact := releasePattern.FindStringSubmatch(text); exact != nil {
		// What is before a + says which release comes first, as kubeadm compares them.
		release, _, _ := strings.Cut(text, "+")
		if _, err := quorate.ParseVersion(release); err != nil {
			release = exact[1]
		}
		r.warn(doc, at, "is a build of %s, which takes its place: a version has no field for the rest", release)
		return release
	}
	if !labelPattern.MatchString(text) {
		return v
	}
	if c.Version.IsZero() {
		r.warn(doc, at, "is a label that kubeadm looks up on the network: the version is not known")
	} else {
		r.warn(doc, at, "is a label that kubeadm looks up on the network: %s takes its place", c.Version)
	}
	return c.Version.String()
}

// left are the fields that no mapping has taken, but for those that say nothing.
func (r *reader) left() quorate.Problems {
	for _, doc := range r.strange {
		r.notes = append(r.notes, quorate.Problem{
			Path: shownName(doc.kind), Line: doc.line, Severity: quorate.Warned,
			Message: "a document of this kind has no place here: it is left out",
		})
	}
	for _, d := range fileOrder {
		doc := r.docs[d]
		if doc == nil || len(doc.fields) == 0 {
			continue
		}
		if d == inKubelet || d == inKubeProxy {
			r.warn(doc, "", "has no place beside a JoinConfiguration, where kubeadm passes over it: it is left out")
			continue
		}
		r.leftBelow(doc, "", doc.fields)
	}
	return r.notes
}

func (r *reader) leftBelow(doc *sourceDoc, at string, v any) {
	if m, ok := v.(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			r.leftBelow(doc, strings.TrimPrefix(at+"."+name, "."), m[name])
		}
		return
	}
	if !saysNothing(v) {
		r.warn(doc, at, "has no field here: it is left out")
	}
}

// saysNothing reports whether a value is what its absence means, as kubeadm's
// own printed configurations are full of.
func saysNothing(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, below := range v {
			if !saysNothing(below) {
				return false
			}
		}
		return true
	case json.Number:
		return v.String() == "0"
	}
	return v == nil || reflect.ValueOf(v).IsZero()
}

// located puts into problems of a Config the paths of the file, and their lines.
func (r *reader) located(problems quorate.Problems, c Config) quorate.Problems {
	for i, p := range problems {
		doc, path := r.locate(p.Path, c)
		if from := madeFrom[p.Path]; doc == nil && from != "" {
			doc, path = r.locate(from, c)
		}
		if doc != nil {
			problems[i] = problemAt(doc, path, p.Severity, p.Message)
		}
	}
	return problems
}

// madeFrom are the fields that convert makes others from.
var madeFrom = map[string]string{
	"init.dns.type":                  key("init.featureGates", coreDNSGate),
	"init.localEtcd.imageRepository": "init.localEtcd.image",
	"init.localEtcd.imageTag":        "init.localEtcd.image",
	"init.useHyperKubeImage":         "init.unifiedControlPlaneImage",
}

var keyInPath = regexp.MustCompile(`\["((?:\\.|[^"\\])*)"\]`)

// locate finds where the file has a field of the Config, or would have it.
func (r *reader) locate(field string, c Config) (*sourceDoc, string) {
	if item, found := tokenItem(field); c.Init != nil && found {
		if doc := r.docHolding(at(v1alpha2, v1beta4, inInit, tokenList), c); doc != nil {
			return doc, tokenList + item
		}
	}
	var best *sourceDoc
	var path, name string
	for _, l := range fieldMappings {
		if field != l.field && !strings.HasPrefix(field, l.field+".") && !strings.HasPrefix(field, l.field+"[") || len(l.field) < len(name) {
			continue
		}
		for _, at := range l.at {
			doc := r.docHolding(at, c)
			if doc != nil && (best == nil || len(l.field) > len(name)) {
				best, path, name = doc, at.path, l.field
			}
		}
	}
	if best == nil {
		return nil, ""
	}
	if path == "discoveryTokenAPIServers" {
		return best, path + endpointItem(field)
	}
	rest := keyInPath.ReplaceAllStringFunc(field[len(name):], func(k string) string {
		text, err := strconv.Unquote(k[1 : len(k)-1])
		if err != nil {
			return ""
		}
		return "." + text
	})
	return best, strings.TrimPrefix(path+rest, ".")
}

const tokenList = "bootstrapTokens"

var otherTokens = regexp.MustCompile(`\Ainit\.otherTokens\[(\d+)\]`)

// tokenItem is the place in the list of tokens of a field of the Config that is in
// it; the whole list for all but the first.
func tokenItem(field string) (item string, found bool) {
	switch rest, first := strings.CutPrefix(field, "init.token"); {
	case field == "token":
		return "[0].token", true
	case field == "init.otherTokens":
		return "", true
	case field == "init.tokenTTL":
		return "[0].ttl", true
	case first && rest != "":
		return "[0]." + strings.ToLower(rest[:1]) + rest[1:], true
	}
	if at := otherTokens.FindStringSubmatch(field); at != nil {
		return "[" + next(at[1]) + "]" + field[len(at[0]):], true
	}
	return "", false
}

// endpointItem is the place of an endpoint in the list of them; the whole list for
// all but the first.
func endpointItem(field string) string {
	if index, found := strings.CutPrefix(field, "join.otherEndpoints["); found {
		return "[" + next(strings.TrimSuffix(index, "]")) + "]"
	}
	if field == "join.endpoint" {
		return "[0]"
	}
	return ""
}

// next is the number after one in a path that this package has written.
func next(index string) string {
	n, _ := strconv.Atoi(index)
	return strconv.Itoa(n + 1)
}

func (r *reader) docHolding(at location, c Config) *sourceDoc {
	if at.implied || at.docs&c.roles() == 0 {
		return nil
	}
	for _, d := range fileOrder {
		doc := r.all[d]
		if doc == nil || d&c.roles() == 0 || !at.holds(r.apiOf(doc)) {
			continue
		}
		if at.docs&d != 0 || d == inInit && doc.api <= v1alpha2 && at.docs&inCluster != 0 {
			return doc
		}
	}
	return nil
}
