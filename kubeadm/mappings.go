package kubeadm

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
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
			at(v1alpha2, v1beta3, inInit|inJoin, "nodeRegistration.kubeletExtraArgs").as(asArgMap),
			at(v1beta4, v1beta4, inInit|inJoin, "nodeRegistration.kubeletExtraArgs"),
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
		// Whether a joining node is a control plane, which later versions say by an
		// object that is there.
		field: "apiServer",
		vital: true,
		get:   func(c *Config) (any, bool) { return true, c.Join != nil && c.APIServer != nil },
		put: func(c *Config, v any) error {
			on, err := boolCodec.dec(v)
			if on && c.APIServer == nil {
				c.APIServer = &APIServer{}
			}
			return err
		},
		at: []location{
			at(v1alpha2, v1alpha3, inJoin, "controlPlane").fromMinor(12),
			implied(v1beta1, v1beta4, inJoin),
		},
	},
	present("apiServer", func(c *Config) bool { return c.Join != nil && c.APIServer != nil },
		func(c *Config) {
			if c.APIServer == nil {
				c.APIServer = &APIServer{}
			}
		},
		implied(v1alpha1, v1alpha3, inJoin),
		at(v1beta1, v1beta4, inJoin, "controlPlane")),
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
			tokens := c.bootstrapTokens()
			return tokens, len(tokens) > 0
		},
		put: putBootstrapTokens,
		at: []location{
			implied(v1alpha1, v1alpha1, inInit),
			at(v1alpha2, v1beta4, inInit, "bootstrapTokens"),
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
	initMapping("init.otherTokens", valueCodec[[]BootstrapToken]{
		set: func(t []BootstrapToken) bool { return len(t) > 0 },
		enc: func([]BootstrapToken) any { return nil },
	}, func(i *Init) *[]BootstrapToken { return &i.OtherTokens },
		implied(v1alpha2, v1beta4, inInit)),
	// Up to v1alpha3 one token is that of discovery and that of the kubelet, if
	// they are the same.
	joinToken(func(c *Config) bool { return c.Join.TLSBootstrapToken.Len() == 0 },
		at(v1alpha1, v1alpha3, inJoin, "token"), implied(v1beta1, v1beta4, inJoin)),
	joinToken(func(c *Config) bool { return c.Join.TLSBootstrapToken.Len() > 0 },
		at(v1alpha1, v1alpha3, inJoin, "discoveryToken").toWrite(), implied(v1beta1, v1beta4, inJoin)),
	joinToken(func(*Config) bool { return true },
		implied(v1alpha1, v1alpha3, inJoin), at(v1beta1, v1beta4, inJoin, "discovery.bootstrapToken.token")),
	mappingOf("certificateKey", contentCodec, func(c *Config) *quorate.Content { return &c.CertificateKey },
		at(v1beta2, v1beta4, inInit, "certificateKey"),
		at(v1beta2, v1beta4, inJoin, "controlPlane.certificateKey")),

	{
		field: "join.endpoint",
		get: func(c *Config) (any, bool) {
			if c.Join == nil {
				return nil, false
			}
			return c.Join.Endpoint, c.Join.Endpoint != ""
		},
		put: func(c *Config, v any) error {
			endpoints, err := listOf(v)
			if len(endpoints) > 0 {
				c.Join.Endpoint, c.Join.OtherEndpoints = endpoints[0], endpoints[1:]
			}
			return err
		},
		at: []location{
			at(v1alpha1, v1alpha3, inJoin, "discoveryTokenAPIServers").as(asFirstItem),
			at(v1beta1, v1beta4, inJoin, "discovery.bootstrapToken.apiServerEndpoint").as(asOnlyItem),
		},
	},
	{
		field: "join.otherEndpoints",
		get: func(c *Config) (any, bool) {
			if c.Join == nil || len(c.Join.OtherEndpoints) == 0 {
				return nil, false
			}
			return texts(append([]string{c.Join.Endpoint}, c.Join.OtherEndpoints...)), true
		},
		at: []location{at(v1alpha1, v1alpha3, inJoin, "discoveryTokenAPIServers").toWrite()},
	},
	joinMapping("join.unsafeSkipCAVerification", boolCodec, func(_ *Config, j *Join) *bool { return &j.UnsafeSkipCAVerification },
		at(v1alpha1, v1alpha3, inJoin, "discoveryTokenUnsafeSkipCAVerification"),
		at(v1beta1, v1beta4, inJoin, "discovery.bootstrapToken.unsafeSkipCAVerification")),
	joinMapping("join.file", textCodec, func(_ *Config, j *Join) *string { return &j.File },
		at(v1alpha1, v1alpha3, inJoin, "discoveryFile"),
		at(v1beta1, v1beta4, inJoin, "discovery.file.kubeConfigPath")),
	joinMapping("join.tlsBootstrapToken", contentCodec, func(_ *Config, j *Join) *quorate.Content { return &j.TLSBootstrapToken },
		at(v1alpha1, v1alpha3, inJoin, "tlsBootstrapToken"),
		at(v1beta1, v1beta4, inJoin, "discovery.tlsBootstrapToken")),
	joinMapping("join.caCertPath", textCodec, func(_ *Config, j *Join) *string { return &j.CACertPath },
		at(v1alpha1, v1beta4, inJoin, "caCertPath")),
	joinMapping("join.featureGates", gatesCodec, func(_ *Config, j *Join) *map[string]bool { return &j.FeatureGates },
		at(v1alpha1, v1alpha3, inJoin, "featureGates")),
	joinMapping("join.workerAddress", addrCodec, func(c *Config, j *Join) *netip.Addr { return ofWorker(c, &j.WorkerAddress) },
		at(v1alpha2, v1alpha2, inJoin, "advertiseAddress").fromMinor(12),
		at(v1alpha3, v1alpha3, inJoin, "apiEndpoint.advertiseAddress")),
	joinMapping("join.workerPort", intCodec, func(c *Config, j *Join) *int { return ofWorker(c, &j.WorkerPort) },
		at(v1alpha2, v1alpha2, inJoin, "bindPort").fromMinor(12),
		at(v1alpha3, v1alpha3, inJoin, "apiEndpoint.bindPort")),
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
	present("init.etcd", func(c *Config) bool { return c.Init != nil && c.Init.Etcd != nil },
		func(c *Config) {
			if c.Init.Etcd == nil {
				c.Init.Etcd = &ExternalEtcd{}
			}
		},
		implied(v1alpha1, v1alpha1, inCluster),
		at(v1alpha2, v1beta4, inCluster, "etcd.external")),
	etcdMapping("endpoints", valueCodec[[]string]{
		set: func(l []string) bool { return l != nil }, // none is what kubeadm of most versions takes
		enc: listCodec.enc, dec: listCodec.dec,
	}, func(e *ExternalEtcd) *[]string { return &e.Endpoints }),
	etcdMapping("httpEndpoints", listCodec, func(e *ExternalEtcd) *[]string { return &e.HTTPEndpoints }),
	etcdMapping("caFile", textCodec, func(e *ExternalEtcd) *string { return &e.CAFile }),
	etcdMapping("certFile", textCodec, func(e *ExternalEtcd) *string { return &e.CertFile }),
	etcdMapping("keyFile", textCodec, func(e *ExternalEtcd) *string { return &e.KeyFile }),
	localEtcdMapping("dataDir", textCodec, v1alpha1, func(l *LocalEtcd) *string { return &l.DataDir }),
	localEtcdMapping("imageRepository", textCodec, v1beta1, func(l *LocalEtcd) *string { return &l.ImageRepository }),
	localEtcdMapping("imageTag", textCodec, v1beta1, func(l *LocalEtcd) *string { return &l.ImageTag }),
	localEtcdMapping("serverCertSANs", listCodec, v1alpha1, func(l *LocalEtcd) *[]string { return &l.ServerCertSANs }),
	localEtcdMapping("peerCertSANs", listCodec, v1alpha1, func(l *LocalEtcd) *[]string { return &l.PeerCertSANs }),
	initMapping("init.localEtcd.image", textCodec, func(i *Init) *string { return &i.LocalEtcd.Image },
		at(v1alpha1, v1alpha1, inCluster, "etcd.image"),
		at(v1alpha2, v1alpha3, inCluster, "etcd.local.image")),
	initMapping("init.localEtcd.args", argsCodec, func(i *Init) *Args { return &i.LocalEtcd.Args },
		at(v1alpha1, v1alpha1, inCluster, "etcd.extraArgs").as(asArgMap),
		at(v1alpha2, v1beta3, inCluster, "etcd.local.extraArgs").as(asArgMap),
		at(v1beta4, v1beta4, inCluster, "etcd.local.extraArgs")),
	initMapping("init.localEtcd.env", envCodec, func(i *Init) *[]EnvVar { return &i.LocalEtcd.Env },
		at(v1beta4, v1beta4, inCluster, "etcd.local.extraEnvs")),

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
	initMapping("init.dns.type", textCodec, func(i *Init) *string { return &i.DNS.Type },
		at(v1beta1, v1beta2, inCluster, "dns.type")),
	initMapping("init.dns.disabled", boolCodec, func(i *Init) *bool { return &i.DNS.Disabled },
		at(v1beta4, v1beta4, inCluster, "dns.disabled")),
	initMapping("init.proxyDisabled", boolCodec, func(i *Init) *bool { return &i.ProxyDisabled },
		at(v1beta4, v1beta4, inCluster, "proxy.disabled")),
	initMapping("init.encryptionAlgorithm", textCodec, func(i *Init) *string { return &i.EncryptionAlgorithm },
		at(v1beta4, v1beta4, inCluster, "encryptionAlgorithm")),
	initMapping("init.certificateValidity", durationCodec, func(i *Init) **quorate.Duration { return &i.CertificateValidity },
		at(v1beta4, v1beta4, inCluster, "certificateValidityPeriod")),
	initMapping("init.caCertificateValidity", durationCodec, func(i *Init) **quorate.Duration { return &i.CACertificateValidity },
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
		at(v1alpha1, v1alpha1, inCluster, "kubeletConfiguration.baseConfig").toRead(), // without effect but for a feature gate
		at(v1alpha2, v1alpha2, inCluster, "kubeletConfiguration.baseConfig"),
		at(v1alpha3, v1beta4, inKubelet, "")),
	initMapping("init.kubeProxy", fieldsCodec, func(i *Init) *map[string]any { return &i.KubeProxy },
		at(v1alpha1, v1alpha2, inCluster, "kubeProxy.config"),
		at(v1alpha3, v1beta4, inKubeProxy, "")),

	initMapping("init.unifiedControlPlaneImage", textCodec, func(i *Init) *string { return &i.UnifiedControlPlaneImage },
		at(v1alpha1, v1alpha3, inCluster, "unifiedControlPlaneImage")),
	initMapping("init.useHyperKubeImage", boolCodec, func(i *Init) *bool { return &i.UseHyperKubeImage },
		at(v1beta1, v1beta2, inCluster, "useHyperKubeImage")),
	initMapping("init.auditPolicy.path", textCodec, func(i *Init) *string { return &i.AuditPolicy.Path },
		at(v1alpha1, v1alpha3, inCluster, "auditPolicy.path")),
	initMapping("init.auditPolicy.logDir", textCodec, func(i *Init) *string { return &i.AuditPolicy.LogDir },
		at(v1alpha1, v1alpha3, inCluster, "auditPolicy.logDir")),
	initMapping("init.auditPolicy.logMaxAge", optionalIntCodec, func(i *Init) **int { return &i.AuditPolicy.LogMaxAge },
		at(v1alpha1, v1alpha3, inCluster, "auditPolicy.logMaxAge")),

	mappingOf("skipPhases", listCodec, func(c *Config) *[]string { return &c.SkipPhases },
		at(v1beta1, v1beta2, inFlag, "skip-phases"),
		at(v1beta3, v1beta4, inInit|inJoin, "skipPhases")),
	present("patches", func(c *Config) bool { return c.Patches != nil },
		func(c *Config) {
			if c.Patches == nil {
				c.Patches = &Patches{}
			}
		},
		implied(v1alpha1, v1beta2, inInit|inJoin),
		at(v1beta3, v1beta4, inInit|inJoin, "patches")),
	mappingOf("patches.directory", textCodec, func(c *Config) *string {
		if c.Patches == nil {
			return nil
		}
		return &c.Patches.Directory
	},
		at(v1beta3, v1beta4, inInit|inJoin, "patches.directory")),

	mappingOf("timeouts.controlPlane", durationCodec, func(c *Config) **quorate.Duration { return &c.Timeouts.ControlPlane },
		at(v1beta1, v1beta3, inCluster, "apiServer.timeoutForControlPlane"),
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.controlPlaneComponentHealthCheck")),
	mappingOf("timeouts.kubelet", durationCodec, func(c *Config) **quorate.Duration { return &c.Timeouts.Kubelet },
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.kubeletHealthCheck")),
	mappingOf("timeouts.apiCall", durationCodec, func(c *Config) **quorate.Duration { return &c.Timeouts.APICall },
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.kubernetesAPICall")),
	mappingOf("timeouts.etcdCall", durationCodec, func(c *Config) **quorate.Duration { return &c.Timeouts.EtcdCall },
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.etcdAPICall")),
	mappingOf("timeouts.tlsBootstrap", durationCodec, func(c *Config) **quorate.Duration { return &c.Timeouts.TLSBootstrap },
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.tlsBootstrap")),
	mappingOf("timeouts.discovery", durationCodec, func(c *Config) **quorate.Duration { return &c.Timeouts.Discovery },
		at(v1alpha2, v1alpha3, inJoin, "discoveryTimeout"),
		at(v1beta1, v1beta3, inJoin, "discovery.timeout"),
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.discovery")),
	mappingOf("timeouts.upgradeManifests", durationCodec, func(c *Config) **quorate.Duration { return &c.Timeouts.UpgradeManifests },
		at(v1beta4, v1beta4, inInit|inJoin, "timeouts.upgradeManifests")),
	mappingOf("dryRun", boolCodec, func(c *Config) *bool { return &c.DryRun },
		at(v1beta4, v1beta4, inInit|inJoin, "dryRun")),
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

// joinToken ties the Config's token to a location of it that is for some joining
// nodes only.
func joinToken(is func(*Config) bool, locations ...location) fieldMapping {
	m := joinMapping("token", contentCodec, func(c *Config, _ *Join) *quorate.Content { return &c.Token }, locations...)
	get := m.get
	m.get = func(c *Config) (any, bool) {
		v, set := get(c)
		return v, set && is(c)
	}
	return m
}

func apiServer[T any](c *Config, ptr func(*APIServer) *T) *T {
	if c.APIServer == nil {
		return nil
	}
	return ptr(c.APIServer)
}

// ofWorker is a field that only workers have.
func ofWorker[T any](c *Config, p *T) *T {
	if c.APIServer != nil {
		return nil
	}
	return p
}

func endpointAt(name string) []location {
	return []location{
		at(v1alpha1, v1alpha2, inInit, "api."+name),
		at(v1alpha2, v1alpha2, inJoin, name).fromMinor(12),
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
	return initMapping("init.etcd."+name, f, func(i *Init) *T {
		if i.Etcd == nil {
			return nil
		}
		return ptr(i.Etcd)
	}, locations...)
}

func localEtcdMapping[T any](name string, f valueCodec[T], first api, ptr func(*LocalEtcd) *T) fieldMapping {
	locations := []location{at(max(first, v1alpha2), v1beta4, inCluster, "etcd.local."+name)}
	if first == v1alpha1 {
		locations = append(locations, at(v1alpha1, v1alpha1, inCluster, "etcd."+name))
	}
	return initMapping("init.localEtcd."+name, f, func(i *Init) *T { return ptr(&i.LocalEtcd) }, locations...)
}

func argsMapping(name string, component func(*Init) *Component) fieldMapping {
	return initMapping("init."+name+".args", argsCodec, func(i *Init) *Args { return &component(i).Args },
		at(v1alpha1, v1alpha3, inCluster, name+"ExtraArgs").as(asArgMap),
		at(v1beta1, v1beta3, inCluster, name+".extraArgs").as(asArgMap),
		at(v1beta4, v1beta4, inCluster, name+".extraArgs"))
}

func volumesMapping(name string, component func(*Init) *Component) fieldMapping {
	return initMapping("init."+name+".volumes", volumesCodec, func(i *Init) *[]quorate.Volume { return &component(i).Volumes },
		at(v1alpha1, v1alpha1, inCluster, name+"ExtraVolumes").as(asReadOnly),
		at(v1alpha2, v1alpha3, inCluster, name+"ExtraVolumes").as(asWritable),
		at(v1beta1, v1beta4, inCluster, name+".extraVolumes"))
}

func envMapping(name string, component func(*Init) *Component) fieldMapping {
	return initMapping("init."+name+".env", envCodec, func(i *Init) *[]EnvVar { return &component(i).Env },
		at(v1beta4, v1beta4, inCluster, name+".extraEnvs"))
}

// ttlCodec is a token's life, which kubeadm ends at zero when it is to have none.
var ttlCodec = valueCodec[quorate.Duration]{
	set: func(quorate.Duration) bool { return true },
	enc: func(d quorate.Duration) any { return kubeadmTTL(d).String() },
	dec: func(v any) (quorate.Duration, error) {
		d, err := durationOf(v)
		switch {
		case err != nil:
			return 0, err
		case d <= 0:
			return -1, nil
		case d == defaultTokenTTL:
			return 0, nil
		}
		return d, nil
	},
}

// bootstrapTokens are the tokens as objects, from v1alpha2 on; none if kubeadm is
// to make one by itself.
func (c *Config) bootstrapTokens() []any {
	first := BootstrapToken{
		Token: c.Token, TTL: c.Init.TokenTTL,
		Usages: c.Init.TokenUsages, Groups: c.Init.TokenGroups, Description: c.Init.TokenDescription,
	}
	if len(c.Init.OtherTokens) == 0 && first.unset() {
		return nil
	}
	return anyList(append([]BootstrapToken{first}, c.Init.OtherTokens...), BootstrapToken.object)
}

func (b BootstrapToken) unset() bool {
	return b.Token.Len() == 0 && b.TTL == 0 && len(b.Usages) == 0 && len(b.Groups) == 0 && b.Description == ""
}

func (b BootstrapToken) object() any {
	token := map[string]any{"ttl": ttlCodec.enc(b.TTL)}
	if b.Token.Len() > 0 {
		token["token"] = string(b.Token.Bytes())
	}
	if b.Description != "" {
		token["description"] = b.Description
	}
	if len(b.Usages) > 0 {
		token["usages"] = texts(b.Usages)
	}
	if len(b.Groups) > 0 {
		token["groups"] = texts(b.Groups)
	}
	return token
}

func bootstrapTokenOf(v any) (b BootstrapToken, err error) {
	token, ok := v.(map[string]any)
	if !ok && v != nil {
		return b, misread("a token with its fields")
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(token)) {
		switch value := token[name]; name {
		case "token":
			b.Token, err = contentCodec.dec(value)
		case "description":
			b.Description, err = textOf(value)
		case "ttl":
			b.TTL, err = ttlCodec.dec(value)
		case "expires":
			err = errors.New("kubeadm fills in a ttl beside it, and then refuses the two: set ttl")
		case "usages":
			b.Usages, err = listOf(value)
		case "groups":
			b.Groups, err = listOf(value)
		default:
			errs = append(errs, misread("a token's own fields: token, ttl, usages, groups, description"))
			continue
		}
		errs = append(errs, part("."+name, err))
	}
	return b, errors.Join(errs...)
}

func putBootstrapTokens(c *Config, v any) error {
	items, ok := v.([]any)
	if !ok {
		return misread("a list of tokens with their fields")
	}
	tokens, err := eachItem(items, bootstrapTokenOf)
	if err != nil || len(tokens) == 0 {
		return err
	}
	first := tokens[0]
	c.Token = first.Token
	c.Init.TokenTTL, c.Init.TokenDescription = first.TTL, first.Description
	c.Init.TokenUsages, c.Init.TokenGroups = first.Usages, first.Groups
	c.Init.OtherTokens = tokens[1:]
	if len(tokens) == 1 {
		c.Init.OtherTokens = nil
	}
	return nil
}

// putKubeletArgs reads into their own fields the arguments that a Registration has
// fields for. They stay among the arguments too where the fields would not be
// written as the same text in the same order.
func putKubeletArgs(c *Config, v any) error {
	args, err := argsCodec.dec(v)
	if err != nil {
		return err
	}
	r := &c.Registration
	r.NodeIPs, r.Labels = nodeIPsOf(args.Values(nodeIPArg)), labelsOf(args.Values(nodeLabelsArg))
	if r.KubeletArgs = args.Without(nodeIPArg).Without(nodeLabelsArg); !slices.Equal(r.kubeletArgs(), args) {
		r.KubeletArgs = args
	}
	return nil
}

const (
	nodeIPArg     = "node-ip"
	nodeLabelsArg = "node-labels"
)

// nodeIPsOf are the addresses in the last of the arguments, nil if there are none
// or if they are not all addresses.
func nodeIPsOf(values []string) (ips []netip.Addr) {
	if len(values) == 0 {
		return nil
	}
	for text := range strings.SplitSeq(values[len(values)-1], ",") {
		ip, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return nil
		}
		ips = append(ips, ip)
	}
	return ips
}

// labelsOf reads labels as the kubelet does, which passes over empty items, from
// k8s.io/component-base cli/flag/configuration_map.go.
func labelsOf(values []string) map[string]string {
	var labels map[string]string
	for _, value := range values {
		for label := range strings.SplitSeq(value, ",") {
			if label == "" {
				continue
			}
			name, value, _ := strings.Cut(label, "=")
			if labels == nil {
				labels = map[string]string{}
			}
			labels[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return labels
}

// splitEndpoint takes the port off v1alpha1's endpoint, which there is bindPort.
func splitEndpoint(c Config) (host, why string) {
	host, port, err := net.SplitHostPort(c.Init.Endpoint)
	if err != nil || c.APIServer == nil {
		return c.Init.Endpoint, ""
	}
	if port != strconv.Itoa(c.APIServer.Port) {
		return "", "its port is that of every API server, " + strconv.Itoa(c.APIServer.Port) + ": set both the same"
	}
	return host, ""
}
