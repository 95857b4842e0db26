// Package hatest is a fake cluster: hosts in memory, by transport/faketransport,
// on which the recipe ha.Cluster.Plan runs from bare hosts to Ready nodes. It is for
// tests of programs that embed Quorate: they see their own plan run, fail where
// they inject a fault, and run again, in milliseconds and without a network.
//
// The recipe's scripts really run, against each host's file system in memory.
// Simulated are systemd, containerd's ctr, kubeadm, kubectl and etcd, and each
// refuses what the real one would refuse for want of something that must come
// before: kubeadm init without certificates or etcd's quorum, a join before
// there is an API or with a token that has expired, a unit without its file. Etcd's members speak etcd's
// protocol with mutual TLS, by the certificates on their hosts; Cluster.UseEtcd
// has real servers run in their place.
//
// Etcd has a list of members of its own, which knows who was added, is a learner
// and was removed, and the API server does not answer without etcd's quorum: so
// ha.Cluster.PlanReset runs here too. Stacked etcd is not simulated.
//
// What is simulated says nothing about the real thing's behaviour beyond that:
// no pod runs here, and no data is kept.
package hatest
