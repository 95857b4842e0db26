// Package settings has the Actions that bring a running cluster to other settings: kubeadm
// writes its own files again from the description, what reads them is restarted, and what does
// not come back has its old file again.
package settings
