// Package software brings to hosts the programs that a node needs: kubeadm, the
// kubelet, kubectl, a container runtime, and on control planes etcd, keepalived
// and haproxy.
//
// A Source says how: Present takes hosts as they are and checks versions, Packages
// installs with the distribution's package manager, and Pushed sends files and
// images to hosts that reach nothing. A program may bring its own.
package software
