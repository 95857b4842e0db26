package kubeadm

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/syntax"
)

// Problems finds what kubeadm and the components it configures would trip over in
// a description whose forms Cluster.Problems accepts, by the description's
// field paths. Most of it kubeadm itself accepts, also in `kubeadm config
// validate`, and it fails on a host later or is silently without effect:
// unknown preflight checks and feature gates, cgroup drivers, proxy modes,
// fields of the kubelet, arguments that Quorate sets itself. Nodes runs both.
func Problems(c quorate.Cluster) quorate.Problems {
	c = c.WithDefaults()
	if apiFor(c.Version) == 0 {
		// Cluster.Problems refuses the version; the rest is judged by the newest.
		c.Version = quorate.Version{Major: 1, Minor: quorate.MaxMinor}
	}
	k := c.Kubeadm
	var p quorate.Problems
	checkEra(&p, c)
	checkExtras(&p, c)
	checkPreflightNames(&p, "kubeadm.ignorePreflightErrors", k.IgnorePreflightErrors, c.Version)
	checkFeatureGates(&p, "kubeadm.featureGates", k.FeatureGates, c.Version)
	checkArgs(&p, "kubeadm.apiServerArgs", ArgsOf(k.APIServerArgs), apiServerArgs, c.Version)
	checkArgs(&p, "kubeadm.controllerManagerArgs", ArgsOf(k.ControllerManagerArgs), controllerManagerArgs, c.Version)
	checkArgs(&p, "kubeadm.schedulerArgs", ArgsOf(k.SchedulerArgs), schedulerArgs, c.Version)
	warnUnseen(&p, "kubeadm.apiServer", k.APIServerArgs, k.APIServerVolumes, apiServerArgs)
	warnUnseen(&p, "kubeadm.controllerManager", k.ControllerManagerArgs, k.ControllerManagerVolumes, controllerManagerArgs)
	warnUnseen(&p, "kubeadm.scheduler", k.SchedulerArgs, k.SchedulerVolumes, schedulerArgs)
	if c.Version.Has(quorate.KubeletConfigFile) {
		checkComponentConfig(&p, "kubeadm.kubelet", k.Kubelet, kubeletSchema, c.Version, faults|policy)
	}
	checkComponentConfig(&p, "kubeadm.kubeProxy", k.KubeProxy, kubeProxySchema, c.Version, faults|policy)
	if k.KubeProxy["mode"] == "ipvs" && c.Version.Has(quorate.IPVSDeprecated) {
		p.Warn(key("kubeadm.kubeProxy", "mode"), "ipvs is deprecated from 1.35: nftables takes its place")
	}
	return p
}

// checkEra finds what kubeadm of the description's version has no field for.
func checkEra(p *quorate.Problems, c quorate.Cluster) {
	if _, why := chooseAPI(c.Kubeadm.APIVersion, c.Version); why != "" {
		p.Refuse("kubeadm.apiVersion", "%s", why)
	}
	if apiFor(c.Version) > v1alpha1 {
		return
	}
	const only = "kubernetes"
	if c.Name != only {
		p.Refuse("name", "kubeadm of Kubernetes %s names every cluster %q: leave it out", c.Version, only)
	}
	if c.Endpoint.Address().Is6() {
		p.Refuse("endpoint.host", "kubeadm of Kubernetes %s takes an IPv6 endpoint for a DNS name, and refuses it: set a DNS name of your own load balancer", c.Version)
	}
	if port := c.Endpoint.APIServerPort(); c.Endpoint.Port != port {
		p.Refuse("endpoint.port", "kubeadm of Kubernetes %s takes the load balancer's port for that of every API server, %d: set both the same", c.Version, port)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Kubeadm.Kubelet)) {
		if kubeletFlagOf[name] == "" {
			p.Refuse(key("kubeadm.kubelet", name), "kubelets of Kubernetes %s take arguments alone, and Quorate knows none for this field: want %s",
				c.Version, strings.Join(slices.Sorted(maps.Keys(kubeletFlagOf)), ", "))
		}
	}
}

func checkSecrets(c quorate.Cluster, s Secrets) quorate.Problems {
	var p quorate.Problems
	refuse(&p, "secrets.token", checkToken(s.Token))
	if len(c.Nodes) > 1 {
		checkCAHashes(&p, "secrets.caHashes", s.CAHashes)
	}
	refuse(&p, "secrets.certificateKey", checkCertificateKey(s.CertificateKey))
	if s.CertificateKey.Len() > 0 && apiFor(c.Version) < v1beta2 {
		p.Refuse("secrets.certificateKey", "kubeadm takes it in its configuration from v1.15 on, and a secret has no place on a command line: leave it out, the control planes find their certificates in place")
	}
	return p
}

// Problems is what is questionable in a Config although kubeadm takes it, by its
// own field names: what Quorate would not have on a node of a cluster that it
// makes, such as arguments that a component does not know. A Node's Files refuse it.
func (c Config) Problems() quorate.Problems {
	var p quorate.Problems
	c.Registration.check(&p, "registration", c.Version)
	if c.Join == nil || c.Join.File == "" {
		refuse(&p, "token", checkToken(c.Token))
	}
	refuse(&p, "certificateKey", checkCertificateKey(c.CertificateKey))
	switch {
	case c.Join != nil && c.Join.File == "" && !c.Join.UnsafeSkipCAVerification:
		checkCAHashes(&p, "join.caHashes", c.Join.CAHashes)
	case c.Init != nil:
		c.Init.check(&p, "init", c.Version)
	}
	if c.Patches != nil && c.Patches.Directory != "" {
		checkPath(&p, "patches.directory", c.Patches.Directory)
	}
	c.Timeouts.check(&p, "timeouts")
	return append(p, unreported(p, c.unworkable())...)
}

func (r Registration) check(p *quorate.Problems, at string, v quorate.Version) {
	for i, t := range r.Taints {
		checkTaint(p, fmt.Sprintf("%s.taints[%d]", at, i), t)
	}
	args := r.KubeletArgs
	if ips := nodeIPsOf(args.Values(nodeIPArg)); len(ips) > 0 && slices.Equal(ips, r.NodeIPs) {
		args = args.Without(nodeIPArg)
	}
	if labels := labelsOf(args.Values(nodeLabelsArg)); maps.Equal(labels, r.Labels) {
		args = args.Without(nodeLabelsArg)
	}
	checkArgs(p, at+".kubeletArgs", args, kubeletArgs, v)
	checkPreflightNames(p, at+".ignorePreflightErrors", r.IgnorePreflightErrors, v)
}

func checkTaint(p *quorate.Problems, at string, t Taint) {
	if !syntax.IsQualifiedKey(t.Key) {
		p.Refuse(at+".key", "%q: want an optional lower-case DNS name and a slash, then at most 63 letters, digits and - _ .", t.Key)
	}
	if t.Value != "" && !syntax.IsQualified(t.Value) {
		p.Refuse(at+".value", "%q: want at most 63 letters, digits and - _ ., a letter or digit at both ends", t.Value)
	}
	oneOf(p, at+".effect", t.Effect, "NoSchedule", "PreferNoSchedule", "NoExecute")
}

func (i Init) check(p *quorate.Problems, at string, v quorate.Version) {
	i.APIServer.check(p, at+".apiServer", apiServerArgs, v)
	i.ControllerManager.check(p, at+".controllerManager", controllerManagerArgs, v)
	i.Scheduler.check(p, at+".scheduler", schedulerArgs, v)
	if i.Etcd != nil {
		checkSchemes(p, at+".etcd.endpoints", i.Etcd.Endpoints, "https", "http")
		checkSchemes(p, at+".etcd.httpEndpoints", i.Etcd.HTTPEndpoints, "https", "http")
	}
	checkComponentConfig(p, at+".kubelet", i.Kubelet, kubeletSchema, v, policy)
	checkComponentConfig(p, at+".kubeProxy", i.KubeProxy, kubeProxySchema, v, policy)
}

// checkSchemes refuses what is no URL of one of the schemes.
func checkSchemes(p *quorate.Problems, at string, urls []string, schemes ...string) {
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Host+u.Path == "" || !slices.Contains(schemes, u.Scheme) {
			p.Refuse(fmt.Sprintf("%s[%d]", at, i), "%q: want a URL of %s, as in https://10.0.0.1:2379", text, strings.Join(schemes, ", "))
		}
	}
}

func (c Component) check(p *quorate.Problems, at string, known knownArgs, version quorate.Version) {
	checkArgs(p, at+".args", c.Args, known, version)
	names := map[string]bool{}
	for i, v := range c.Volumes {
		here := fmt.Sprintf("%s.volumes[%d]", at, i)
		checkVolume(p, here, v)
		if names[v.Name] {
			p.Refuse(here+".name", "%q is the name of an earlier volume", v.Name)
		}
		names[v.Name] = true
	}
}

func checkVolume(p *quorate.Problems, at string, v quorate.Volume) {
	if !syntax.IsLabel(v.Name) {
		p.Refuse(at+".name", "%q is no lower-case RFC 1123 label", v.Name)
	}
	checkPath(p, at+".hostPath", v.HostPath)
	checkPath(p, at+".mountPath", v.MountPath)
	if v.PathType != "" {
		oneOf(p, at+".pathType", v.PathType,
			"DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
	}
}

func (t Timeouts) check(p *quorate.Problems, at string) {
	for _, f := range []struct {
		name string
		d    *quorate.Duration
	}{
		{"controlPlane", t.ControlPlane}, {"kubelet", t.Kubelet}, {"apiCall", t.APICall},
		{"etcdCall", t.EtcdCall}, {"tlsBootstrap", t.TLSBootstrap}, {"discovery", t.Discovery}, {"upgradeManifests", t.UpgradeManifests},
	} {
		if f.d != nil && *f.d < 0 {
			p.Refuse(at+"."+f.name, "%v is negative", *f.d)
		}
	}
}

func checkCAHashes(p *quorate.Problems, at string, hashes []string) {
	if len(hashes) == 0 {
		p.Refuse(at, "none: a joining node cannot distinguish the cluster from an impostor; set the hash of every certificate of the CA file")
	}
	for i, h := range hashes {
		refuse(p, fmt.Sprintf("%s[%d]", at, i), checkCAHash(h))
	}
}

// checkFeatureGates refuses names that kubeadm of that version does not know,
// at which it would stop on the host.
func checkFeatureGates(p *quorate.Problems, at string, gates map[string]bool, v quorate.Version) {
	for _, name := range slices.Sorted(maps.Keys(gates)) {
		switch life, known := featureGates[name]; {
		case !known:
			p.Refuse(key(at, name), "is no feature gate of kubeadm: the components of the control plane take theirs by the argument feature-gates, kubelet and kube-proxy by their field featureGates")
		case !life.holds(v):
			p.Refuse(key(at, name), "kubeadm %s does not have this feature gate, %s: leave it out", v, life)
		}
	}
}

func checkPreflightNames(p *quorate.Problems, at string, names []string, v quorate.Version) {
	for i, name := range names {
		here := fmt.Sprintf("%s[%d]", at, i)
		switch life, known := preflightCheck(name); {
		case strings.EqualFold(name, "all"):
			p.Warn(here, "%q silences every preflight check: name those that fail", name)
		case !known:
			p.Refuse(here, "%q is no preflight check: kubeadm's output names them in brackets, as in [ERROR NumCPU]", name)
		case !life.holds(v):
			// It is without effect, and does no harm when a cluster is upgraded.
			p.Warn(here, "kubeadm %s does not have the preflight check %q, %s", v, name, life)
		}
	}
}

func checkArgs(p *quorate.Problems, at string, args Args, known knownArgs, v quorate.Version) {
	for _, arg := range args {
		here := key(at, arg.Name)
		owned, isOwned := known.owned[arg.Name]
		switch unknown := known.flags.check(arg.Name, v); {
		case !syntax.IsFlag(arg.Name):
			p.Refuse(here, "%q is no argument: want its name in lower case, without leading dashes and value", arg.Name)
		case !utf8.ValidString(arg.Value):
			p.Refuse(here, notUTF8)
		case syntax.HasControl(arg.Value):
			p.Refuse(here, "the value holds a control character")
		case isOwned && owned.refuses(arg.Value):
			p.Refuse(here, "%s", owned.reason)
		case unknown != "":
			p.Refuse(here, "%s", unknown)
		}
	}
}

// warnUnseen warns of files that a static pod cannot see.
func warnUnseen(p *quorate.Problems, component string, args map[string]string, volumes []quorate.Volume, known knownArgs) {
	for _, v := range volumes {
		known.mounted = append(slices.Clip(known.mounted), v.MountPath)
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if file := args[name]; fileArgPattern.MatchString(name) && path.IsAbs(file) && !known.sees(file) {
			p.Warn(key(component+"Args", name), "the component runs in a pod that does not see the host's %s: keep the file below %s, or mount it by %sVolumes", file, hostpath.KubernetesPKI, component)
		}
	}
}

func checkPath(p *quorate.Problems, at, file string) {
	if !path.IsAbs(file) || path.Clean(file) != file || syntax.HasControl(file) {
		p.Refuse(at, "%q: want a clean absolute path", file)
	}
}

func oneOf(p *quorate.Problems, at, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.Refuse(at, "%q: want %s", value, strings.Join(allowed, ", "))
	}
}

func refuse(p *quorate.Problems, at string, err error) {
	if err != nil {
		p.Refuse(at, "%v", err)
	}
}

// key is the path of a map's entry, as Cluster.Problems writes it.
func key(at, k string) string { return fmt.Sprintf("%s[%q]", at, k) }
