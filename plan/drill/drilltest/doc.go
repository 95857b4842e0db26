// Package drilltest is a fake cluster to run a drill against: control planes in
// memory with an API that stores config maps, members of etcd that elect, and a
// VIP that moves. It is for tests of programs that embed plan/drill: they see the
// whole of a drill, its report and its events, in no time within a
// testing/synctest bubble, and a drill that fails, by a Flaw of the cluster.
//
// It keeps time by the time package and nothing of it reaches the network. How
// soon it notices and elects is about what keepalived and etcd do, but it is no
// model of them.
package drilltest
