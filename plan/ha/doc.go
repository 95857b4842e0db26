// Package ha has the recipes for a highly available Kubernetes cluster: which
// steps, in which order, as plans for a plan.Runner.
//
// New renders a Config, once: certificates, etcd's members, keepalived, haproxy
// and kubeadm's configuration. All that can be done with the cluster is a method
// of the Cluster that it returns, and most of it a plan, made before any host is
// touched:
//
//   - Plan brings the cluster up, and brings back a control plane that was reset,
//     is new, or has lost its disk. Its comment lists the steps.
//   - PlanReset takes nodes, or the whole cluster, back to clean hosts, and
//     refuses what would cost the cluster its quorum.
//   - Preflight looks at the hosts and says what stands in the way
//     (docs/preflight.md); every plan starts with the same checks.
//   - Files returns what would be written, with no host involved.
//
// Config.Prerequisites says where programs and images come from: plan/ha/software
// has Present, Packages and Pushed. Certs is where certificates come from;
// pki.Bundle is one, and a program with an authority of its own does not link
// cfssl. Kubeconfig reads the administrator's file once the cluster runs.
//
// plan/ha/hatest has hosts in memory on which all of this runs, for the tests of
// programs that embed it.
package ha
