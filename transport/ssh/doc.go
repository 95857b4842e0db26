// Package ssh reaches hosts over SSH with golang.org/x/crypto/ssh.
//
// A Transport keeps one TCP connection for each host, shared by all Conns to
// it. Host keys are always verified: by known_hosts, a pinned key or a host
// CA; there is no setting that skips it. Keys come from memory, files or an
// agent's socket, all named by the program: no environment variable and no
// home directory is read.
//
// Commands are sent as one line that any login shell takes, and announce
// themselves on both streams: what something else prints in their place is never taken for
// their output. A command whose ctx ends is ended on the host, its process group
// with it. The Conn is also a transport.Dialer, by direct-tcpip and
// direct-streamlocal; transport.FilesOf makes it a Filer from commands.
//
// docs/ssh.md says what hosts need and what an operator can set.
package ssh
