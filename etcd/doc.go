// Package etcd turns a cluster description into the etcd members that run on
// its control planes: for each a systemd unit and the settings etcdctl wants on
// that host. It is pure: nothing is read, written or started. Members that run
// are looked at with package etcdclient, below this one.
//
// # What is rendered
//
// /etc/systemd/system/etcd.service carries every setting as a flag of ExecStart,
// so that one look shows what a member runs with, and Member.Argv returns the same
// flags to a program that starts etcd by itself. An environment file would hide
// half of it, and etcd stops with "conflicting environment variable is shadowed"
// when a variable and a flag say the same thing.
//
// /etc/etcd.env is for people: after `set -a; . /etc/etcd.env` etcdctl on that
// host reaches every member. The unit does not read it.
//
// The certificates come from package pki and are in /etc/etcd/pki, out of reach of
// `kubeadm reset`, which empties /etc/kubernetes/pki. It empties /var/lib/etcd
// too, also on a control plane whose etcd is external (getEtcdDataDir in kubeadm
// 1.31 to 1.37 falls back to it when there is no manifest of etcd's), which is why
// the data is in /var/lib/quorate/etcd by default (Etcd.DataDir).
//
// # What the unit does
//
// Clients and peers speak TLS, 1.2 or later as etcd has it, and must present a
// certificate of etcd's own authority. Etcd.PlainHTTP, which is for Kubernetes
// 1.10 alone, turns that off and asks for no certificates. A member listens on
// its node's addresses and on loopback, and from etcd 3.3 on metrics and health
// are served by plain HTTP on loopback alone.
//
// The flags are those that Etcd.Version has: a listener for metrics and
// compaction by anything but whole hours from 3.3 on, the choice of a logger
// from 3.4 on, before which etcdctl must also be set to version 3 of the
// API (etcd's CHANGELOG-3.3 and CHANGELOG-3.4).
//
// Stacked members are kubeadm's: there is nothing to render for them.
//
// Type=notify: the unit is "started" once the member has joined a quorum, so the
// first member of a new cluster waits for the second, without limit
// (TimeoutStartSec=infinity). Start the members side by side, or with
// `systemctl start --no-block`.
//
// # Figures
//
//   - Heartbeat 100 ms and election 1 s are etcd's own, for members within one
//     data centre; https://etcd.io/docs/v3.6/tuning/ recommends a heartbeat of about
//     the round trip between members and an election of ten heartbeats.
//   - The quota of 2 GiB is etcd's own default, written out so that it is seen;
//     8 GiB is the most that https://etcd.io/docs/v3.6/dev-guide/limit/ suggests.
//   - 65536 open files: a watch stream and a peer take a descriptor each, and the
//     usual soft limit of 1024 is too few for a large cluster.
//   - A member that ended is started again after 2 s, for ever
//     (StartLimitIntervalSec=0): an absent disk or network may come back.
package etcd
