package kubeadm

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/quorate-dev/quorate"
)

// faults is everything for which kubeadm of the Config's version would refuse the
// file or stop at it, from cmd/kubeadm/app/apis/kubeadm/validation of a release of
// every minor, and what YAML cannot hold.
func (c Config) faults() quorate.Problems {
	var p quorate.Problems
	if apiFor(c.Version) == 0 {
		p.Refuse("version", "no kubeadm configuration for Kubernetes %q: want 1.%d to 1.%d", c.Version, quorate.MinMinor, quorate.MaxMinor)
	}
	notText(&p, "", reflect.ValueOf(c))
	if (c.Init == nil) == (c.Join == nil) {
		p.Refuse("", "set exactly one of init and join")
		return p
	}
	c.Registration.faults(&p, c.Version, c.worker())
	c.APIServer.faults(&p)
	if c.Token.Len() > 0 && !tokenPattern.Match(c.Token.Bytes()) {
		p.Refuse("token", "%s", tokenForm)
	}
	if c.CertificateKey.Len() > 0 && c.Version.Has(quorate.CertificateKeysChecked) && !certificateKeyTaken.Match(c.CertificateKey.Bytes()) {
		p.Refuse("certificateKey", "%s", certificateKeyForm)
	}
	if c.Join != nil {
		c.Join.faults(&p, c)
		if c.CertificateKey.Len() > 0 && c.APIServer == nil {
			p.Refuse("certificateKey", "it makes a control plane of the node, and there is no apiServer: set it, or leave the key out")
		}
		return p
	}
	if c.APIServer == nil {
		p.Refuse("apiServer", "init makes a control plane: set its address and port")
	}
	c.Init.faults(&p, c.Version)
	// Later versions of the API have no field for it, which is said elsewhere.
	if a, _ := chooseAPI(c.APIVersion, c.Version); a <= v1beta2 && c.Init.DNS.Type == kubeDNS && c.Version.Has(quorate.CoreDNSOnly) {
		p.Refuse("init.dns.type", "kubeadm runs kube-dns no more, %s: leave it out", quorate.CoreDNSOnly.When())
	}
	return p
}

const notUTF8 = "not UTF-8, which a file cannot hold as it is"

// notText refuses text that no file can hold as it is: everything in it is UTF-8.
func notText(p *quorate.Problems, at string, v reflect.Value) {
	notTextBelow(p, at, v, 0)
}

// deepest is how far down values are looked at: what contains itself has no end,
// and is refused where it is written.
const deepest = 1000

func notTextBelow(p *quorate.Problems, at string, v reflect.Value, depth int) {
	if depth > deepest {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			p.Refuse(at, notUTF8)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			notTextBelow(p, at, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				notTextBelow(p, strings.TrimPrefix(at+"."+fieldName(f.Name), "."), v.Field(i), depth+1)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			notTextBelow(p, fmt.Sprintf("%s[%d]", at, i), v.Index(i), depth+1)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			if !utf8.ValidString(k.String()) {
				p.Refuse(at, "a name in it is not UTF-8, which a file cannot hold as it is")
				continue
			}
			notTextBelow(p, key(at, k.String()), v.MapIndex(k), depth+1)
		}
	}
}

// fieldName is a field of Config as paths have it.
func fieldName(name string) string {
	for i, r := range name {
		if r < 'A' || r > 'Z' {
			head := max(i-1, 1)
			return strings.ToLower(name[:head]) + name[head:]
		}
	}
	return strings.ToLower(name)
}

// worker reports whether the Config is of a node without an API server.
func (c Config) worker() bool { return c.Join != nil && c.APIServer == nil }

// unworkable is what kubeadm takes and no host can work with, or none but one that
// is made for it.
func (c Config) unworkable() quorate.Problems {
	var p quorate.Problems
	if s := c.Registration.CRISocket; s != "" && !isPlace(s, c.Version, c.worker()) {
		p.Refuse("registration.criSocket", "%q: want a socket, as in unix:///run/containerd/containerd.sock", s)
	}
	c.Registration.checkPullPolicy(&p)
	// Others of loopback's network pass: programs describe hosts of one machine by them, and
	// simulate kubeadm, as examples/quickstart does. No host of its own has one.
	if c.APIServer != nil && slices.Contains([]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, c.APIServer.Address.Unmap()) {
		p.Refuse("apiServer.address", "%s: kubeadm puts another address in its place, until 1.16 that of the default route, later one of the interface lo, and stops if there is none: set the node's own", c.APIServer.Address)
	}
	switch {
	case c.Join != nil && c.Join.File == "":
		for i, endpoint := range append([]string{c.Join.Endpoint}, c.Join.OtherEndpoints...) {
			if host, port, err := net.SplitHostPort(endpoint); err == nil {
				checkHost(&p, joinEndpoint(i), endpoint, host, cmp.Or(port, "none"))
			}
		}
	case c.Init != nil:
		if e := c.Init.Etcd; e != nil && len(e.Endpoints) == 0 {
			p.Refuse("init.etcd.endpoints", noEndpoints)
		} else if e != nil {
			checkSchemes(&p, "init.etcd.endpoints", e.Endpoints, "https", "http", "unix", "unixs")
			checkSchemes(&p, "init.etcd.httpEndpoints", e.HTTPEndpoints, "https", "http")
		}
		for _, env := range []struct {
			at string
			of []EnvVar
		}{
			{"init.apiServer.env", c.Init.APIServer.Env}, {"init.controllerManager.env", c.Init.ControllerManager.Env},
			{"init.scheduler.env", c.Init.Scheduler.Env}, {"init.localEtcd.env", c.Init.LocalEtcd.Env},
		} {
			checkEnv(&p, env.at, env.of)
		}
		c.Init.checkRepositories(&p, c.Version)
	}
	return p
}

const noEndpoints = "none: the API servers would have no etcd"

// checkEnv refuses variables for which the kubelet would not run a pod.
func checkEnv(p *quorate.Problems, at string, env []EnvVar) {
	for i, e := range env {
		at := fmt.Sprintf("%s[%d]", at, i)
		switch {
		case e.Name == "":
			p.Refuse(at+".name", "a variable without a name: the kubelet would not start the pod")
		case e.ValueFrom != nil && e.Value != "":
			p.Refuse(at+".valueFrom", "a variable has a value or a source of it, not both: the kubelet would not start the pod")
		case e.ValueFrom != nil && len(e.ValueFrom) == 0:
			p.Refuse(at+".valueFrom", "no source is in it: the kubelet would not start the pod")
		}
	}
}

func joinEndpoint(i int) string {
	if i == 0 {
		return "join.endpoint"
	}
	return fmt.Sprintf("join.otherEndpoints[%d]", i-1)
}

func (r Registration) faults(p *quorate.Problems, v quorate.Version, worker bool) {
	const at = "registration"
	if name := strings.ToLower(strings.TrimSpace(r.Name)); r.Name != "" && !isSubdomain(name) {
		p.Refuse(at+".name", "%q is no lower-case RFC 1123 subdomain", r.Name)
	}
	if r.CRISocket != "" && !isSocket(r.CRISocket, v, worker) {
		p.Refuse(at+".criSocket", "%q: want a socket, as in unix:///run/containerd/containerd.sock", r.CRISocket)
	}
	argNames(p, at+".kubeletArgs", r.KubeletArgs, v)
	if v.Has(quorate.PullPoliciesChecked) {
		r.checkPullPolicy(p)
	}
}

// isSocket follows ValidateSocketPath and what kubeadm puts before a path, on the
// system that the node may have: control planes have Linux, workers also Windows.
func isSocket(socket string, v quorate.Version, worker bool) bool {
	socket = socketOf(socket, v)
	if v.Has(quorate.CRISocketURL) && !strings.HasPrefix(socket, "unix") {
		if worker && strings.HasPrefix(socket, pipeScheme) {
			return true
		}
		socket = socketScheme + socket
	}
	u, err := url.Parse(socket)
	switch {
	case !v.Has(quorate.SocketsChecked):
		return true
	case err != nil:
		return false
	case v.Has(quorate.CRISocketURL):
		return u.Scheme == "unix"
	case !v.Has(quorate.SocketURLs), u.Scheme == "":
		return path.IsAbs(socket)
	}
	return u.Scheme == "unix" || worker && u.Scheme == windowsScheme(v)
}

const pipeScheme = "npipe://"

// windowsScheme is DefaultUrlScheme of kubeadm for Windows.
func windowsScheme(v quorate.Version) string {
	if v.Has(quorate.NamedPipes) {
		return "npipe"
	}
	return "tcp"
}

// isPlace reports whether a socket is one that a program can connect to.
func isPlace(socket string, v quorate.Version, worker bool) bool {
	file, isFile := strings.CutPrefix(socket, socketScheme)
	if isFile || strings.HasPrefix(socket, "/") {
		return path.IsAbs(file)
	}
	return worker && strings.HasPrefix(socket, windowsScheme(v)+"://")
}

func (a *APIServer) faults(p *quorate.Problems) {
	if a == nil {
		return
	}
	if ip := a.Address.Unmap(); ip.IsValid() && (ip.IsMulticast() || ip.IsLinkLocalUnicast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
		p.Refuse("apiServer.address", "%s: kubeadm takes no multicast, broadcast or link-local address", a.Address)
	}
	if a.Port < 0 || a.Port > 65535 {
		p.Refuse("apiServer.port", "%d: want a port from 1 to 65535", a.Port)
	}
}

func (j *Join) faults(p *quorate.Problems, c Config) {
	if j.File != "" {
		if j.Endpoint != "" || len(j.CAHashes) > 0 || j.UnsafeSkipCAVerification || c.Token.Len() > 0 {
			p.Refuse("join.file", "kubeadm discovers the cluster by a file or by a token, not by both")
		}
		if u, err := url.Parse(j.File); err != nil || u.Scheme != "" && u.Scheme != "https" {
			p.Refuse("join.file", "want a path on the host, or an https URL")
		}
	} else {
		if c.Token.Len() == 0 {
			p.Refuse("token", "no bootstrap token: make one with NewToken")
		}
		for i, endpoint := range append([]string{j.Endpoint}, j.OtherEndpoints...) {
			if _, _, err := net.SplitHostPort(endpoint); err != nil {
				p.Refuse(joinEndpoint(i), "%q: want host:port, as in api.example.org:6443", endpoint)
			}
		}
		if len(j.CAHashes) == 0 && !j.UnsafeSkipCAVerification {
			p.Refuse("join.caHashes", "none: a joining node cannot distinguish the cluster from an impostor; set the hash of every certificate of the CA file")
		}
	}
	if j.TLSBootstrapToken.Len() > 0 && !tokenPattern.Match(j.TLSBootstrapToken.Bytes()) {
		p.Refuse("join.tlsBootstrapToken", "%s", tokenForm)
	}
	if j.CACertPath != "" && (!path.IsAbs(j.CACertPath) || !strings.HasSuffix(j.CACertPath, ".crt")) {
		p.Refuse("join.caCertPath", "%q: want an absolute path that ends in .crt", j.CACertPath)
	}
}

var (
	groupPattern        = regexp.MustCompile(`\Asystem:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]\z`)
	subdomainPattern    = regexp.MustCompile(`\A[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\z`)
	repositoryPattern   = regexp.MustCompile(`\A((` + repositoryHost + `)(:[0-9]+)?|` + repositoryPart + `)(/` + repositoryPart + `)*\z`)
	certificateKeyTaken = regexp.MustCompile(`\A[0-9A-Fa-f]{64}\z`)
)

const (
	repositoryHost = `[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[A-Fa-f0-9:]+\]`
	repositoryPart = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
)

func isSubdomain(s string) bool { return len(s) <= 253 && subdomainPattern.MatchString(s) }

func (i Init) faults(p *quorate.Problems, v quorate.Version) {
	i.tokenFaults(p)
	if i.Endpoint != "" {
		checkEndpoint(p, "init.endpoint", i.Endpoint)
	}
	i.etcdFaults(p, v)
	i.networkFaults(p, v)
	checkSANs(p, "init.certSANs", lower(i.CertSANs), v)
	if i.CertificatesDir != "" && !path.IsAbs(i.CertificatesDir) {
		p.Refuse("init.certificatesDir", "%q: want an absolute path", i.CertificatesDir)
	}
	if v.Has(quorate.RepositoriesChecked) {
		i.checkRepositories(p, v)
	}
	if i.EncryptionAlgorithm != "" {
		algorithms := []string{"RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256"}
		if v.Has(quorate.KeysP384) {
			algorithms = append(algorithms, "ECDSA-P384")
		}
		oneOf(p, "init.encryptionAlgorithm", i.EncryptionAlgorithm, algorithms...)
	}
	checkFeatureGates(p, "init.featureGates", i.FeatureGates, v)
	for _, component := range []struct {
		at string
		of Component
	}{{"init.apiServer", i.APIServer}, {"init.controllerManager", i.ControllerManager}, {"init.scheduler", i.Scheduler}} {
		argNames(p, component.at+".args", component.of.Args, v)
	}
	argNames(p, "init.localEtcd.args", i.LocalEtcd.Args, v)
	checkComponentConfig(p, "init.kubelet", i.Kubelet, kubeletSchema, v, faults)
	checkComponentConfig(p, "init.kubeProxy", i.KubeProxy, kubeProxySchema, v, faults)
}

func (i Init) checkRepositories(p *quorate.Problems, v quorate.Version) {
	for _, r := range []struct{ at, repository string }{
		{"init.imageRepository", i.ImageRepository}, {"init.dns.imageRepository", i.DNS.ImageRepository}, {"init.localEtcd.imageRepository", i.LocalEtcd.ImageRepository},
	} {
		bracketed := strings.HasPrefix(r.repository, "[") && !v.Has(quorate.BracketedRepositories)
		if r.repository != "" && (bracketed || !repositoryPattern.MatchString(r.repository)) {
			p.Refuse(r.at, "%q: want an image repository, as in registry.example.org/kubernetes", r.repository)
		}
	}
}

func (r Registration) checkPullPolicy(p *quorate.Problems) {
	if r.ImagePullPolicy != "" {
		oneOf(p, "registration.imagePullPolicy", r.ImagePullPolicy, "Always", "IfNotPresent", "Never")
	}
}

func (i Init) tokenFaults(p *quorate.Problems) {
	first := BootstrapToken{TTL: i.TokenTTL, Usages: i.TokenUsages, Groups: i.TokenGroups}
	for n, t := range append([]BootstrapToken{first}, i.OtherTokens...) {
		at := func(field string) string {
			if n == 0 {
				return "init.token" + strings.ToUpper(field[:1]) + field[1:]
			}
			return fmt.Sprintf("init.otherTokens[%d].%s", n-1, field)
		}
		if n > 0 && t.Token.Len() > 0 && !tokenPattern.Match(t.Token.Bytes()) {
			p.Refuse(at("token"), "%s", tokenForm)
		}
		for k, usage := range t.Usages {
			oneOf(p, fmt.Sprintf("%s[%d]", at("usages"), k), usage, "signing", "authentication")
		}
		for k, group := range t.Groups {
			if !groupPattern.MatchString(group) {
				p.Refuse(fmt.Sprintf("%s[%d]", at("groups"), k), "%q: want a group below system:bootstrappers:, in lower case", group)
			}
		}
		switch without := len(t.Usages) > 0 && !slices.Contains(t.Usages, "authentication"); {
		case without && len(t.Groups) > 0:
			p.Refuse(at("groups"), "a token has groups only if its usages have authentication")
		case without:
			p.Refuse(at("usages"), "kubeadm adds a group of its own, which a token has only if its usages have authentication: add it")
		}
	}
}

// checkEndpoint follows ParseHostPort in cmd/kubeadm/app/util/endpoint.go.
func checkEndpoint(p *quorate.Problems, at, endpoint string) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		host, port = endpoint, ""
	}
	if _, err := parseAddr(host); err != nil && !isSubdomain(host) {
		p.Refuse(at, "%q: want an address or a lower-case DNS name, and a port, as in api.example.org:6443", endpoint)
	} else {
		checkHost(p, at, endpoint, host, port)
	}
}

// checkHost refuses an endpoint that nothing can connect to; an empty port is one
// that is filled in.
func checkHost(p *quorate.Problems, at, endpoint, host, port string) {
	if _, err := netip.ParseAddr(host); err != nil && !isSubdomain(strings.ToLower(host)) {
		if _, err := parseAddr(host); err != nil {
			p.Refuse(at, "%q: want an address or a DNS name, and a port, as in api.example.org:6443", endpoint)
			return
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		p.Refuse(at, "%q: want a port from 1 to 65535", endpoint)
	}
}

func (i Init) etcdFaults(p *quorate.Problems, v quorate.Version) {
	l := i.LocalEtcd
	if i.Etcd == nil {
		if l.DataDir != "" && !path.IsAbs(l.DataDir) {
			p.Refuse("init.localEtcd.dataDir", "%q: want an absolute path", l.DataDir)
		}
		checkSANs(p, "init.localEtcd.serverCertSANs", l.ServerCertSANs, v)
		checkSANs(p, "init.localEtcd.peerCertSANs", l.PeerCertSANs, v)
		return
	}
	if !reflect.ValueOf(l).IsZero() {
		p.Refuse("init.localEtcd", "etcd is external or kubeadm's own, not both: leave one of them out")
	}
	e := i.Etcd
	if len(e.Endpoints) == 0 && v.Has(quorate.EtcdEndpointsWanted) {
		p.Refuse("init.etcd.endpoints", noEndpoints)
	}
	if v.Has(quorate.EtcdSchemesChecked) {
		checkURLs(p, "init.etcd.endpoints", e.Endpoints, e.CAFile != "" || e.CertFile != "" || e.KeyFile != "")
		checkURLs(p, "init.etcd.httpEndpoints", e.HTTPEndpoints, false)
	}
	if (e.CertFile == "") != (e.KeyFile == "") {
		p.Refuse("init.etcd.certFile", "a certificate and its key go together: set certFile and keyFile, or neither")
	} else if e.CertFile != "" && e.CAFile == "" {
		p.Refuse("init.etcd.caFile", "kubeadm wants it beside certFile and keyFile")
	}
	for _, f := range []struct{ at, file string }{{"caFile", e.CAFile}, {"certFile", e.CertFile}, {"keyFile", e.KeyFile}} {
		if f.file != "" && !path.IsAbs(f.file) {
			p.Refuse("init.etcd."+f.at, "%q: want an absolute path", f.file)
		}
	}
}

// checkURLs follows ValidateURLs.
func checkURLs(p *quorate.Problems, at string, urls []string, secure bool) {
	for i, text := range urls {
		here := fmt.Sprintf("%s[%d]", at, i)
		switch u, err := url.Parse(text); {
		case err != nil || u.Scheme == "":
			p.Refuse(here, "%q: want a URL, as in https://10.0.0.1:2379", text)
		case u.Scheme != "https" && secure:
			p.Refuse(here, "%q: want https, since certificates are set", text)
		}
	}
}

func lower(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.ToLower(s)
	}
	return out
}

// checkSANs takes wildcards as kubeadm of the version does.
func checkSANs(p *quorate.Problems, at string, sans []string, v quorate.Version) {
	for i, san := range sans {
		name := san
		if v.Has(quorate.WildcardSANs) {
			name = strings.TrimPrefix(san, "*.")
		}
		if _, err := parseAddr(san); err != nil && !isSubdomain(name) {
			p.Refuse(fmt.Sprintf("%s[%d]", at, i), "%q: want an address or a DNS name", san)
		}
	}
}

// Limits from cmd/kubeadm/app/constants, the same since 1.22.
const (
	leastAddresses   = 10
	mostServiceBits  = 20
	mostNodeMaskDiff = 16
)

func (i Init) networkFaults(p *quorate.Problems, v quorate.Version) {
	if i.DNSDomain != "" && !isSubdomain(i.DNSDomain) {
		p.Refuse("init.dnsDomain", "%q: want a lower-case DNS name", i.DNSDomain)
	}
	checkRanges(p, "init.pods", i.Pods, v)
	checkRanges(p, "init.services", i.Services, v)
	if !v.Has(quorate.ServiceRangesChecked) {
		return
	}
	for n, r := range i.Services {
		if r.Addr().BitLen()-r.Bits() > mostServiceBits {
			p.Refuse(fmt.Sprintf("init.services[%d]", n), "%s: want at most %d bits of it for addresses", r, mostServiceBits)
		}
	}
	if allocate, _ := i.ControllerManager.Args.Value("allocate-node-cidrs"); allocate == "false" {
		return
	}
	for n, r := range i.Pods {
		arg, mask := "node-cidr-mask-size-ipv4", 24
		if r.Addr().Is6() {
			arg, mask = "node-cidr-mask-size-ipv6", 64
		}
		at := fmt.Sprintf("init.pods[%d]", n)
		if text, set := i.ControllerManager.Args.Value(arg); set && text != "" {
			var err error
			if mask, err = strconv.Atoi(text); err != nil {
				p.Refuse(key("init.controllerManager.args", arg), "want a whole number")
				continue
			}
		}
		if r.Bits() > mask || mask-r.Bits() > mostNodeMaskDiff {
			p.Refuse(at, "%s: want from 1 to %d times the /%d of a node (argument %s of the controller manager)", r, 1<<mostNodeMaskDiff, mask, arg)
		}
	}
}

func checkRanges(p *quorate.Problems, at string, ranges []netip.Prefix, v quorate.Version) {
	if len(ranges) > 2 || len(ranges) == 2 && ranges[0].Addr().Is4() == ranges[1].Addr().Is4() {
		p.Refuse(at, "want one range, or one of each family")
	}
	if len(ranges) == 2 && !v.Has(quorate.TwoRanges) {
		p.Refuse(at, "kubeadm of Kubernetes %s takes one range: two are there %s", v, quorate.TwoRanges.When())
	}
	for i, r := range ranges {
		if bits := r.Addr().BitLen() - r.Bits(); bits < 4 && 1<<bits < leastAddresses {
			p.Refuse(fmt.Sprintf("%s[%d]", at, i), "%s: want at least %d addresses", r, leastAddresses)
		}
	}
}

func argNames(p *quorate.Problems, at string, args Args, v quorate.Version) {
	if !v.Has(quorate.ArgNamesChecked) {
		return
	}
	for i, arg := range args {
		if arg.Name == "" {
			p.Refuse(fmt.Sprintf("%s[%d].name", at, i), "an argument without a name")
		}
	}
}
