//nolint:misspell // Kubernetes has names of its own
package kubeadm

import (
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// flagSet is the arguments that a component of the control plane takes, hidden
// ones included: the component exits at any other, and kubeadm lets them all
// pass. The names are those that the components of 1.37.2 accept, and that the
// source of 1.31 to 1.36 has; help and version, which end a component, are left
// out.
type flagSet struct {
	component string
	// always holds the names that every minor has, separated by white space.
	always string
	// some holds those that come or go.
	some map[string]lifetime
}

// check says why a component of that version does not take an argument, "" if
// it does.
func (f flagSet) check(name string, v quorate.Version) string {
	life, known := f.some[name]
	switch {
	case known && life.holds(v), f.component == "", !known && slices.Contains(strings.Fields(f.always), name):
		return ""
	case known:
		return f.component + " " + v.String() + " does not have this argument, " + life.String() + ": leave it out"
	}
	return f.component + " has no such argument, and would not start"
}

var apiServerFlags = flagSet{
	component: "kube-apiserver",
	always: `
		admission-control admission-control-config-file advertise-address aggregator-reject-forwarding-redirect
		allow-metric-labels allow-metric-labels-manifest allow-privileged anonymous-auth api-audiences apiserver-count
		audit-log-batch-buffer-size audit-log-batch-max-size audit-log-batch-max-wait audit-log-batch-throttle-burst
		audit-log-batch-throttle-enable audit-log-batch-throttle-qps audit-log-compress audit-log-format
		audit-log-maxage audit-log-maxbackup audit-log-maxsize audit-log-mode audit-log-path
		audit-log-truncate-enabled audit-log-truncate-max-batch-size audit-log-truncate-max-event-size
		audit-log-version audit-policy-file audit-webhook-batch-buffer-size audit-webhook-batch-initial-backoff
		audit-webhook-batch-max-size audit-webhook-batch-max-wait audit-webhook-batch-throttle-burst
		audit-webhook-batch-throttle-enable audit-webhook-batch-throttle-qps audit-webhook-config-file
		audit-webhook-initial-backoff audit-webhook-mode audit-webhook-truncate-enabled
		audit-webhook-truncate-max-batch-size audit-webhook-truncate-max-event-size audit-webhook-version
		authentication-config authentication-token-webhook-cache-ttl authentication-token-webhook-config-file
		authentication-token-webhook-version authorization-config authorization-mode authorization-policy-file
		authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl
		authorization-webhook-config-file authorization-webhook-version bind-address cert-dir client-ca-file
		contention-profiling cors-allowed-origins debug-socket-path default-not-ready-toleration-seconds
		default-unreachable-toleration-seconds default-watch-cache-size delete-collection-workers
		disable-admission-plugins disable-http2-serving disabled-metrics egress-selector-config-file emulated-version
		enable-admission-plugins enable-aggregator-routing enable-bootstrap-token-auth enable-garbage-collector
		enable-logs-handler enable-priority-and-fairness encryption-provider-config
		encryption-provider-config-automatic-reload endpoint-reconciler-type etcd-cafile etcd-certfile
		etcd-compaction-interval etcd-count-metric-poll-period etcd-db-metric-poll-interval etcd-healthcheck-timeout
		etcd-keyfile etcd-prefix etcd-readycheck-timeout etcd-servers etcd-servers-overrides event-ttl
		external-hostname feature-gates goaway-chance http2-max-streams-per-connection kubelet-certificate-authority
		kubelet-client-certificate kubelet-client-key kubelet-port kubelet-preferred-address-types
		kubelet-read-only-port kubelet-timeout kubernetes-service-node-port lease-reuse-duration-seconds
		livez-grace-period log-flush-frequency log-json-info-buffer-size log-json-split-stream
		log-text-info-buffer-size log-text-split-stream logging-format max-connection-bytes-per-sec
		max-mutating-requests-inflight max-requests-inflight min-request-timeout oidc-ca-file oidc-client-id
		oidc-groups-claim oidc-groups-prefix oidc-issuer-url oidc-required-claim oidc-signing-algs oidc-username-claim
		oidc-username-prefix peer-advertise-ip peer-advertise-port peer-ca-file permit-address-sharing
		permit-port-sharing profiling proxy-client-cert-file proxy-client-key-file request-timeout
		requestheader-allowed-names requestheader-client-ca-file requestheader-extra-headers-prefix
		requestheader-group-headers requestheader-username-headers runtime-config secure-port
		service-account-extend-token-expiration service-account-issuer service-account-jwks-uri
		service-account-key-file service-account-lookup service-account-max-token-expiration
		service-account-signing-key-file service-cluster-ip-range service-node-port-range
		show-hidden-metrics-for-version shutdown-delay-duration shutdown-send-retry-after
		shutdown-watch-termination-grace-period storage-backend storage-initialization-timeout storage-media-type
		strict-transport-security-directives tls-cert-file tls-cipher-suites tls-min-version tls-private-key-file
		tls-sni-cert-key token-auth-file tracing-config-file v vmodule watch-cache watch-cache-sizes`,
	some: map[string]lifetime{
		"cloud-config":                                {31, 32},
		"cloud-provider":                              {31, 32},
		"coordinated-leadership-lease-duration":       {34, 0},
		"coordinated-leadership-renew-deadline":       {34, 0},
		"coordinated-leadership-retry-period":         {34, 0},
		"emulation-forward-compatible":                {33, 0},
		"min-compatibility-version":                   {35, 0},
		"requestheader-uid-headers":                   {32, 0},
		"runtime-config-emulation-forward-compatible": {33, 0},
		"service-account-signing-endpoint":            {32, 0},
		"tls-curve-preferences":                       {36, 0},
	},
}

var controllerManagerFlags = flagSet{
	component: "kube-controller-manager",
	always: `
		allocate-node-cidrs allow-metric-labels allow-metric-labels-manifest allow-untagged-cloud
		attach-detach-reconcile-sync-period authentication-kubeconfig authentication-skip-lookup
		authentication-token-webhook-cache-ttl authentication-tolerate-lookup-failure authorization-always-allow-paths
		authorization-kubeconfig authorization-webhook-cache-authorized-ttl
		authorization-webhook-cache-unauthorized-ttl bind-address cert-dir cidr-allocator-type client-ca-file
		cloud-config cloud-provider cluster-cidr cluster-name cluster-signing-cert-file cluster-signing-duration
		cluster-signing-key-file cluster-signing-kube-apiserver-client-cert-file
		cluster-signing-kube-apiserver-client-key-file cluster-signing-kubelet-client-cert-file
		cluster-signing-kubelet-client-key-file cluster-signing-kubelet-serving-cert-file
		cluster-signing-kubelet-serving-key-file cluster-signing-legacy-unknown-cert-file
		cluster-signing-legacy-unknown-key-file concurrent-cron-job-syncs concurrent-deployment-syncs
		concurrent-endpoint-syncs concurrent-ephemeralvolume-syncs concurrent-gc-syncs
		concurrent-horizontal-pod-autoscaler-syncs concurrent-job-syncs concurrent-namespace-syncs concurrent-rc-syncs
		concurrent-replicaset-syncs concurrent-resource-quota-syncs concurrent-service-endpoint-syncs
		concurrent-serviceaccount-token-syncs concurrent-statefulset-syncs concurrent-ttl-after-finished-syncs
		concurrent-validating-admission-policy-status-syncs configure-cloud-routes contention-profiling
		controller-start-interval controllers disable-attach-detach-reconcile-sync disable-force-detach-on-timeout
		disable-http2-serving disabled-metrics emulated-version enable-dynamic-provisioning enable-garbage-collector
		enable-hostpath-provisioner enable-leader-migration endpoint-updates-batch-period
		endpointslice-updates-batch-period external-cloud-volume-plugin feature-gates flex-volume-plugin-dir
		horizontal-pod-autoscaler-cpu-initialization-period horizontal-pod-autoscaler-downscale-stabilization
		horizontal-pod-autoscaler-initial-readiness-delay horizontal-pod-autoscaler-sync-period
		horizontal-pod-autoscaler-tolerance http2-max-streams-per-connection kube-api-burst kube-api-content-type
		kube-api-qps kubeconfig large-cluster-size-threshold leader-elect leader-elect-lease-duration
		leader-elect-renew-deadline leader-elect-resource-lock leader-elect-resource-name
		leader-elect-resource-namespace leader-elect-retry-period leader-migration-config
		legacy-service-account-token-clean-up-period log-flush-frequency log-json-info-buffer-size
		log-json-split-stream log-text-info-buffer-size log-text-split-stream logging-format master
		max-endpoints-per-slice min-resync-period mirroring-concurrent-service-endpoint-syncs
		mirroring-endpointslice-updates-batch-period mirroring-max-endpoints-per-subset namespace-sync-period
		node-cidr-mask-size node-cidr-mask-size-ipv4 node-cidr-mask-size-ipv6 node-eviction-rate
		node-monitor-grace-period node-monitor-period node-startup-grace-period node-sync-period
		permit-address-sharing permit-port-sharing profiling pv-recycler-increment-timeout-nfs
		pv-recycler-minimum-timeout-hostpath pv-recycler-minimum-timeout-nfs
		pv-recycler-pod-template-filepath-hostpath pv-recycler-pod-template-filepath-nfs
		pv-recycler-timeout-increment-hostpath pvclaimbinder-sync-period requestheader-allowed-names
		requestheader-client-ca-file requestheader-extra-headers-prefix requestheader-group-headers
		requestheader-username-headers resource-quota-sync-period root-ca-file route-reconciliation-period
		secondary-node-eviction-rate secure-port service-account-private-key-file service-cluster-ip-range
		show-hidden-metrics-for-version terminated-pod-gc-threshold tls-cert-file tls-cipher-suites tls-min-version
		tls-private-key-file tls-sni-cert-key unhealthy-zone-threshold use-service-account-credentials v vmodule`,
	some: map[string]lifetime{
		"concurrent-daemonset-syncs":             {32, 0},
		"concurrent-device-taint-eviction-syncs": {35, 0},
		"concurrent-disruption-syncs":            {37, 0},
		"concurrent-resourceclaim-syncs":         {36, 0},
		"controller-shutdown-timeout":            {35, 0},
		"min-compatibility-version":              {35, 0},
		"requestheader-uid-headers":              {32, 0},
		"tls-curve-preferences":                  {36, 0},
	},
}

var schedulerFlags = flagSet{
	component: "kube-scheduler",
	always: `
		allow-metric-labels allow-metric-labels-manifest authentication-kubeconfig authentication-skip-lookup
		authentication-token-webhook-cache-ttl authentication-tolerate-lookup-failure authorization-always-allow-paths
		authorization-kubeconfig authorization-webhook-cache-authorized-ttl
		authorization-webhook-cache-unauthorized-ttl bind-address cert-dir client-ca-file config contention-profiling
		disable-http2-serving disabled-metrics emulated-version feature-gates http2-max-streams-per-connection
		kube-api-burst kube-api-content-type kube-api-qps kubeconfig leader-elect leader-elect-lease-duration
		leader-elect-renew-deadline leader-elect-resource-lock leader-elect-resource-name
		leader-elect-resource-namespace leader-elect-retry-period log-flush-frequency log-json-info-buffer-size
		log-json-split-stream log-text-info-buffer-size log-text-split-stream logging-format master
		permit-address-sharing permit-port-sharing pod-max-in-unschedulable-pods-duration profiling
		requestheader-allowed-names requestheader-client-ca-file requestheader-extra-headers-prefix
		requestheader-group-headers requestheader-username-headers secure-port show-hidden-metrics-for-version
		tls-cert-file tls-cipher-suites tls-min-version tls-private-key-file tls-sni-cert-key v vmodule
		write-config-to`,
	some: map[string]lifetime{
		"min-compatibility-version": {35, 0},
		"requestheader-uid-headers": {32, 0},
		"tls-curve-preferences":     {36, 0},
	},
}
