// Package hostpath has the paths on hosts that packages agree on: what one of
// them writes and another reads is at the same place because both say it by the
// same name.
package hostpath

// Of Kubernetes, as kubeadm has them
// (cmd/kubeadm/app/constants/constants.go).
const (
	Kubernetes = "/etc/kubernetes"
	// Manifests is where the kubelet finds its static pods.
	Manifests           = Kubernetes + "/manifests"
	AdminConf           = Kubernetes + "/admin.conf"
	KubeletConf         = Kubernetes + "/kubelet.conf"
	BootstrapKubeletCfg = Kubernetes + "/bootstrap-kubelet.conf"
	SchedulerConf       = Kubernetes + "/scheduler.conf"
	// ControllerManagerConf is the controller manager's kubeconfig.
	ControllerManagerConf = Kubernetes + "/controller-manager.conf"

	// Aside is where a change of settings keeps the files that were before, on the file
	// system of Manifests, until the change has come to its end.
	Aside = Kubernetes + "/quorate-aside"

	KubernetesPKI           = Kubernetes + "/pki"
	KubernetesCA            = KubernetesPKI + "/ca.crt"
	EtcdCAOfAPIServer       = KubernetesPKI + "/etcd/ca.crt"
	APIServerEtcdClientCert = KubernetesPKI + "/apiserver-etcd-client.crt"
	APIServerEtcdClientKey  = KubernetesPKI + "/apiserver-etcd-client.key"

	// KubeletConfig is what kubeadm writes of KubeletConfiguration.
	KubeletConfig = "/var/lib/kubelet/config.yaml"
	// StackedEtcdData is the data of the members that kubeadm runs, and what
	// kubeadm reset empties whoever it belongs to.
	StackedEtcdData = "/var/lib/etcd"
)

// Of etcd's own members.
const (
	EtcdPKI = "/etc/etcd/pki"
	EtcdCA  = EtcdPKI + "/ca.crt"
)

// Of Quorate itself.
const (
	// State is what Quorate keeps on a host.
	State    = "/var/lib/quorate"
	EtcdData = State + "/etcd"
	// Undo is what runs keep for a rollback. It belongs to root alone: old keys may be
	// among it.
	Undo = State + "/undo"
	// ProgramVersions and EtcdVersion remember the versions of the programs that a run has
	// found, beside the identity of their files.
	ProgramVersions = State + "/versions-binaries"
	EtcdVersion     = State + "/versions-etcd"
	// Sysctl has the kernel settings that pods need.
	Sysctl = "/etc/sysctl.d/99-quorate.conf"
)

// SystemdUnits are the units of the host's administrator.
const SystemdUnits = "/etc/systemd/system"
