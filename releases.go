package quorate

// What the rules of a description depend on in the releases of Kubernetes.

// minorEtcd is the least external etcd that kubeadm accepts from a minor of
// Kubernetes on: constants.MinExternalEtcdVersion of each minor's first release,
// in cmd/kubeadm/app/constants/constants.go.
var minorEtcd = []struct {
	minor int
	least Version
}{
	{10, Version{Major: 3, Minor: 1, Patch: 12}},
	{11, Version{Major: 3, Minor: 2, Patch: 17}},
	{12, Version{Major: 3, Minor: 2, Patch: 18}},
	{28, Version{Major: 3, Minor: 4, Patch: 13}},
	{31, Version{Major: 3, Minor: 5, Patch: 11}},
	{34, Version{Major: 3, Minor: 5, Patch: 21}},
	{35, Version{Major: 3, Minor: 5, Patch: 24}},
}

// raisedEtcd is what the last fix releases of 1.31 to 1.34 want.
var raisedEtcd = Version{Major: 3, Minor: 5, Patch: 24}

// leastEtcd is the least external etcd that kubeadm accepts for a Kubernetes
// version. 1.34 raised it in its fourth fix release; those of 1.31 to 1.33 that
// did are not told apart, and etcdVersion warns of them.
func leastEtcd(k Version) Version {
	if k.Minor == 34 && k.Patch >= 4 {
		return raisedEtcd
	}
	least := minorEtcd[0].least
	for _, e := range minorEtcd {
		if k.Minor >= e.minor {
			least = e.least
		}
	}
	return least
}

// defaultEtcd is enough for every fix release of a Kubernetes minor, and new
// enough to have every flag that is rendered without being asked for.
func defaultEtcd(k Version) Version {
	switch least := leastEtcd(k); {
	case !supported(k) || k.Minor >= 31:
		return raisedEtcd
	case k.Minor < 12:
		return leastEtcd(Version{Major: 1, Minor: 12})
	default:
		return least
	}
}

const (
	// stackedFrom: kubeadm joins stacked members by itself from 1.13 on; before,
	// it took a list of alpha phases on each host.
	stackedFrom = 13
	// dualStackFrom: the dual-stack Services of 1.16 to 1.19, an alpha, had
	// another API (KEP 563 was written anew for 1.20).
	dualStackFrom = 20
	// dockershimUntil is the last minor whose kubelet drives Docker by itself.
	dockershimUntil = 23
)

func defaultCRISocket(k Version) string {
	if supported(k) && k.Minor <= dockershimUntil {
		return "unix:///var/run/dockershim.sock"
	}
	return "unix:///var/run/containerd/containerd.sock"
}
