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
//   - PlanReconfigure brings a cluster that runs to changed settings (docs/settings.md).
//   - PlanReplace takes nodes out whose hosts are gone for good, and has others come in their
//     place (docs/members.md).
//   - PlanReset takes nodes, or the whole cluster, back to clean hosts, and
//     refuses what would cost the cluster its quorum.
//   - Preflight looks at the hosts and reports what prevents a run
//     (docs/preflight.md); every plan starts with the same checks.
//   - Files returns what would be written, with no host involved.
//
// Config.Prerequisites says where programs and images come from: plan/ha/software
// has Present, Packages and Pushed. Certs is where certificates come from;
// pki.Bundle is one, and a program with an authority of its own does not link
// cfssl. Kubeconfig reads the administrator's file once the cluster runs.
//
// Steps of your own go into a plan by Plan.Before and After and the names of steps:
// StepReady, StepInit.On("cp-1"), Cluster.StepBootstrap. docs/embedding.md has all that a
// program can bring itself.
//
// plan/ha/hatest has hosts in memory on which all of this runs, for the tests of
// programs that embed it.
//
// Importing this package links gRPC, by way of etcd's client, and gRPC's
// golang.org/x/net/trace puts the handlers /debug/requests and /debug/events on
// http.DefaultServeMux. A program that serves that mux builds with -tags grpcnotrace,
// which leaves them out. Importing package plan alone registers nothing.
package ha
