package ha

import "github.com/quorate-dev/quorate/plan"

// The steps that there is one of, whatever the nodes: for Plan.Before and After.
const (
	// StepAllFacts comes after every host has been read, and before any is probed.
	StepAllFacts plan.ID = "facts"
	// StepPreflight judges what was read of all hosts. Nothing is done to any host before it.
	StepPreflight plan.ID = "preflight"
	// StepDrift refuses what a run does not bring about on a cluster that is there. Nothing is
	// done to any host before it either.
	StepDrift plan.ID = "drift"
	// StepEtcdHealth waits for etcd's quorum; not with stacked members.
	StepEtcdHealth plan.ID = "etcd-health"
	// StepUntaint lets pods run on control planes, with Config.Untaint.
	StepUntaint plan.ID = "untaint"
	// StepReady waits until every node is Ready: the cluster can be used.
	StepReady plan.ID = "ready"
	// StepVIPHolder sees that one host holds the VIP; not with an external endpoint.
	StepVIPHolder plan.ID = "vip-holder"
	// StepNodeObjects, StepKubeProxy and StepUpload are PlanReconfigure's.
	StepNodeObjects plan.ID = "node-objects"
	StepKubeProxy   plan.ID = "kube-proxy"
	StepUpload      plan.ID = "upload"
	// StepSurvivors is PlanReset's, where a cluster goes on, and PlanReplace's: it can do without the
	// nodes that leave.
	StepSurvivors plan.ID = "survivors"
	// StepGone and StepEtcdRemove are PlanReplace's: the cluster has noticed that nodes are gone, and
	// their members leave etcd.
	StepGone       plan.ID = "gone"
	StepEtcdRemove plan.ID = "etcd-remove"
)

// NodeStep is a kind of step of which each node that needs it has one: StepInit.On("cp-1").
type NodeStep string

// The steps that nodes have. Plan and PlanReset say what each does, in which order and
// for which nodes.
const (
	StepFacts NodeStep = "facts"
	// StepProbe comes after StepAllFacts.
	StepProbe NodeStep = "probe"
	// StepRunning and StepSettings, of control planes, read what StepDrift compares.
	StepRunning      NodeStep = "running"
	StepSettings     NodeStep = "settings"
	StepCertificates NodeStep = "certificates"
	StepEtcdJoin     NodeStep = "etcd-join"
	StepEtcd         NodeStep = "etcd"
	StepHAProxy      NodeStep = "haproxy"
	StepVIP          NodeStep = "vip"
	StepToken        NodeStep = "token"
	// StepInit is kubeadm's on the first control plane, and before Kubernetes 1.12 on
	// every one; the other nodes have StepJoin. Cluster.StepBootstrap returns a node's.
	StepInit    NodeStep = "init"
	StepJoin    NodeStep = "join"
	StepVIPLook NodeStep = "vip-look"

	// Those of PlanReconfigure: each control plane has both steps of a roll, and the VIP's
	// holder does its work in the second.
	StepServingCert      NodeStep = "serving-cert"
	StepControlPlane     NodeStep = "control-plane"
	StepControlPlaneLast NodeStep = "control-plane-last"
	StepKubelet          NodeStep = "kubelet"
	StepKubeletLast      NodeStep = "kubelet-last"

	StepVIPLeave NodeStep = "vip-leave"
	// StepVIPLeaveLast is of the VIP\'s holder, where several control planes leave.
	StepVIPLeaveLast NodeStep = "vip-leave-last"
	StepCordon       NodeStep = "cordon"
	StepDrain        NodeStep = "drain"
	StepAnswers      NodeStep = "answers"
	StepKubeadmReset NodeStep = "kubeadm-reset"
	StepForget       NodeStep = "forget"
	// StepForgetEndpoint is PlanReplace's, before Kubernetes 1.22.
	StepForgetEndpoint NodeStep = "forget-endpoint"
	StepEtcdLeave      NodeStep = "etcd-leave"
	StepEtcdReset      NodeStep = "etcd-reset"
	StepClean          NodeStep = "clean"
)

// On returns the ID of a node's step. A plan that has none refuses it where it is used.
func (s NodeStep) On(node string) plan.ID { return plan.ID(string(s) + "/" + node) }

// StepPrerequisite returns the ID of a node's preparation, by the name that Prerequisites
// has for it. PrerequisiteKernel is the last of every node.
func StepPrerequisite(node, preparation string) plan.ID {
	return plan.ID("prerequisites/" + node + "/" + preparation)
}

// PrerequisiteKernel is the preparation that every node has, after those of
// Config.Prerequisites: what the kernel must do.
const PrerequisiteKernel = "kernel"

// StepManifest returns the ID of the step that applies a Manifest, by its name.
func StepManifest(name string) plan.ID { return plan.ID("manifest/" + name) }

// StepBootstrap returns the ID of the step by which a node comes into the cluster, which
// is StepInit or StepJoin; empty if the cluster has no such node.
func (c *Cluster) StepBootstrap(node string) plan.ID {
	r, err := c.rendered()
	if err != nil {
		return ""
	}
	n, ok := r.c.Node(node)
	if !ok {
		return ""
	}
	return r.bootstrapID(n)
}
