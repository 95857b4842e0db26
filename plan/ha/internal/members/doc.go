// Package members has the Actions on etcd's membership, health and quorum. They
// ask etcd itself, over a tunnel from a host.
package members
