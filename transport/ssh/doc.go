// Package ssh reaches hosts over SSH with golang.org/x/crypto/ssh.
//
// A Transport keeps one TCP connection for each host, shared by all Conns to
// it. Host keys are always verified: by known_hosts, a pinned key or a host
// CA; there is no setting that skips it. Keys come from memory, files or an
// agent's socket, all named by the program: no environment variable and no
// home directory is read.
//
// Commands are sent as one shell-quoted line, "exec PROGRAM ARGS...", so that
// the login shell of the user adds nothing, and signals and exit status are
// the program's own. The Conn is also a transport.Dialer, by direct-tcpip and
// direct-streamlocal; transport.FilesOf gives it a Filer made from commands.
package ssh
