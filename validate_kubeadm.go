package quorate

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/syntax"
)

func (v *validator) kubeadm() {
	k := v.c.Kubeadm
	if !v.c.Version.Has(Dockershim) && IsDockershim(k.CRISocket) {
		v.Refuse("kubeadm.criSocket", "%q: kubelets drive Docker by themselves %s: set containerd's, CRI-O's or cri-dockerd's socket", k.CRISocket, Dockershim.When())
	}
	if program := noRuntime(k.CRISocket); program != "" {
		v.Refuse("kubeadm.criSocket", "%q is %s, which no kubelet can use: set the socket of containerd, CRI-O or cri-dockerd", k.CRISocket, program)
	}
	if socket, ok := strings.CutPrefix(k.CRISocket, socketScheme); !ok || !syntax.IsPath(socket) {
		v.Refuse("kubeadm.criSocket", "%q: want unix:// and an absolute path, as in unix:///var/run/containerd/containerd.sock", k.CRISocket)
	}
	if !repositoryPattern.MatchString(k.ImageRepository) {
		v.Refuse("kubeadm.imageRepository", "%q: want host[:port][/path] without scheme, tag or slash at its end", k.ImageRepository)
	}
	for i, san := range k.CertSANs {
		if !syntax.IsAddress(san) && !syntax.IsSubdomain(strings.TrimPrefix(san, "*.")) {
			v.Refuse(index("kubeadm.certSANs", i), "%q is neither an IP address nor a DNS name in lower case", san)
		}
	}
	for i, check := range k.IgnorePreflightErrors {
		switch at := index("kubeadm.ignorePreflightErrors", i); {
		case !checkPattern.MatchString(check):
			v.Refuse(at, "%q is no name of a preflight check", check)
		case strings.EqualFold(check, "all") && len(k.IgnorePreflightErrors) > 1:
			v.Refuse(at, "all must be alone: kubeadm refuses it beside others")
		}
	}
	for _, gate := range slices.Sorted(maps.Keys(k.FeatureGates)) {
		if !gatePattern.MatchString(gate) {
			v.Refuse(key("kubeadm.featureGates", gate), "%q is no feature gate", gate)
		}
	}
	v.args("kubeadm.apiServerArgs", k.APIServerArgs)
	v.args("kubeadm.controllerManagerArgs", k.ControllerManagerArgs)
	v.args("kubeadm.schedulerArgs", k.SchedulerArgs)
	v.component("kubeadm.kubelet", k.Kubelet)
	v.component("kubeadm.kubeProxy", k.KubeProxy)
	v.settings()
	v.volumes("kubeadm.apiServerVolumes", k.APIServerVolumes)
	v.volumes("kubeadm.controllerManagerVolumes", k.ControllerManagerVolumes)
	v.volumes("kubeadm.schedulerVolumes", k.SchedulerVolumes)
	v.env("kubeadm.apiServerEnv", k.APIServerEnv)
	v.env("kubeadm.controllerManagerEnv", k.ControllerManagerEnv)
	v.env("kubeadm.schedulerEnv", k.SchedulerEnv)
	if k.PatchesDir != "" && !syntax.IsPath(k.PatchesDir) {
		v.Refuse("kubeadm.patchesDir", "%q: %s", k.PatchesDir, syntax.WantPath)
	}
	v.timeouts("kubeadm.timeouts", k.Timeouts)
}

// noRuntime names what is behind a socket that is well known not to speak CRI,
// "" if it may.
func noRuntime(socket string) string {
	switch name := path.Base(socket); {
	case name == "docker.sock":
		return "Docker's own API"
	case name == "podman.sock":
		return "Podman's own API"
	case strings.HasPrefix(name, "buildkitd"):
		return "BuildKit's own API"
	case strings.HasSuffix(name, ".ttrpc") || strings.HasSuffix(name, ".sock.debug"):
		return "containerd's socket for its own shims"
	}
	return ""
}

// ownVolumes are the names of kubeadm's own volumes, from
// cmd/kubeadm/app/phases/controlplane/volumes.go: one that is described under
// such a name would take its place.
var ownVolumes = []string{
	"k8s-certs", "ca-certs", "kubeconfig", "flexvolume-dir", "etcd-certs", "etc-pki", "etc-pki-ca-trust", "etc-pki-tls-certs",
	"etc-ca-certificates", "usr-share-ca-certificates", "usr-local-share-ca-certificates",
}

// ownMounts are where those are in a pod, which takes no second one there.
var ownMounts = []string{
	hostpath.KubernetesPKI, "/etc/ssl/certs", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	"/etc/pki/ca-trust", "/etc/pki/tls/certs",
}

var pathTypes = []string{"DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"}

func (v *validator) volumes(at string, volumes []Volume) {
	names, mounts := map[string]string{}, map[string]string{}
	for i, volume := range volumes {
		here := index(at, i)
		switch first, again := names[volume.Name]; {
		case !syntax.IsLabel(volume.Name):
			v.Refuse(here+".name", "%q is no RFC 1123 label: %s", volume.Name, syntax.WantLabel)
		case slices.Contains(ownVolumes, volume.Name):
			v.Refuse(here+".name", "%q is a volume of kubeadm's own, whose place it would take: name it otherwise", volume.Name)
		case again:
			v.Refuse(here+".name", "%q is also %s", volume.Name, first)
		default:
			names[volume.Name] = here + ".name"
		}
		if !syntax.IsPath(volume.HostPath) {
			v.Refuse(here+".hostPath", "%q: %s", volume.HostPath, syntax.WantPath)
		}
		switch first, again := mounts[volume.MountPath]; {
		case !syntax.IsPath(volume.MountPath):
			v.Refuse(here+".mountPath", "%q: %s", volume.MountPath, syntax.WantPath)
		case slices.Contains(ownMounts, volume.MountPath):
			v.Refuse(here+".mountPath", "%q has a volume of kubeadm's own: mount it elsewhere", volume.MountPath)
		case again:
			v.Refuse(here+".mountPath", "%q is also %s", volume.MountPath, first)
		default:
			mounts[volume.MountPath] = here + ".mountPath"
		}
		if volume.PathType != "" && !slices.Contains(pathTypes, volume.PathType) {
			v.Refuse(here+".pathType", "%q: want %s, or leave it out", volume.PathType, strings.Join(pathTypes, ", "))
		}
	}
}

func (v *validator) env(at string, env map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		here := key(at, name)
		if !syntax.IsVariable(name) {
			v.Refuse(here, "%q is no name of an environment variable: want letters, digits and _ . -, not starting with a digit", name)
		}
		if syntax.HasControl(env[name]) {
			v.Refuse(here, "the value holds a control character")
		}
	}
}

func (v *validator) timeouts(at string, t KubeadmTimeouts) {
	for _, f := range []struct {
		name string
		d    Duration
	}{
		{"controlPlane", t.ControlPlane}, {"kubelet", t.Kubelet}, {"apiCall", t.APICall},
		{"etcdCall", t.EtcdCall}, {"tlsBootstrap", t.TLSBootstrap}, {"discovery", t.Discovery},
	} {
		if f.d < 0 {
			v.Refuse(at+"."+f.name, "%s is negative", f.d)
		}
	}
}

func (v *validator) args(at string, args map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(args)) {
		here := key(at, name)
		if !syntax.IsFlag(name) {
			v.Refuse(here, "%q is no argument: want its name in lower case, without leading dashes", name)
		}
		if syntax.HasControl(args[name]) {
			v.Refuse(here, "the value holds a control character")
		}
	}
}

// component checks a part of a component's configuration, whose fields are the
// component's own.
func (v *validator) component(at string, fields map[string]any) {
	for _, own := range []string{"apiVersion", "kind"} {
		if _, set := fields[own]; set {
			v.Refuse(key(at, own), "is set by Quorate")
		}
	}
	v.object(at, fields, 0)
}

// maxDepth of a component's configuration: none comes near, a value that
// holds itself goes beyond.
const maxDepth = 32

func (v *validator) value(at string, value any, depth int) {
	if depth > maxDepth {
		v.Refuse(at, "is nested deeper than %d levels", maxDepth)
		return
	}
	switch x := value.(type) {
	case nil, bool, int, int32, int64, uint32, uint64:
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			v.Refuse(at, "%v is no number that YAML and JSON can carry", x)
		}
	case string:
		if syntax.HasControl(strings.NewReplacer("\n", "", "\t", "").Replace(x)) {
			v.Refuse(at, "holds a control character")
		}
	case []any:
		for i, item := range x {
			v.value(index(at, i), item, depth+1)
		}
	case []string:
		for i, item := range x {
			v.value(index(at, i), item, depth+1)
		}
	case map[string]any:
		v.object(at, x, depth+1)
	default:
		v.Refuse(at, "a %s is none of: nil, bool, number, string, []any, []string, map[string]any", fmt.Sprintf("%T", x))
	}
}

func (v *validator) object(at string, fields map[string]any, depth int) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		here := key(at, name)
		if name == "" || syntax.HasControl(name) {
			v.Refuse(here, "%q is no field name", name)
		}
		v.value(here, fields[name], depth)
	}
}
