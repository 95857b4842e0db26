// Package oracle builds, for one release of Kubernetes after the other, a small
// program that judges kubeadm files with that release's own code: its types
// read strictly, its defaulting, its validation, and those of its kubelet and
// kube-proxy.
//
//	binary, err := oracle.Build(ctx, cacheDir, release)
//	verdicts, err := oracle.Run(ctx, binary, files)
//	migrations, err := oracle.Migrate(ctx, binary, files)
//
// The same program has the release's code do what its "kubeadm config migrate"
// does, which 1.11 and later have: read a file of an earlier API version, and
// write it in its own, see [Release].Migrates.
//
// Releases of every version of kubeadm's configuration API are there, see
// [Releases]. They cannot be linked with each other, nor with this module, so
// each is a program of its own, built in a module that is written for the
// purpose and does not outlive the build. kubeadm/upstream goes deeper for the
// newest release.
//
// # What the verdict covers
//
// Unknown and duplicate fields anywhere in the file, also those of another case,
// which releases until 1.22 take; other API versions than the one to render for
// the release; everything that its loader refuses, as "kubeadm init" and
// "kubeadm join" would; what its kubelet and kube-proxy refuse. A verdict knows
// its own version, so that a kubernetesVersion too old for kubeadm is refused.
//
// Not what kubeadm leaves unchecked: flags that a component does not know,
// overlapping ranges, malformed CA hashes, effects of taints, names of preflight
// checks. Nor kubelet and kube-proxy documents beside a JoinConfiguration, which
// kubeadm ignores, beyond their fields.
//
// # Isolation
//
// A verdict does not depend on the machine. A file that leaves something to it
// or to the network is refused: a version label, a node name, an address, from
// v1alpha3 on a CRI socket. Programs that kubeadm looks for (systemctl) are
// hidden from it.
//
// # Adding a release
//
// Add it to Releases, run "go run ./kubeadm/internal/oracle/cmd/oracles -pin
// VERSION" in the root of the repository, and if that does not compile, set
// _program a file for what changed.
package oracle
