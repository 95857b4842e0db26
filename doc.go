// Package quorate is the vocabulary of an embeddable SDK for highly available
// Kubernetes. A program describes a cluster once, as a Cluster; the packages
// around this one turn it into certificates, an etcd cluster with mutual TLS, a
// virtual IP that survives the loss of a control plane, kubeadm's configuration
// for every node, and a plan that puts all of it on hosts in the right order and can
// be run again at any time.
//
// A quorate body is one with enough of its members present to act. That is what
// the SDK keeps true.
//
// # Packages
//
//	quorate                 Cluster, Node, Version, File, Content, Artifact
//	  pki                   authorities and leaves, issued where they are needed
//	  etcd                  a member's environment, unit and flags
//	    etcd/etcdclient     health, membership and figures, over any dialer
//	  vip                   keepalived's configuration and its check, and haproxy's
//	  kubeadm               what kubeadm reads on each node
//	  transport             how hosts are reached: commands, files, tunnels
//	    transport/ssh       over SSH, host keys always verified
//	    transport/local     this machine
//	    transport/faketransport  hosts in memory, for tests without hosts
//	    transport/transporttest  the suite that every transport passes
//	  plan                  the engine: steps, their order, the runner, previews, rollback
//	    plan/events         a run's events as JSON Lines
//	    plan/journal        what a journal of one's own is made with
//	    plan/ha             the recipes: which steps in which order, for a whole cluster
//	      plan/ha/preflight whether hosts are fit for it
//	      plan/ha/survey  what runs, and how it differs from the description
//	      plan/ha/software  how programs come to hosts
//	      plan/ha/hatest    hosts in memory that a recipe turns into a cluster
//	    plan/drill          a cluster broken on purpose, and what its clients felt
//	    plan/drill/drilltest  a fake cluster to drill
//	    plan/clusterfile    a Cluster from YAML, strictly
//	    plan/filejournal    what runs did, in a file on this machine
//	    plan/etcdjournal    the same in etcd, for several operators (own module)
//	    plan/otelplan       runs as OpenTelemetry traces (own module)
//	    plan/journaltest    the suite that every journal passes
//	  examples              render, quickstart, installer, lab
//
// Data flows one way:
//
//	Cluster -> pki.Bundle -> files -> ha.Cluster -> plan.Plan -> transport -> hosts
//
// Three rules make that hold; TestTransportsKnowNothingOfKubernetes and its
// neighbours enforce them:
//
//   - renderers (pki, etcd, vip, kubeadm) do no I/O: same input, same bytes;
//   - transports and the engine, package plan, know nothing of Kubernetes;
//   - only plan/ha joins them, and takes certificates by an interface, so that a
//     program with its own authority does not link cfssl.
//
// # Reading on
//
// Start with Cluster, then ha.New and ha.Cluster.Plan, whose comment lists the
// steps in their order, then plan.Runner. To see what would be written without
// touching any host, use ha.Cluster.Files. To write tests, use hatest, or
// faketransport for Actions of your own.
//
// # Promises
//
// Nothing here prints, exits, reads the environment or keeps state in package
// variables. Bad input is refused with every problem at once, each with the
// path of its field, before any host is touched (Problems, InvalidError).
// Secrets are Content made by Sensitive: formatted, logged or marshalled at any
// depth they show a placeholder, and they are never part of a command line.
package quorate
