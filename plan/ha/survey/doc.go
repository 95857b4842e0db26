// Package survey reads a running cluster, and holds a description against it.
//
// A creation's plan has its steps: each host says by which settings its programs run, the
// API what kubeadm's ConfigMaps say, and one verdict compares all of it with the
// description before anything is done to any host. Where a field differs that a run
// does not bring about, the verdict is a *DriftError that names the field.
//
// Fields says of every field of a description what becomes of a change to it.
package survey
