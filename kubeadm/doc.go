// Package kubeadm renders what kubeadm is told on every host of a cluster. It
// does no I/O and never reads anything back from kubeadm's output: token, CA
// hashes and keys are made before.
//
// From one quorate.Cluster and its Secrets, Nodes makes a Node per host, which
// is an Artifact (a file, for root only) and a command. The first control plane
// is told to initialise, every other host to join; before Kubernetes 1.12 every
// control plane initialises. Control planes find their certificates in place, so
// that nothing need be uploaded and nothing expires. KubeletService gives the
// kubelet's unit for hosts without the distribution's packages.
//
// # Versions
//
// Config is the model in between. It belongs to no version of kubeadm's
// configuration API; mappings.go has a line for each of its fields that says where
// every version has it, from v1alpha1 (Kubernetes 1.10) to v1beta4 (1.31 to
// 1.37). APIVersionFor names the version for a target, and Kubeadm.APIVersion
// asks for another that the target takes. What a version cannot express is an
// error that names the field, the version and what to do.
//
// The same lines read back: Parse makes a Config of a file of any of these
// versions, and Migrate writes it for another one, in both directions. What has
// no field in a Config is reported, never lost without a word.
package kubeadm
