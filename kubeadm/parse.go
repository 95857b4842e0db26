package kubeadm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
)

// Parse reads a file that kubeadm reads, of any version of its API from v1alpha1
// to v1beta4: the documents of kubeadm init, or that of kubeadm join. version is
// that of the kubeadm which reads it, for a file that does not say it; zero if
// that is not known, and then so is the Config's.
//
// What the file says and a Config has no field for is not lost: it is among the
// problems, as a warning at the path where it stands, "JoinConfiguration.caCertPath",
// without its value, which may be a secret. The error is a *quorate.InvalidError
// for a file that is no such file: YAML that cannot be read, a key that stands
// twice, a value of another form than its field's, documents that do not belong
// together.
func Parse(data []byte, version quorate.Version) (Config, quorate.Problems, error) {
	const what = "kubeadm configuration file"
	var refused quorate.Problems
	r := reader{version: version}
	r.read(data, &refused)
	if err := refused.Err(what); err != nil {
		return Config{}, nil, err
	}
	c := r.config(&refused)
	if err := refused.Err(what); err != nil {
		return Config{}, nil, err
	}
	return c, r.left(), nil
}

// Migrate reads a file as Parse does, and writes it for another version of
// Kubernetes, earlier or later. kubernetesVersion becomes that version. The
// problems are those of Parse, which are lost in what is written, and what the
// new version makes questionable. The error is that of Parse, or names what the
// new version cannot express. It is not an upgrade: images, sockets and taints
// stay as they were.
//
// What it writes means what "kubeadm config migrate" of that version would write,
// field for field, where that takes the file, but for kubernetesVersion and for
// what that loses: that there are to be no taints (until 1.14), the documents of
// the kubelet and kube-proxy (from 1.16 on), timeouts (1.30 of v1beta3, 1.31 to
// 1.36 of v1beta4), and, of v1alpha1, imagePullPolicy, for which the error is.
func Migrate(data []byte, to quorate.Version) (quorate.Content, quorate.Problems, error) {
	c, problems, err := Parse(data, to)
	if err != nil {
		return quorate.Content{}, nil, err
	}
	c.Version, c.APIVersion = to, ""
	problems = append(problems, c.outdated()...)
	text, err := c.YAML()
	return text, problems, err
}

// outdated warns of values whose time has passed at the Config's version.
func (c Config) outdated() quorate.Problems {
	var p quorate.Problems
	if quorate.IsDockershim(c.Registration.CRISocket) && !c.Version.Has(quorate.Dockershim) {
		p.Warn("registration.criSocket", "kubelets drive Docker by themselves %s: give the socket of the runtime that takes its place", quorate.Dockershim.When())
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

// reader is a file on its way to a Config.
type reader struct {
	version quorate.Version
	api     api
	docs    documents
	// strange are documents of kinds that a Config has no place for.
	strange []string
}

// read takes the file apart into documents by their kinds.
func (r *reader) read(data []byte, p *quorate.Problems) {
	r.docs = documents{}
	for i, text := range splitDocuments(data) {
		doc, err := readDocument(text)
		if err != nil {
			p.Refuse(fmt.Sprintf("document %d", i+1), "%v", err)
			continue
		}
		if doc != nil {
			r.add(doc, p)
		}
	}
	switch given := r.docs[inJoin] != nil; {
	case len(*p) > 0:
	case r.api == 0:
		p.Refuse("", "no document of kubeadm's configuration in it: want kind InitConfiguration, ClusterConfiguration, JoinConfiguration, MasterConfiguration or NodeConfiguration")
	case given && (r.docs[inInit] != nil || r.docs[inCluster] != nil):
		p.Refuse(inJoin.kind(r.api), "stands beside the documents of kubeadm init: give one file for each node")
	}
}

func (r *reader) add(doc map[string]any, p *quorate.Problems) {
	group, _ := doc["apiVersion"].(string)
	kind, _ := doc["kind"].(string)
	delete(doc, "apiVersion")
	delete(doc, "kind")
	where := r.docOf(group, kind)
	switch {
	case group == "" || kind == "":
		p.Refuse(kind, "has no apiVersion or no kind")
	case where == 0:
		r.strange = append(r.strange, kind)
	case r.docs[where] != nil:
		p.Refuse(kind, "stands twice in the file")
	case where == inKubelet || where == inKubeProxy:
		r.docs[where] = doc
	case r.api != 0 && r.api != apiNamed(group):
		p.Refuse(kind, "is of %s, another document of %s: kubeadm reads one version at a time", group, r.api.groupVersion())
	default:
		r.api = apiNamed(group)
		r.docs[where] = doc
	}
}

// docOf finds the place of a document, zero if a Config has none for it.
func (r *reader) docOf(group, kind string) docSet {
	for _, d := range []docSet{inKubelet, inKubeProxy} {
		if kind == d.kind(0) && group == d.groupVersion(0) {
			return d
		}
	}
	a := apiNamed(group)
	if a == 0 || group != a.groupVersion() {
		return 0
	}
	for _, d := range []docSet{inInit, inCluster, inJoin} {
		if kind == d.kind(a) {
			return d
		}
	}
	return 0
}

// config takes every field that the fieldMappings know out of the documents.
func (r *reader) config(p *quorate.Problems) Config {
	c := Config{Version: r.version}
	if r.docs[inJoin] != nil {
		c.Join = &Join{}
		if joinsControlPlane(r.docs[inJoin], r.api) {
			c.APIServer = &APIServer{}
		} else if r.api == v1alpha3 {
			delete(r.docs[inJoin], "apiEndpoint") // kubeadm gives workers one too, and makes no use of it
		}
	} else {
		c.Init, c.APIServer = &Init{}, &APIServer{}
	}
	for _, l := range fieldMappings {
		for _, from := range l.at {
			if from.implied || !from.holds(r.api) || from.docs&c.roles() == 0 {
				continue
			}
			r.take(&c, l, from, p)
		}
	}
	r.dropImplied(&c)
	if r.api == v1alpha1 && c.Init != nil && c.Init.Endpoint != "" && c.APIServer.Port != 0 {
		c.Init.Endpoint = net.JoinHostPort(c.Init.Endpoint, strconv.Itoa(c.APIServer.Port))
	}
	if own := apiFor(c.Version); own != 0 && own != r.api {
		c.APIVersion = r.api.String()
	}
	return c
}

// dropImplied drops what the file says just as kubeadm fills it in, which files
// that kubeadm has written are full of. Whatever differs from that stays, to be
// warned of or refused. From SetDefaults in cmd/kubeadm/app/apis/kubeadm and
// cmd/kubeadm/app/componentconfigs.
func (r *reader) dropImplied(c *Config) {
	for _, d := range []docSet{inInit, inJoin} {
		dropIf(r.docs[d], "timeouts.upgradeManifests", "5m0s")
	}
	if c.Join != nil {
		token := string(c.Token.Bytes())
		for _, path := range []string{"discoveryToken", "tlsBootstrapToken", "discovery.tlsBootstrapToken"} {
			dropIf(r.docs[inJoin], path, token)
		}
		dropIf(r.docs[inJoin], "caCertPath", hostpath.KubernetesCA)
		dropIf(r.docs[inJoin], "clusterName", "kubernetes")
		return
	}
	for _, d := range []docSet{inInit, inCluster} { // one document until v1alpha2
		dropIf(r.docs[d], "auditPolicy.logDir", "/var/log/kubernetes/audit")
		dropIf(r.docs[d], "auditPolicy.logMaxAge", "2")
		dropIf(r.docs[d], "dns.type", "CoreDNS")
	}
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

// joinsControlPlane reports whether a joining node becomes a control plane.
func joinsControlPlane(doc map[string]any, a api) bool {
	v, given := doc["controlPlane"]
	if a == v1alpha3 {
		return v == true
	}
	return given && a > v1alpha3
}

// take reads one field from the one document that has it.
func (r *reader) take(c *Config, l fieldMapping, from location, p *quorate.Problems) {
	for _, d := range fileOrder {
		in := r.docs[d]
		if d == inInit && r.api <= v1alpha2 && from.docs&inCluster != 0 && from.docs&inInit == 0 {
			d = inCluster // one document there, and the field is the cluster's
		}
		if in == nil || from.docs&d == 0 {
			continue
		}
		v, found := any(in), len(in) > 0
		if from.path != "" {
			v, found = take(in, from.path)
		} else {
			delete(r.docs, d)
		}
		if !found || v == nil {
			continue
		}
		at := strings.TrimSuffix(d.kind(r.api)+"."+from.path, ".")
		if from.from != nil {
			var err error
			if v, err = from.from(v); err != nil {
				p.Refuse(at, "%v", err)
				continue
			}
		}
		if err := l.put(c, v); err != nil {
			p.Refuse(at, "%v", err)
		}
	}
}

// left are the fields that no fieldMapping has taken, but for those that say nothing.
func (r *reader) left() quorate.Problems {
	var p quorate.Problems
	for _, kind := range r.strange {
		p.Warn(kind, "a document of this kind has no place here: it is left out")
	}
	for _, d := range fileOrder {
		if r.docs[d] != nil {
			leftBelow(&p, d.kind(r.api), r.docs[d])
		}
	}
	return p
}

func leftBelow(p *quorate.Problems, at string, v any) {
	if m, ok := v.(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			leftBelow(p, at+"."+name, m[name])
		}
		return
	}
	if saysNothing(v) {
		return
	}
	p.Warn(at, "has no field here: it is left out")
}

// saysNothing reports whether a value is what its absence means, as kubeadm's
// own printed configurations are full of.
func saysNothing(v any) bool {
	if list, ok := v.([]any); ok {
		return len(list) == 0
	}
	return v == nil || reflect.ValueOf(v).IsZero()
}

// splitDocuments cuts at the lines that YAML begins a document with.
func splitDocuments(data []byte) [][]byte {
	var out [][]byte
	begin := 0
	for at := 0; at < len(data); {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if line := data[at:end]; bytes.HasPrefix(line, []byte("---")) && (len(bytes.TrimSpace(line)) == 3 || line[3] == ' ' || line[3] == '\t') {
			out = append(out, data[begin:at])
			begin = at + 3
		}
		at = end
	}
	return append(out, data[begin:])
}

// readDocument gives a document's fields, nil for an empty one.
func readDocument(text []byte) (map[string]any, error) {
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, errNoYAML(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	switch doc := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return doc, nil
	}
	return nil, errors.New("want fields with values")
}

// errNoYAML keeps of the parser's complaint what quotes nothing of the text.
func errNoYAML(err error) error {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		line = strings.TrimSpace(line)
		if at := strings.Index(line, "line "); at >= 0 {
			place, reason, _ := strings.Cut(line[at:], ": ")
			if key := strings.Index(reason, "already set in map"); key >= 0 {
				return fmt.Errorf("%s: a key stands twice", place)
			}
			return fmt.Errorf("%s: it cannot be read as YAML", place)
		}
	}
	return errors.New("it cannot be read as YAML")
}
