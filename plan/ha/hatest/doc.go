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
// What a test does to the cluster: Add adds a host, CutPower takes one's power (its units
// stop, and its member does not vote) and Boot returns it; SetVersion changes what a program
// reports; faketransport's HandleOnce, Inject and Invocation.Next have commands fail,
// once or always. What it looks at: Nodes, Members, Quorum, VIPHolder, Active, Outdated and
// RunsWith (a process goes on with what it read at its start), and Commands of a host.
//
// systemd's word for a member is "activating" until it has seen a quorum, and for one
// that etcd refuses, which leaves a database without a log. A start that waits for a
// quorum is not waited for here, also without --no-block.
//
// What is simulated says nothing about the real thing's behaviour beyond that:
// no pod runs here, and no data is kept.
package hatest
