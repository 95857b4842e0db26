package kubeadm

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
)

// lifetime is the minors of Kubernetes 1 that have something; a zero last
// means that it is still there.
type lifetime struct{ first, last int }

func (l lifetime) holds(v quorate.Version) bool {
	return v.Minor >= l.first && (l.last == 0 || v.Minor <= l.last)
}

// String is the lifetime in words, for the error of a use outside it.
func (l lifetime) String() string {
	switch {
	case l.last == 0:
		return fmt.Sprintf("it is there from 1.%d", l.first)
	case l.first <= max(oldestMinor, quorate.MinMinor):
		return fmt.Sprintf("it was there until 1.%d", l.last)
	case l.first == l.last:
		return fmt.Sprintf("it was there in 1.%d only", l.first)
	}
	return fmt.Sprintf("it was there from 1.%d to 1.%d", l.first, l.last)
}

// oldestMinor is the first that internal/tablegen reads: what is there from it
// may be older.
const oldestMinor = 10

// The names of preflight checks that are not in preflightChecks: each holds a
// port, a service or a file. They never changed.
var preflightPattern = regexp.MustCompile(`(?i)\A(` + strings.Join([]string{
	`Port-[0-9]{1,5}`, `Service-[a-z0-9@._-]+`,
	`(Dir|File)Available-[a-z0-9._-]+`, `FileContent-[a-z0-9._-]+`, `FileExisting-[a-z0-9._-]+`,
}, "|") + `)\z`)

// preflightCheck finds a preflight check of any version by its name, which
// kubeadm compares without regard to case.
func preflightCheck(name string) (life lifetime, known bool) {
	if preflightPattern.MatchString(name) {
		return lifetime{first: oldestMinor}, true
	}
	for check, life := range preflightChecks {
		if strings.EqualFold(check, name) {
			return life, true
		}
	}
	return lifetime{}, false
}

var fileArgPattern = regexp.MustCompile(`(file|config|path|manifest)\z`)

// ownedArg is an argument that the description decides elsewhere, or one that
// must stay on.
type ownedArg struct {
	// off refuses only a value that turns the argument off.
	off    bool
	reason string
}

func (o ownedArg) refuses(value string) bool {
	on, err := strconv.ParseBool(value)
	return !o.off || err == nil && !on
}

// knownArgs is what is known of a component's arguments; without flags, every
// name passes that is not owned.
type knownArgs struct {
	flags flagSet
	owned map[string]ownedArg
	// mounted are the host's directories and files that the component's pod sees.
	mounted []string
}

// sees reports whether a pod finds the host's file at an absolute path.
func (k knownArgs) sees(file string) bool {
	return slices.ContainsFunc(k.mounted, func(m string) bool { return file == m || strings.HasPrefix(file, m+"/") })
}

// certificateMounts are in the pods of API server and controller manager, from
// cmd/kubeadm/app/phases/controlplane/volumes.go.
var certificateMounts = []string{
	hostpath.KubernetesPKI, "/etc/ssl/certs", "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/ca-certificates",
	"/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
}

const etcdReason = "Quorate sets it from the control planes and the certificates it places"

var (
	apiServerArgs = knownArgs{flags: apiServerFlags, mounted: certificateMounts, owned: map[string]ownedArg{
		"advertise-address":        {reason: "Quorate sets it to each control plane's first address: change nodes[].addresses"},
		"secure-port":              {reason: "Quorate sets it: change endpoint.port"},
		"etcd-servers":             {reason: etcdReason},
		"etcd-cafile":              {reason: etcdReason},
		"etcd-certfile":            {reason: etcdReason},
		"etcd-keyfile":             {reason: etcdReason},
		"service-cluster-ip-range": {reason: "Quorate sets it: change services"},
		"anonymous-auth": {true, "the probes of the pod and of the VIP ask /livez and /readyz without credentials, and a refused probe restarts the API server: " +
			"restrict anonymous requests to those paths with the argument authentication-config instead"},
		"enable-bootstrap-token-auth": {true, "nodes join by a bootstrap token"},
	}}
	controllerManagerArgs = knownArgs{flags: controllerManagerFlags, mounted: certificateMounts, owned: map[string]ownedArg{
		"cluster-cidr":             {reason: "Quorate sets it: change pods"},
		"service-cluster-ip-range": {reason: "Quorate sets it: change services"},
		"cluster-name":             {reason: "Quorate sets it: change name"},
		"leader-elect":             {true, leaderReason},
	}}
	schedulerArgs = knownArgs{flags: schedulerFlags, mounted: []string{hostpath.SchedulerConf}, owned: map[string]ownedArg{
		"leader-elect": {true, leaderReason},
	}}
	kubeletArgs = knownArgs{flags: kubeletFlags, owned: map[string]ownedArg{
		"node-ip":           {reason: "set nodeIPs instead"},
		"node-labels":       {reason: "set labels instead"},
		"hostname-override": {reason: "set name instead"},
	}}
)

const leaderReason = "without leader election every control plane's replica acts at once"
