package kubeadm

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
)

// fieldMappings is every field of a Config and where each version of the API has it,
// from cmd/kubeadm/app/apis/kubeadm/VERSION/types.go of a release of every
// minor. Package kubeadm/upstream holds it against those types.
var fieldMappings = []fieldMapping{
	mappingOf("version", versionCodec, func(c *Config) *quorate.Version { return &c.Version },
		at(v1alpha1, v1beta4, inCluster, "kubernetesVersion"), implied(v1alpha1, v1beta4, inJoin)),

	mappingOf("registration.name", textCodec, func(c *Config) *string { return &c.Registration.Name },
		at(v1alpha1, v1alpha1, inInit|inJoin, "nodeName"),
		at(v1alpha2, v1beta4, inInit|inJoin, "nodeRegistration.name")),
	mappingOf("registration.criSocket", textCodec, func(c *Config) *string { return &c.Registration.CRISocket },
		at(v1alpha1, v1alpha1, inInit|inJoin, "criSocket").as(asSocketPath),
		at(v1alpha2, v1beta4, inInit|inJoin, "nodeRegistration.criSocket").as(asSocketPath)),
	{
		field: "registration.kubeletArgs",
		get: func(c *Config) (any, bool) {
			args := c.Registration.kubeletArgs()
			return argsCodec.enc(args), len(args) > 0
		},
		put: putKubeletArgs,
		at: []location{
			at(v1alpha1, v1alpha1, inDropIn, kubeletArgsPath),
			at(v1alpha2, v1beta3, inInit|inJoin, "nodeRegistration.kubeletExtraArgs"),
			at(v1beta4, v1beta4, inInit|inJoin, "nodeRegistration.kubeletExtraArgs").as(asArgList),
		},
	},
	mappingOf("registration.taints", taintsCodec, func(c *Config) *[]Taint { return &c.Registration.Taints },
		at(v1alpha1, v1alpha1, inInit, "noTaintMaster").as(asNoTaint),
		at(v1alpha2, v1beta4, inInit|inJoin, "nodeRegistration.taints")),
	mappingOf("registration.ignorePreflightErrors", listCodec, func(c *Config) *[]string { return &c.Registration.IgnorePreflightErrors },
		at(v1alpha1, v1beta1, inFlag, "ignore-preflight-errors"),
		at(v1beta2, v1beta4, inInit|inJoin, "nodeRegistration.ignorePreflightErrors")),
	mappingOf("registration.imagePullPolicy", textCodec, func(c *Config) *string { return &c.Registration.ImagePullPolicy },
		at(v1alpha1, v1alpha1, inInit, "imagePullPolicy"),
		at(v1beta3, v1beta4, inInit|inJoin, "nodeRegistration.imagePullPolicy")),
	mappingOf("registration.imagePullSerial", optionalBoolCodec, func(c *Config) **bool { return &c.Registration.ImagePullSerial },
		at(v1beta4, v1beta4, inInit|inJoin, "nodeRegistration.imagePullSerial")),

	{
		// Whether a joining node is a control plane; later versions say it by
		// the object that holds its API server.
		field: "apiServer",
		get:   func(c *Config) (any, bool) { return true, c.Join != nil && c.APIServer != nil },
		put:   func(*Config, any) error { return nil }, // Parse has seen it
		at: []location{
			at(v1alpha3, v1alpha3, inJoin, "controlPlane"),
			implied(v1beta1, v1beta4, inJoin),
		},
	},
	mappingOf("apiServer.address", addrCodec, func(c *Config) *netip.Addr { return apiServer(c, func(a *APIServer) *netip.Addr { return &a.Address }) },
		endpointAt("advertiseAddress")...),
	mappingOf("apiServer.port", intCodec, func(c *Config) *int { return apiServer(c, func(a *APIServer) *int { return &a.Port }) },
		endpointAt("bindPort")...),

	{
		field: "token",
		get: func(c *Config) (any, bool) {
			if c.Init == nil {
				return nil, false
			}
			return c.bootstrapToken(), true
		},
		put: putBootstrapToken,
		at: []location{
			implied(v1alpha1, v1alpha1, inInit),
			at(v1alpha2, v1beta4, inInit, "bootstrapTokens").as(asSoleItem),
		},
	},
	mappingOf("token", contentCodec, func(c *Config) *quorate.Content { return ofInit(c, func(*Init) *quorate.Content { return &c.Token }) },
		at(v1alpha1, v1alpha1, inInit, "token"), implied(v1alpha2, v1beta4, inInit)),
	mappingOf("init.tokenTTL", ttlCodec, func(c *Config) *quorate.Duration {
		return ofInit(c, func(i *Init) *quorate.Duration { return &i.TokenTTL })
	},
		at(v1alpha1, v1alpha1, inInit, "tokenTTL"), implied(v1alpha2, v1beta4, inInit)),
	initMapping("init.tokenUsages", listCodec, func(i *Init) *[]string { return &i.TokenUsages },
		at(v1alpha1, v1alpha1, inInit, "tokenUsages"), implied(v1alpha2, v1beta4, inInit)),
	initMapping("init.tokenGroups", listCodec, func(i *Init) *[]string { return &i.TokenGroups },
		at(v1alpha1, v1alpha1, inInit, "tokenGroups"), implied(v1alpha2, v1beta4, inInit)),
	initMapping("init.tokenDescription", textCodec, func(i *Init) *string { return &i.TokenDescription },
		implied(v1alpha2, v1beta4, inInit)),
	joinMapping("token", contentCodec, func(c *Config, _ *Join) *quorate.Content { return &c.Token },
		at(v1alpha1, v1alpha3, inJoin, "token"),
		at(v1beta1, v1beta4, inJoin, "discovery.bootstrapToken.token")),
	mappingOf("certificateKey", contentCodec, func(c *Config) *quorate.Content { return &c.CertificateKey },
		at(v1beta2, v1beta4, inInit, "certificateKey"),
		at(v1beta2, v1beta4, inJoin, "controlPlane.certificateKey")),

	joinMapping("join.endpoint", textCodec, func(_ *Config, j *Join) *string { return &j.Endpoint },
		at(v1alpha1, v1alpha3, inJoin, "discoveryTokenAPIServers").as(asSoleItem),
		at(v1beta1, v1beta4, inJoin, "discovery.bootstrapToken.apiServerEndpoint")),
	joinMapping("join.caHashes", listCodec, func(_ *Config, j *Join) *[]string { return &j.CAHashes },
		at(v1alpha1, v1alpha3, inJoin, "discoveryTokenCACertHashes"),
		at(v1beta1, v1beta4, inJoin, "discovery.bootstrapToken.caCertHashes")),

	initMapping("init.clusterName", textCodec, func(i *Init) *string { return &i.ClusterName },
		at(v1alpha1, v1alpha1, inCluster, "clusterName").as(asDefault("kubernetes")),
		at(v1alpha2, v1beta4, inCluster, "clusterName")),
	{
		field: "init.endpoint",
		get: func(c *Config) (any, bool) {
			if c.Init == nil {
				return nil, false
			}
			return c.Init.Endpoint, c.Init.Endpoint != ""
		},
		put: func(c *Config, v any) (err error) { c.Init.Endpoint, err = textOf(v); return err },
		at: []location{
			at(v1alpha1, v1alpha2, inCluster, "api.controlPlaneEndpoint"),
			at(v1alpha3, v1beta4, inCluster, "controlPlaneEndpoint"),
		},
	},
	etcdMapping("endpoints", listCodec, func(e *ExternalEtcd) *[]string { return &e.Endpoints }),
	etcdMapping("httpEndpoints", listCodec, func(e *ExternalEtcd) *[]string { return &e.HTTPEndpoints }),
	etcdMapping("caFile", textCodec, func(e *ExternalEtcd) *string { return &e.CAFile }),
	etcdMapping("certFile", textCodec, func(e *ExternalEtcd) *string { return &e.CertFile }),
	etcdMapping("keyFile", textCodec, func(e *ExternalEtcd) *string { return &e.KeyFile }),
	localEtcdMapping("dataDir", textCodec, v1alpha1, func(l *LocalEtcd) *string { return &l.DataDir }),
	localEtcdMapping("imageRepository", textCodec, v1beta1, func(l *LocalEtcd) *string { return &l.ImageRepository }),
	localEtcdMapping("imageTag", textCodec, v1beta1, func(l *LocalEtcd) *string { return &l.ImageTag }),
	localEtcdMapping("serverCertSANs", listCodec, v1alpha1, func(l *LocalEtcd) *[]string { return &l.ServerCertSANs }),
	localEtcdMapping("peerCertSANs", listCodec, v1alpha1, func(l *LocalEtcd) *[]string { return &l.PeerCertSANs }),
	initMapping("init.localEtcd.args", argsCodec, func(i *Init) *map[string]string { return &i.LocalEtcd.Args },
		at(v1alpha1, v1alpha1, inCluster, "etcd.extraArgs"),
		at(v1alpha2, v1beta3, inCluster, "etcd.local.extraArgs"),
		at(v1beta4, v1beta4, inCluster, "etcd.local.extraArgs").as(asArgList)),

	initMapping("init.pods", prefixesCodec, func(i *Init) *[]netip.Prefix { return &i.Pods },
		at(v1alpha1, v1beta4, inCluster, "networking.podSubnet")),
	initMapping("init.services", prefixesCodec, func(i *Init) *[]netip.Prefix { return &i.Services },
		at(v1alpha1, v1beta4, inCluster, "networking.serviceSubnet")),
	initMapping("init.dnsDomain", textCodec, func(i *Init) *string { return &i.DNSDomain },
		at(v1alpha1, v1beta4, inCluster, "networking.dnsDomain")),
	initMapping("init.certSANs", listCodec, func(i *Init) *[]string { return &i.CertSANs },
		at(v1alpha1, v1alpha3, inCluster, "apiServerCertSANs"),
		at(v1beta1, v1beta4, inCluster, "apiServer.certSANs")),
	initMapping("init.imageRepository", textCodec, func(i *Init) *string { return &i.ImageRepository },
		at(v1alpha1, v1beta4, inCluster, "imageRepository")),
	initMapping("init.certificatesDir", textCodec, func(i *Init) *string { return &i.CertificatesDir },
		at(v1alpha1, v1beta4, inCluster, "certificatesDir")),
	initMapping("init.featureGates", gatesCodec, func(i *Init) *map[string]bool { return &i.FeatureGates },
		at(v1alpha1, v1beta4, inCluster, "featureGates")),
	initMapping("init.dns.imageRepository", textCodec, func(i *Init) *string { return &i.DNS.ImageRepository },
		at(v1beta1, v1beta4, inCluster, "dns.imageRepository")),
	initMapping("init.dns.imageTag", textCodec, func(i *Init) *string { return &i.DNS.ImageTag },
		at(v1beta1, v1beta4, inCluster, "dns.imageTag")),
	initMapping("init.dns.disabled", boolCodec, func(i *Init) *bool { return &i.DNS.Disabled },
		at(v1beta4, v1beta4, inCluster, "dns.disabled")),
	initMapping("init.proxyDisabled", boolCodec, func(i *Init) *bool { return &i.ProxyDisabled },
		at(v1beta4, v1beta4, inCluster, "proxy.disabled")),
	initMapping("init.encryptionAlgorithm", textCodec, func(i *Init) *string { return &i.EncryptionAlgorithm },
		at(v1beta4, v1beta4, inCluster, "encryptionAlgorithm")),
	initMapping("init.certificateValidity", durationCodec, func(i *Init) *quorate.Duration { return &i.CertificateValidity },
		at(v1beta4, v1beta4, inCluster, "certificateValidityPeriod")),
	initMapping("init.caCertificateValidity", durationCodec, func(i *Init) *quorate.Duration { return &i.CACertificateValidity },
		at(v1beta4, v1beta4, inCluster, "caCertificateValidityPeriod")),

	argsMapping("apiServer", func(i *Init) *Component { return &i.APIServer }),
	volumesMapping("apiServer", func(i *Init) *Component { return &i.APIServer }),
	envMapping("apiServer", func(i *Init) *Component { return &i.APIServer }),
	argsMapping("controllerManager", func(i *Init) *Component { return &i.ControllerManager }),
	volumesMapping("controllerManager", func(i *Init) *Component { return &i.ControllerManager }),
	envMapping("controllerManager", func(i *Init) *Component { return &i.ControllerManager }),
	argsMapping("scheduler", func(i *Init) *Component { return &i.Scheduler }),
	volumesMapping("scheduler", func(i *Init) *Component { return &i.Scheduler }),
	envMapping("scheduler", func(i *Init) *Component { return &i.Scheduler }),

	initMapping("init.kubelet", fieldsCodec, func(i *Init) *map[string]any { return &i.Kubelet },
		at(v1alpha2, v1alpha2, inCluster, "kubeletConfiguration.baseConfig"),
		at(v1alpha3, v1beta4, inKubelet, "")),
	initMapping("init.kubeProxy", fieldsCodec, func(i *Init) *map[string]any { return &i.KubeProxy },
		at(v1alpha1, v1alpha2, inCluster, "kubeProxy.config"),
		at(v1alpha3, v1beta4, inKubeProxy, "")),

	mappingOf("skipPhases", listCodec, func(c *Config) *[]string { return &c.SkipPhases },
		at(v1beta1, v1beta2, inFlag, "skip-phases"),
		at(v1beta3, v1beta4, inInit|inJoin, "skipPhases")),
	mappingOf("patchesDir", textCodec, func(c *Config) *string { return &c.PatchesDir },
		at(v1beta3, v1beta4, inInit|inJoin, "patches.directory")),

	mappingOf("timeouts.controlPlane", durationCodec, func(c *Config) *quorate.Duration { return &c.Timeouts.ControlPlane },
		at(v1beta1, v1beta3, inCluster, "apiServer.timeoutForControlPlane"),
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.controlPlaneComponentHealthCheck")),
	mappingOf("timeouts.kubelet", durationCodec, func(c *Config) *quorate.Duration { return &c.Timeouts.Kubelet },
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.kubeletHealthCheck")),
	mappingOf("timeouts.apiCall", durationCodec, func(c *Config) *quorate.Duration { return &c.Timeouts.APICall },
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.kubernetesAPICall")),
	mappingOf("timeouts.etcdCall", durationCodec, func(c *Config) *quorate.Duration { return &c.Timeouts.EtcdCall },
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.etcdAPICall")),
	mappingOf("timeouts.tlsBootstrap", durationCodec, func(c *Config) *quorate.Duration { return &c.Timeouts.TLSBootstrap },
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.tlsBootstrap")),
	mappingOf("timeouts.discovery", durationCodec, func(c *Config) *quorate.Duration { return &c.Timeouts.Discovery },
		at(v1alpha2, v1alpha3, inJoin, "discoveryTimeout"),
		at(v1beta1, v1beta3, inJoin, "discovery.timeout"),
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.discovery")),
}

func ofInit[T any](c *Config, ptr func(*Init) *T) *T {
	if c.Init == nil {
		return nil
	}
	return ptr(c.Init)
}

func initMapping[T any](field string, f valueCodec[T], ptr func(*Init) *T, locations ...location) fieldMapping {
	return mappingOf(field, f, func(c *Config) *T { return ofInit(c, ptr) }, locations...)
}

func joinMapping[T any](field string, f valueCodec[T], ptr func(*Config, *Join) *T, locations ...location) fieldMapping {
	return mappingOf(field, f, func(c *Config) *T {
		if c.Join == nil {
			return nil
		}
		return ptr(c, c.Join)
	}, locations...)
}

func apiServer[T any](c *Config, ptr func(*APIServer) *T) *T {
	if c.APIServer == nil {
		return nil
	}
	return ptr(c.APIServer)
}

func endpointAt(name string) []location {
	return []location{
		at(v1alpha1, v1alpha2, inInit, "api."+name),
		at(v1alpha3, v1alpha3, inInit|inJoin, "apiEndpoint."+name),
		at(v1beta1, v1beta4, inInit, "localAPIEndpoint."+name),
		at(v1beta1, v1beta4, inJoin, "controlPlane.localAPIEndpoint."+name),
	}
}

func etcdMapping[T any](name string, f valueCodec[T], ptr func(*ExternalEtcd) *T) fieldMapping {
	locations := []location{
		at(v1alpha1, v1alpha1, inCluster, "etcd."+name),
		at(v1alpha2, v1beta4, inCluster, "etcd.external."+name),
	}
	if name == "httpEndpoints" {
		locations = []location{at(v1beta4, v1beta4, inCluster, "etcd.external."+name).fromMinor(35)}
	}
	return initMapping("init.etcd."+name, f, func(i *Init) *T { return ptr(&i.Etcd) }, locations...)
}

func localEtcdMapping[T any](name string, f valueCodec[T], first api, ptr func(*LocalEtcd) *T) fieldMapping {
	locations := []location{at(max(first, v1alpha2), v1beta4, inCluster, "etcd.local."+name)}
	if first == v1alpha1 {
		locations = append(locations, at(v1alpha1, v1alpha1, inCluster, "etcd."+name))
	}
	return initMapping("init.localEtcd."+name, f, func(i *Init) *T { return ptr(&i.LocalEtcd) }, locations...)
}

func argsMapping(name string, component func(*Init) *Component) fieldMapping {
	return initMapping("init."+name+".args", argsCodec, func(i *Init) *map[string]string { return &component(i).Args },
		at(v1alpha1, v1alpha3, inCluster, name+"ExtraArgs"),
		at(v1beta1, v1beta3, inCluster, name+".extraArgs"),
		at(v1beta4, v1beta4, inCluster, name+".extraArgs").as(asArgList))
}

func volumesMapping(name string, component func(*Init) *Component) fieldMapping {
	return initMapping("init."+name+".volumes", volumesCodec, func(i *Init) *[]Volume { return &component(i).Volumes },
		at(v1alpha1, v1alpha1, inCluster, name+"ExtraVolumes").as(asReadOnly),
		at(v1alpha2, v1alpha3, inCluster, name+"ExtraVolumes").as(asWritable),
		at(v1beta1, v1beta4, inCluster, name+".extraVolumes"))
}

func envMapping(name string, component func(*Init) *Component) fieldMapping {
	return initMapping("init."+name+".env", argsCodec, func(i *Init) *map[string]string { return &component(i).Env },
		at(v1beta4, v1beta4, inCluster, name+".extraEnvs").as(asArgList))
}

// ttlCodec is a token's life, which kubeadm ends at zero when it is to have none.
var ttlCodec = valueCodec[quorate.Duration]{
	set: func(quorate.Duration) bool { return true },
	enc: func(d quorate.Duration) any { return Init{TokenTTL: d}.tokenTTL().String() },
	dec: func(v any) (quorate.Duration, error) {
		d, err := durationCodec.dec(v)
		switch {
		case err != nil:
			return 0, err
		case d == 0:
			return -1, nil
		case d == defaultTokenTTL:
			return 0, nil
		}
		return d, nil
	},
}

// bootstrapToken is the token as an object, from v1alpha2 on.
func (c *Config) bootstrapToken() map[string]any {
	token := map[string]any{
		"token": string(c.Token.Bytes()),
		"ttl":   ttlCodec.enc(c.Init.TokenTTL),
	}
	if c.Init.TokenDescription != "" {
		token["description"] = c.Init.TokenDescription
	}
	if len(c.Init.TokenUsages) > 0 {
		token["usages"] = texts(c.Init.TokenUsages)
	}
	if len(c.Init.TokenGroups) > 0 {
		token["groups"] = texts(c.Init.TokenGroups)
	}
	return token
}

func putBootstrapToken(c *Config, v any) (err error) {
	token, ok := v.(map[string]any)
	if !ok {
		return misread("a token with its fields")
	}
	for name, value := range token {
		switch name {
		case "token":
			c.Token, err = contentCodec.dec(value)
		case "description":
			c.Init.TokenDescription, err = textOf(value)
		case "ttl":
			c.Init.TokenTTL, err = ttlCodec.dec(value)
		case "usages":
			c.Init.TokenUsages, err = listOf(value)
		case "groups":
			c.Init.TokenGroups, err = listOf(value)
		default:
			err = misread("a token without " + name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// putKubeletArgs takes the arguments apart that a Registration has fields for.
func putKubeletArgs(c *Config, v any) error {
	args, err := argsCodec.dec(v)
	if err != nil {
		return err
	}
	r := &c.Registration
	if ips, given := args["node-ip"]; given {
		for ip := range strings.SplitSeq(ips, ",") {
			a, err := netip.ParseAddr(ip)
			if err != nil {
				return misread("addresses in node-ip")
			}
			r.NodeIPs = append(r.NodeIPs, a)
		}
		delete(args, "node-ip")
	}
	if labels, given := args["node-labels"]; given {
		r.Labels = map[string]string{}
		for label := range strings.SplitSeq(labels, ",") {
			name, value, _ := strings.Cut(label, "=")
			r.Labels[name] = value
		}
		delete(args, "node-labels")
	}
	if len(args) > 0 {
		r.KubeletArgs = args
	}
	return nil
}

// splitEndpoint takes the port off v1alpha1's endpoint, which there is bindPort.
func splitEndpoint(c Config) (host, why string) {
	host, port, err := net.SplitHostPort(c.Init.Endpoint)
	if err != nil || c.APIServer == nil {
		return c.Init.Endpoint, ""
	}
	if port != strconv.Itoa(c.APIServer.Port) {
		return "", "its port is that of every API server, " + strconv.Itoa(c.APIServer.Port) + ": give both the same"
	}
	return host, ""
}
