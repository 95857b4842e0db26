// Package etcdclient reads and maintains a running etcd cluster: the health
// of every member, who leads, the member list, alarms, versions and the size of
// the database; snapshots, compaction, defragmentation, hashes, downgrades. It
// reaches the members through any dialer, an SSH tunnel as well as the network.
//
// It uses etcd's own client, go.etcd.io/etcd/client/v3, one for each endpoint, and
// nothing of that shows in what this package exports. That client is made for an
// application that wants its call to succeed at any member: with all endpoints in
// one, its calls wait for a member that refuses connections until the time is up, and
// then no longer know why. One for each endpoint, which tries once, and a dialer that
// remembers its error report a dead member at once and with the reason, also one of
// TLS, as a value that errors.Is and errors.As find.
//
// Every member is read over a connection of its own, side by side with the
// others and within its own time limit, so a dead one delays no
// other. A member is healthy when it answers a linearizable read: that takes
// its own word and the leader's, and a majority's confirmation that the leader
// still leads. What only the member itself knows, its version or the size of
// its database, is read as well, even without a quorum.
//
// Members may run etcd 3.1 to 3.7. A call that a member's release does not know is an
// *UnsupportedError.
//
// Nothing is logged, no environment variable names a proxy, and a Client that is
// closed leaves no goroutine behind. Two things come with the libraries and cannot be
// turned off from here. gRPC links golang.org/x/net/trace, which puts
// /debug/requests and /debug/events on http.DefaultServeMux when it is imported; build
// the program with the tag grpcnotrace and it does not. etcd's client reads ETCD_CLIENT_DEBUG when it is imported and, if
// that is set, makes gRPC log to standard error.
package etcdclient
