// Package kubeadm renders what kubeadm is told on every host of a cluster. It
// does no I/O and never reads anything back from kubeadm's output: token, CA
// hashes and keys are made before.
//
// From one quorate.Cluster and its Secrets, Nodes makes a Node per host, which
// is an Artifact (one file, for root only) and a command. The first control
// plane gets Init, Cluster, Kubelet and KubeProxy documents, every other host a
// Join document; control planes find their certificates in place, so that
// nothing need be uploaded and nothing expires. KubeletService gives the
// kubelet's unit for hosts without the distribution's packages.
//
// Config is the model in between. It belongs to no version of kubeadm's
// configuration API; each version is an encoding of it in a file of its own:
// v1beta4.go for Kubernetes 1.31 to 1.37. What a version cannot express is an
// error that names the field, the version and what to do.
package kubeadm
