// Package kubeadm renders what kubeadm reads on every host of a cluster. It
// does no I/O and never reads anything back from kubeadm's output: token, CA
// hashes and keys are made before.
//
// From one quorate.Cluster and its Secrets, Nodes makes a Node per host, which
// is an Artifact (a file, for root only) and a command. The first control plane
// initialises, every other host joins; before Kubernetes 1.12 every
// control plane initialises. Control planes find their certificates in place, so
// that nothing need be uploaded and nothing expires. KubeletService renders the
// kubelet's unit for hosts without the distribution's packages.
//
// # Versions
//
// Config is the model in between. It belongs to no version of kubeadm's
// configuration API; mappings.go has a line for each of its fields that says where
// every version has it, from v1alpha1 (Kubernetes 1.10) to v1beta4 (1.31 to
// 1.37). APIVersionFor names the version for a target, and Kubeadm.APIVersion
// sets another that the target takes. What a version cannot express is an
// error that names the field, the version and what to do.
//
// # Files of others
//
// The same lines read back: Parse makes a Config of a file of any of these
// versions, and Migrate writes it for another one, in both directions. Both take
// what kubeadm takes: an object counts by being there, zero is not unset,
// arguments repeat, a ConfigMap is the documents in it. What has no field in a
// Config or no place in the new version is reported with its line and path, never
// lost without a word; what Quorate would refuse in a cluster of its own is a
// warning. No message has a secret of the file.
//
// Rules differ by whose file it is. YAML refuses what kubeadm of the version would
// refuse. A Node's Files, which Nodes makes for a cluster of one's own, refuse
// besides what Config.Problems finds: unknown arguments and preflight checks,
// settings that the description decides, values that fail later on a host.
package kubeadm
