// Package transport is how Quorate reaches hosts. It knows commands, files and
// connections, and nothing of Kubernetes.
//
// Four concepts carry it:
//
//   - a Transport dials a host by name and returns a Conn;
//   - a Conn runs commands; that is all it must be able to do;
//   - a Cmd is an argument vector with streams, never a shell line;
//   - abilities beyond that are separate interfaces, found by As: Filer reads and
//     atomically writes files, Gatherer reads much in one round trip, Dialer opens
//     tunnels. FilesOf and GathererOf make them from commands where the Conn has
//     none of its own.
//
// Transports: transport/ssh, transport/local, and transport/faketransport for
// tests without hosts. Package sudo decorates any of them. Package
// transport/transporttest holds the conformance suite that all of them pass
// and that a transport of one's own should pass too. docs/hosts.md says what a
// host's shells and sudo need.
package transport
