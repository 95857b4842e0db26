package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/examples/lab/internal/build"
	"github.com/quorate-dev/quorate/examples/lab/internal/images"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
)

// kubectl runs kubectl on a control plane with the administrator's own file.
func kubectl(ctx context.Context, l *machines.Lab, host, args string) (string, error) {
	return l.SSH(ctx, host, "kubectl --kubeconfig=/etc/kubernetes/admin.conf "+args)
}

// webManifest runs the lab's workload on a worker behind a Service, and a
// client that asks for it by name until it answers.
const webManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "IMAGE", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: client}
spec:
  backoffLimit: 20
  template:
    spec:
      restartPolicy: OnFailure
      containers:
      - name: client
        image: "IMAGE"
        imagePullPolicy: Never
        args: [get, "http://web.default.svc.cluster.local/"]
`

// checkCluster proves that a cluster works: every node Ready at the version,
// CoreDNS running, the API at the VIP, and a pod that reaches a Service by its
// name, through CoreDNS and kube-proxy.
func checkCluster(ctx context.Context, t *testing.T, l *machines.Lab) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	first := l.Hosts()[0].Name

	out, err := kubectl(ctx, l, first, `get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}'`)
	if err != nil {
		return err
	}
	var want []string
	for _, h := range l.Hosts() {
		want = append(want, fmt.Sprintf("%s %s True", h.Name, build.Default.Kubernetes))
	}
	if got := strings.Split(strings.TrimSpace(out), "\n"); !slices.Equal(got, want) {
		return fmt.Errorf("nodes are %q, want %q", got, want)
	}
	if _, err := kubectl(ctx, l, first, "-n kube-system rollout status deployment/coredns --timeout=120s"); err != nil {
		return err
	}
	described, err := operator.ReadCluster(filepath.Join(l.Dir(), clusterFile))
	if err != nil {
		return err
	}
	vip := fmt.Sprintf("curl -sSf --cacert /etc/kubernetes/pki/ca.crt https://%s/readyz", described.WithDefaults().Endpoint.HostPort())
	if out, err := l.SSH(ctx, l.Hosts()[len(l.Hosts())-1].Name, vip); err != nil || out != "ok" {
		return fmt.Errorf("the API at the VIP, from the last host: %q, %w", out, err)
	}
	// An earlier check's client has answered already, perhaps on a host that is another now.
	if _, err := kubectl(ctx, l, first, "delete job client --ignore-not-found"); err != nil {
		return err
	}
	apply := "kubectl --kubeconfig=/etc/kubernetes/admin.conf apply -f - <<'END'\n" +
		strings.ReplaceAll(webManifest, "IMAGE", images.WebImage) + "END"
	if _, err := l.SSH(ctx, first, apply); err != nil {
		return err
	}
	if _, err := kubectl(ctx, l, first, "wait --for=condition=complete job/client --timeout=120s"); err != nil {
		return err
	}
	answer, err := kubectl(ctx, l, first, "logs job/client")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "web-") {
		return fmt.Errorf("the Service answered %q, want the name of a pod", answer)
	}
	t.Logf("a pod reached the Service web through DNS and kube-proxy: %s answered", strings.TrimSpace(answer))
	return nil
}

// etcdctl reads etcd as the API server of a control plane does.
func etcdctl(ctx context.Context, l *machines.Lab, host, args string) (string, error) {
	return l.SSH(ctx, host, "ETCDCTL_CACERT=/etc/etcd/pki/ca.crt ETCDCTL_CERT=/etc/kubernetes/pki/apiserver-etcd-client.crt "+
		"ETCDCTL_KEY=/etc/kubernetes/pki/apiserver-etcd-client.key etcdctl "+args)
}

// checkMembers proves that every control plane has a healthy member behind mutual
// TLS, and that a client without a certificate is turned away.
func checkMembers(ctx context.Context, l *machines.Lab) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	first := l.Hosts()[0]
	out, err := etcdctl(ctx, l, first.Name, "endpoint health --cluster 2>&1")
	if err != nil {
		return err
	}
	if got, want := strings.Count(out, "is healthy"), l.Spec().ControlPlanes; got != want {
		return fmt.Errorf("%d etcd members are healthy, want %d: %s", got, want, out)
	}
	bare := fmt.Sprintf("curl -s --cacert /etc/etcd/pki/ca.crt https://%s:2379/health", first.Address)
	if out, err := l.SSH(ctx, first.Name, bare); err == nil {
		return fmt.Errorf("etcd answered a client without a certificate: %s", out)
	}
	return nil
}
