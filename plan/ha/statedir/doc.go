// Package statedir keeps between runs what must not be made twice: a cluster's
// authorities and certificates, its bootstrap token and keepalived's password, in
// a directory of the operator's machine.
//
//	DIR/                  the unit of a backup; not writable by others
//	DIR/cluster/          0700, replaced as a whole
//	DIR/cluster/pki/...   the files of pki.Bundle.Store
//	DIR/cluster/token     the bootstrap token
//	DIR/cluster/vip-auth  keepalived's password
//	DIR/journal.jsonl     what runs did: see Journal
//	DIR/lock              held while the directory is read or written
//
// Files are plain files, for people to read and copy. Whoever can read
// DIR/cluster can act as the cluster.
//
// # What a kill leaves
//
// Nothing in DIR/cluster is ever changed. A change is written to
// DIR/.cluster.next, all of it, and synchronised to the disk; then the two
// directories change places in one operation (renameat2 with RENAME_EXCHANGE on
// Linux, renameatx_np on macOS), and the old one is removed. At whatever moment the
// program or the machine dies, DIR/cluster is the old one or the new one, whole,
// and the next Load removes what was left. File systems without that operation,
// NFS among them, get two renames; dying between them leaves no DIR/cluster, and
// the next Load completes the change. WriteFile does the same for one file
// anywhere.
//
// # Who is kept out
//
// A directory that others can write to, or that belongs to somebody else, is
// refused with an *AccessError: keys in it may be others' by now. So is one that
// has lost a part of what it held, with a *FileError, since making it again would
// cut off whoever trusts the lost one.
package statedir
