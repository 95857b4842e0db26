// Package etcdclient looks at a running etcd cluster: the health of every
// member, who leads, the member list, alarms and the size of the database. It
// reaches the members through any dialer, an SSH tunnel as well as the network.
// It speaks etcd's protocol as etcd generates it, go.etcd.io/etcd/api/v3, on a
// gRPC connection; neither shows in what this package exports. The client that
// etcd builds on it, client/v3, is made for an application that wants its call
// to succeed at any member: its calls wait for a member that refuses
// connections until the time is up, and then no longer know why.
//
// Every member is asked on a connection of its own, side by side with the
// others and within its own time limit, so a dead one costs the answer of no
// other. A member is healthy when it answers a linearizable read: that takes
// its own word and the leader's, and a majority's confirmation that the leader
// still leads. What only the member itself knows, its version or the size of
// its database, is asked as well and comes even when there is no quorum.
//
// Nothing is logged, no environment variable names a proxy, and a Client that
// is closed leaves no goroutine behind.
package etcdclient
