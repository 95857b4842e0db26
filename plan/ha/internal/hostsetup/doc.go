// Package hostsetup has what a node needs of its host before kubeadm runs: kernel
// settings, and a container runtime that agrees with the kubelet. The recipe and
// package software bring it about, preflight compares it.
package hostsetup
