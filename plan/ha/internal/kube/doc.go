// Package kube has the Actions that run kubeadm and kubectl on a host.
package kube
