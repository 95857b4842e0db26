package settings

import "github.com/quorate-dev/quorate/internal/hostpath"

const pki = hostpath.KubernetesPKI

func newKubeletFields() Table {
	return table(map[string]Class{
		"address":                  ListenPublic,
		"healthzBindAddress":       ListenAny,
		"healthzPort":              Port,
		"port":                     Port,
		"readOnlyPort":             PortOrOff,
		"clusterDNS":               ClusterDNS,
		"clusterDNS[]":             ClusterDNS,
		"podCIDR":                  PerHost,
		"providerID":               PerHost,
		"enableServer":             On,
		"registerNode":             On,
		"runOnce":                  Off,
		"clusterDomain":            Elsewhere,
		"staticPodPath":            Elsewhere,
		"containerRuntimeEndpoint": Elsewhere,
	}, `
allowedUnsafeSysctls allowedUnsafeSysctls[] authentication authentication.anonymous authentication.anonymous.enabled authentication.webhook
authentication.webhook.cacheTTL authentication.webhook.enabled authentication.x509 authorization authorization.mode authorization.webhook
authorization.webhook.cacheAuthorizedTTL authorization.webhook.cacheUnauthorizedTTL cgroupDriver cgroupRoot cgroupsPerQOS
configMapAndSecretChangeDetectionStrategy containerLogMaxFiles containerLogMaxSize containerLogMaxWorkers containerLogMonitorInterval contentType
cpuCFSQuota cpuCFSQuotaPeriod cpuManagerPolicy cpuManagerPolicyOptions cpuManagerPolicyOptions{} cpuManagerReconcilePeriod crashLoopBackOff
crashLoopBackOff.maxContainerRestartPeriod defaultPodSysctls defaultPodSysctls{} enableContentionProfiling enableControllerAttachDetach
enableDebugFlagsHandler enableDebuggingHandlers enableProfilingHandler enableSystemLogHandler enableSystemLogQuery enforceNodeAllocatable
enforceNodeAllocatable[] eventBurst eventRecordQPS evictionHard evictionHard{} evictionMaxPodGracePeriod evictionMinimumReclaim
evictionMinimumReclaim{} evictionPressureTransitionPeriod evictionSoft evictionSoftGracePeriod evictionSoftGracePeriod{} evictionSoft{} failCgroupV1
failSwapOn featureGates featureGates{} fileCheckFrequency hairpinMode httpCheckFrequency imageGCHighThresholdPercent imageGCLowThresholdPercent
imageMaximumGCAge imageMinimumGCAge imagePullCredentialsVerificationPolicy imageServiceEndpoint iptablesDropBit iptablesMasqueradeBit
kernelMemcgNotification kubeAPIBurst kubeAPIQPS kubeReserved kubeReservedCgroup kubeReserved{} kubeletCgroups localStorageCapacityIsolation logging
logging.flushFrequency logging.format logging.options logging.options.json logging.options.json.infoBufferSize logging.options.json.splitStream
logging.options.text logging.options.text.infoBufferSize logging.options.text.splitStream logging.sanitization logging.verbosity logging.vmodule
logging.vmodule[] logging.vmodule[].filePattern logging.vmodule[].verbosity makeIPTablesUtilChains maxOpenFiles maxParallelImagePulls maxPods
memoryManagerPolicy memoryReservationPolicy memorySwap memorySwap.swapBehavior memoryThrottlingFactor mergeDefaultEvictionSettings
nodeLeaseDurationSeconds nodeStatusMaxImages nodeStatusReportFrequency nodeStatusUpdateFrequency oomScoreAdj podLogsDir podPidsLimit podsPerCore
preloadedImagesVerificationAllowlist preloadedImagesVerificationAllowlist[] protectKernelDefaults qosReserved qosReserved{} registerWithTaints
registerWithTaints[] registryBurst registryPullQPS reservedMemory reservedMemory[] reservedMemory[].limits reservedMemory[].numaNode
reservedSystemCPUs resolvConf rotateCertificates runtimeRequestTimeout seccompDefault serializeImagePulls serverTLSBootstrap
showHiddenMetricsForVersion shutdownGracePeriod shutdownGracePeriodByPodPriority shutdownGracePeriodByPodPriority[]
shutdownGracePeriodByPodPriority[].priority shutdownGracePeriodByPodPriority[].shutdownGracePeriodSeconds shutdownGracePeriodCriticalPods
singleProcessOOMKill staticPodURL staticPodURLHeader staticPodURLHeader{} staticPodURLHeader{}[] streamingConnectionIdleTimeout syncFrequency
systemCgroups systemReserved systemReservedCgroup systemReserved{} tlsCertFile tlsCipherSuites tlsCipherSuites[] tlsCurvePreferences
tlsCurvePreferences[] tlsMinVersion tlsPrivateKeyFile topologyManagerPolicy topologyManagerPolicyOptions topologyManagerPolicyOptions{}
topologyManagerScope tracing tracing.endpoint tracing.samplingRatePerMillion userNamespaces userNamespaces.idsPerPod volumePluginDir
volumeStatsAggPeriod
`).with(map[string]string{
		"authentication.x509.clientCAFile": hostpath.KubernetesCA,
	})
}

func newKubeProxyFields() Table {
	return table(map[string]Class{
		"bindAddress":                 ListenPublic,
		"healthzBindAddress":          ListenAnyPort,
		"metricsBindAddress":          ListenAnyPort,
		"nodePortAddresses":           NodeRanges,
		"nodePortAddresses[]":         NodeRanges,
		"winkernel.sourceVip":         PerHost,
		"clusterCIDR":                 Elsewhere,
		"clientConnection.kubeconfig": Elsewhere,
		"hostnameOverride":            Elsewhere,
	}, `
bindAddressHardFail clientConnection clientConnection.acceptContentTypes clientConnection.burst clientConnection.contentType clientConnection.qps
configSyncPeriod conntrack conntrack.max conntrack.maxPerCore conntrack.min conntrack.tcpBeLiberal conntrack.tcpCloseWaitTimeout
conntrack.tcpEstablishedTimeout conntrack.udpStreamTimeout conntrack.udpTimeout detectLocal detectLocal.bridgeInterface
detectLocal.interfaceNamePrefix detectLocalMode enableProfiling featureGates featureGates{} iptables iptables.localhostNodePorts
iptables.masqueradeAll iptables.masqueradeBit iptables.minSyncPeriod iptables.syncPeriod ipvs ipvs.excludeCIDRs ipvs.excludeCIDRs[] ipvs.minSyncPeriod
ipvs.scheduler ipvs.strictARP ipvs.syncPeriod ipvs.tcpFinTimeout ipvs.tcpTimeout ipvs.udpTimeout logging logging.flushFrequency logging.format
logging.options logging.options.json logging.options.json.infoBufferSize logging.options.json.splitStream logging.options.text
logging.options.text.infoBufferSize logging.options.text.splitStream logging.verbosity logging.vmodule logging.vmodule[] logging.vmodule[].filePattern
logging.vmodule[].verbosity mode nftables nftables.masqueradeAll nftables.masqueradeBit nftables.minSyncPeriod nftables.syncPeriod oomScoreAdj
portRange resourceContainer showHiddenMetricsForVersion udpIdleTimeout windowsRunAsService winkernel winkernel.enableDSR
winkernel.forwardHealthCheckVip winkernel.networkName winkernel.rootHnsEndpointName
`)
}

func newAPIServerArgs() Table {
	return table(map[string]Class{
		"bind-address":                ListenPublic,
		"insecure-port":               InsecurePort,
		"port":                        InsecurePort,
		"kubelet-port":                KubeletPort,
		"kubelet-https":               On,
		"service-node-port-range":     NodePorts,
		"external-hostname":           OwnName,
		"address":                     ListenAny,
		"insecure-bind-address":       ListenAny,
		"peer-advertise-ip":           PerHost,
		"apiserver-count":             ControlPlanes,
		"allow-privileged":            On,
		"advertise-address":           Elsewhere,
		"secure-port":                 Elsewhere,
		"etcd-servers":                Elsewhere,
		"etcd-cafile":                 Elsewhere,
		"etcd-certfile":               Elsewhere,
		"etcd-keyfile":                Elsewhere,
		"service-cluster-ip-range":    Elsewhere,
		"anonymous-auth":              Elsewhere,
		"enable-bootstrap-token-auth": Elsewhere,
	}, `
add-dir-header admission-control aggregator-reject-forwarding-redirect allow-metric-labels allow-metric-labels-manifest alsologtostderr api-audiences
audit-dynamic-configuration audit-log-batch-buffer-size audit-log-batch-max-size audit-log-batch-max-wait audit-log-batch-throttle-burst
audit-log-batch-throttle-enable audit-log-batch-throttle-qps audit-log-compress audit-log-format audit-log-maxage audit-log-maxbackup
audit-log-maxsize audit-log-mode audit-log-path audit-log-truncate-enabled audit-log-truncate-max-batch-size audit-log-truncate-max-event-size
audit-log-version audit-webhook-batch-buffer-size audit-webhook-batch-initial-backoff audit-webhook-batch-max-size audit-webhook-batch-max-wait
audit-webhook-batch-throttle-burst audit-webhook-batch-throttle-enable audit-webhook-batch-throttle-qps audit-webhook-initial-backoff
audit-webhook-mode audit-webhook-truncate-enabled audit-webhook-truncate-max-batch-size audit-webhook-truncate-max-event-size audit-webhook-version
authentication-token-webhook-cache-ttl authentication-token-webhook-version authorization-mode authorization-rbac-super-user
authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl authorization-webhook-version cert-dir cloud-provider
cloud-provider-gce-l7lb-src-cidrs cloud-provider-gce-lb-src-cidrs contention-profiling coordinated-leadership-lease-duration
coordinated-leadership-renew-deadline coordinated-leadership-retry-period cors-allowed-origins debug-socket-path default-not-ready-toleration-seconds
default-unreachable-toleration-seconds default-watch-cache-size delete-collection-workers deserialization-cache-size disable-admission-plugins
disable-http2-serving disabled-metrics emulated-version emulation-forward-compatible enable-admission-plugins enable-aggregator-routing
enable-garbage-collector enable-inflight-quota-handler enable-logs-handler enable-priority-and-fairness enable-swagger-ui
encryption-provider-config-automatic-reload endpoint-reconciler-type etcd-compaction-interval etcd-count-metric-poll-period
etcd-db-metric-poll-interval etcd-healthcheck-timeout etcd-prefix etcd-quorum-read etcd-readycheck-timeout etcd-servers-overrides event-ttl
experimental-logging-sanitization feature-gates goaway-chance http2-max-streams-per-connection identity-lease-duration-seconds
identity-lease-renew-interval-seconds ir-data-source ir-dbname ir-hawkular ir-influxdb-host ir-namespace-only ir-password ir-percentile ir-user
kubelet-preferred-address-types kubelet-read-only-port kubelet-timeout kubernetes-service-node-port lease-reuse-duration-seconds livez-grace-period
log-backtrace-at log-dir log-file log-file-max-size log-flush-frequency log-json-info-buffer-size log-json-split-stream log-text-info-buffer-size
log-text-split-stream logging-format logtostderr master-service-namespace max-connection-bytes-per-sec max-mutating-requests-inflight
max-requests-inflight min-compatibility-version min-request-timeout oidc-client-id oidc-groups-claim oidc-groups-prefix oidc-issuer-url
oidc-required-claim oidc-signing-algs oidc-username-claim oidc-username-prefix one-output peer-advertise-port permit-address-sharing
permit-port-sharing profiling repair-malformed-updates request-timeout requestheader-allowed-names requestheader-extra-headers-prefix
requestheader-group-headers requestheader-uid-headers requestheader-username-headers runtime-config runtime-config-emulation-forward-compatible
service-account-api-audiences service-account-extend-token-expiration service-account-issuer service-account-jwks-uri service-account-lookup
service-account-max-token-expiration service-account-signing-endpoint show-hidden-metrics-for-version shutdown-delay-duration
shutdown-send-retry-after shutdown-watch-termination-grace-period skip-headers skip-log-headers ssh-user stderrthreshold storage-backend
storage-initialization-timeout storage-media-type storage-version storage-versions strict-transport-security-directives target-ram-mb
tls-cipher-suites tls-curve-preferences tls-min-version v vmodule watch-cache watch-cache-sizes
`).with(map[string]string{
		"client-ca-file":                   hostpath.KubernetesCA,
		"tls-cert-file":                    pki + "/apiserver.crt",
		"tls-private-key-file":             pki + "/apiserver.key",
		"kubelet-client-certificate":       pki + "/apiserver-kubelet-client.crt",
		"kubelet-client-key":               pki + "/apiserver-kubelet-client.key",
		"service-account-key-file":         pki + "/sa.pub",
		"service-account-signing-key-file": pki + "/sa.key",
		"requestheader-client-ca-file":     pki + "/front-proxy-ca.crt",
		"proxy-client-cert-file":           pki + "/front-proxy-client.crt",
		"proxy-client-key-file":            pki + "/front-proxy-client.key",
	}).inputs(`
admission-control-config-file audit-policy-file audit-webhook-config-file authentication-config authentication-token-webhook-config-file
authorization-config authorization-policy-file authorization-webhook-config-file basic-auth-file cloud-config egress-selector-config-file
encryption-provider-config experimental-encryption-provider-config kubelet-certificate-authority oidc-ca-file peer-ca-file ssh-keyfile tls-ca-file
tls-sni-cert-key token-auth-file tracing-config-file
`)
}

func newControllerManagerArgs() Table {
	return table(map[string]Class{
		"bind-address":             ListenAny,
		"address":                  ListenAny,
		"secure-port":              ProbePort,
		"port":                     InsecurePort,
		"controllers":              Controllers,
		"node-cidr-mask-size":      OneFamily,
		"cluster-cidr":             Elsewhere,
		"service-cluster-ip-range": Elsewhere,
		"cluster-name":             Elsewhere,
		"leader-elect":             Elsewhere,
	}, `
add-dir-header allocate-node-cidrs allow-metric-labels allow-metric-labels-manifest allow-untagged-cloud alsologtostderr
attach-detach-reconcile-sync-period authentication-skip-lookup authentication-token-webhook-cache-ttl authentication-tolerate-lookup-failure
authorization-always-allow-paths authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl cert-dir cidr-allocator-type
cloud-provider cloud-provider-gce-lb-src-cidrs cluster-signing-duration concurrent-cron-job-syncs concurrent-daemonset-syncs
concurrent-deployment-syncs concurrent-device-taint-eviction-syncs concurrent-disruption-syncs concurrent-endpoint-syncs
concurrent-ephemeralvolume-syncs concurrent-gc-syncs concurrent-horizontal-pod-autoscaler-syncs concurrent-job-syncs concurrent-namespace-syncs
concurrent-rc-syncs concurrent-replicaset-syncs concurrent-resource-quota-syncs concurrent-resourceclaim-syncs concurrent-service-endpoint-syncs
concurrent-service-syncs concurrent-serviceaccount-token-syncs concurrent-statefulset-syncs concurrent-ttl-after-finished-syncs
concurrent-validating-admission-policy-status-syncs configure-cloud-routes contention-profiling controller-shutdown-timeout controller-start-interval
deleting-pods-burst deleting-pods-qps deployment-controller-sync-period disable-attach-detach-reconcile-sync disable-force-detach-on-timeout
disable-http2-serving disabled-metrics emulated-version enable-dynamic-provisioning enable-garbage-collector enable-hostpath-provisioner
enable-leader-migration enable-taint-manager endpoint-updates-batch-period endpointslice-updates-batch-period experimental-cluster-signing-duration
experimental-logging-sanitization external-cloud-volume-plugin feature-gates flex-volume-plugin-dir
horizontal-pod-autoscaler-cpu-initialization-period horizontal-pod-autoscaler-downscale-delay horizontal-pod-autoscaler-downscale-stabilization
horizontal-pod-autoscaler-initial-readiness-delay horizontal-pod-autoscaler-sync-period horizontal-pod-autoscaler-tolerance
horizontal-pod-autoscaler-upscale-delay horizontal-pod-autoscaler-use-rest-clients http2-max-streams-per-connection
insecure-experimental-approve-all-kubelet-csrs-for-group kube-api-burst kube-api-content-type kube-api-qps large-cluster-size-threshold
leader-elect-lease-duration leader-elect-renew-deadline leader-elect-resource-lock leader-elect-resource-name leader-elect-resource-namespace
leader-elect-retry-period legacy-service-account-token-clean-up-period log-backtrace-at log-dir log-file log-file-max-size log-flush-frequency
log-json-info-buffer-size log-json-split-stream log-text-info-buffer-size log-text-split-stream logging-format logtostderr master
max-endpoints-per-slice min-compatibility-version min-resync-period mirroring-concurrent-service-endpoint-syncs
mirroring-endpointslice-updates-batch-period mirroring-max-endpoints-per-subset namespace-sync-period node-cidr-mask-size-ipv4
node-cidr-mask-size-ipv6 node-eviction-rate node-monitor-grace-period node-monitor-period node-startup-grace-period node-sync-period one-output
permit-address-sharing permit-port-sharing pod-eviction-timeout profiling pv-recycler-increment-timeout-nfs pv-recycler-minimum-timeout-hostpath
pv-recycler-minimum-timeout-nfs pv-recycler-pod-template-filepath-hostpath pv-recycler-pod-template-filepath-nfs
pv-recycler-timeout-increment-hostpath pvclaimbinder-sync-period register-retry-count requestheader-allowed-names requestheader-extra-headers-prefix
requestheader-group-headers requestheader-uid-headers requestheader-username-headers resource-quota-sync-period route-reconciliation-period
secondary-node-eviction-rate show-hidden-metrics-for-version skip-headers skip-log-headers stderrthreshold terminated-pod-gc-threshold
tls-cipher-suites tls-curve-preferences tls-min-version unhealthy-zone-threshold use-service-account-credentials v vmodule
volume-host-allow-local-loopback volume-host-cidr-denylist
`).with(map[string]string{
		"client-ca-file":                   hostpath.KubernetesCA,
		"root-ca-file":                     hostpath.KubernetesCA,
		"cluster-signing-cert-file":        hostpath.KubernetesCA,
		"cluster-signing-key-file":         pki + "/ca.key",
		"service-account-private-key-file": pki + "/sa.key",
		"requestheader-client-ca-file":     pki + "/front-proxy-ca.crt",
		"kubeconfig":                       hostpath.ControllerManagerConf,
		"authentication-kubeconfig":        hostpath.ControllerManagerConf,
		"authorization-kubeconfig":         hostpath.ControllerManagerConf,
	}).inputs(`
cloud-config cluster-signing-kube-apiserver-client-cert-file cluster-signing-kube-apiserver-client-key-file cluster-signing-kubelet-client-cert-file
cluster-signing-kubelet-client-key-file cluster-signing-kubelet-serving-cert-file cluster-signing-kubelet-serving-key-file
cluster-signing-legacy-unknown-cert-file cluster-signing-legacy-unknown-key-file leader-migration-config tls-ca-file tls-cert-file
tls-private-key-file tls-sni-cert-key
`)
}

func newSchedulerArgs() Table {
	return table(map[string]Class{
		"bind-address":    ListenAny,
		"address":         ListenAny,
		"secure-port":     ProbePort,
		"port":            InsecurePort,
		"write-config-to": Ends,
		"leader-elect":    Elsewhere,
	}, `
add-dir-header algorithm-provider allow-metric-labels allow-metric-labels-manifest alsologtostderr authentication-skip-lookup
authentication-token-webhook-cache-ttl authentication-tolerate-lookup-failure authorization-always-allow-paths
authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl cert-dir contention-profiling disable-http2-serving
disabled-metrics emulated-version experimental-logging-sanitization failure-domains feature-gates hard-pod-affinity-symmetric-weight
http2-max-streams-per-connection kube-api-burst kube-api-content-type kube-api-qps leader-elect-lease-duration leader-elect-renew-deadline
leader-elect-resource-lock leader-elect-resource-name leader-elect-resource-namespace leader-elect-retry-period lock-object-name lock-object-namespace
log-backtrace-at log-dir log-file log-file-max-size log-flush-frequency log-json-info-buffer-size log-json-split-stream log-text-info-buffer-size
log-text-split-stream logging-format logtostderr master min-compatibility-version one-output permit-address-sharing permit-port-sharing
pod-max-in-unschedulable-pods-duration policy-configmap policy-configmap-namespace profiling requestheader-allowed-names
requestheader-extra-headers-prefix requestheader-group-headers requestheader-uid-headers requestheader-username-headers scheduler-name
show-hidden-metrics-for-version skip-headers skip-log-headers stderrthreshold tls-cipher-suites tls-curve-preferences tls-min-version
use-legacy-policy-config v vmodule
`).with(map[string]string{
		"kubeconfig":                hostpath.SchedulerConf,
		"authentication-kubeconfig": hostpath.SchedulerConf,
		"authorization-kubeconfig":  hostpath.SchedulerConf,
	}).inputs(`
client-ca-file config policy-config-file requestheader-client-ca-file tls-cert-file tls-private-key-file tls-sni-cert-key
`)
}
