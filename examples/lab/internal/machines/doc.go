// Package machines makes real hosts on one Linux machine: Debian with systemd
// as its first process and sshd, one systemd-nspawn container each, with an
// address on a bridge made for them. What can go wrong with them has names:
// see [Fault] and [Lab.Inject].
//
// [RootFS] makes the root file system once; [Up] boots hosts that share it
// below an overlay of their own; [Open] finds hosts that an earlier process
// booted; [Lab.Down] and [Down] remove every trace, also of a process that
// crashed: whatever is made on the machine is written to the state directory
// before it is made.
//
// It needs root, Linux, and the Debian packages that [InstallPackages]
// installs. Both hierarchies of cgroups (v1 or hybrid, and v2) are supported.
// A lost host keeps the machine's page cache: a power cut here proves nothing
// about what a disk would have kept.
package machines
