package kubeadm

import (
	"cmp"
	"path"
	"regexp"
	"strings"

	"github.com/quorate-dev/quorate"
)

// KubeletService is the kubelet's systemd unit and the drop-in by which kubeadm
// hands it its configuration, for hosts that have the binaries but not the
// distribution's packages. The zero value has what those packages have. It is
// an Artifact.
type KubeletService struct {
	// Binary on the host. Default /usr/bin/kubelet.
	Binary string
	// UnitDir takes kubelet.service and kubelet.service.d/10-kubeadm.conf.
	// Default /etc/systemd/system.
	UnitDir string
	// ExtraArgsFile may set KUBELET_EXTRA_ARGS; it need not exist. Default
	// /etc/default/kubelet, as Debian's packages have it; those of the Red Hat
	// family have /etc/sysconfig/kubelet.
	ExtraArgsFile string
}

var _ quorate.Artifact = KubeletService{}

// The unit restarts without limit: between its first start and kubeadm's
// configuration the kubelet exits every time.
const kubeletUnit = `[Unit]
Description=Kubernetes node agent
Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={{binary}}
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
`

// Paths and variable names are those kubeadm writes (cmd/kubeadm/app/constants).
const kubeletDropIn = `# How kubeadm configures the kubelet; the variables are in kubeadm-flags.env.
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-{{extraArgsFile}}
ExecStart=
ExecStart={{binary}} $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
`

// unitPathPattern holds what systemd takes without quotes or specifiers.
var unitPathPattern = regexp.MustCompile(`\A(/[A-Za-z0-9._@+-]+)+\z`)

// Files returns the unit and the drop-in. The error is a *quorate.InvalidError
// for a path that is not absolute and clean or that systemd would want quoted.
func (s KubeletService) Files() ([]quorate.File, error) {
	s.Binary = cmp.Or(s.Binary, "/usr/bin/kubelet")
	s.UnitDir = cmp.Or(s.UnitDir, "/etc/systemd/system")
	s.ExtraArgsFile = cmp.Or(s.ExtraArgsFile, "/etc/default/kubelet")
	if err := s.check(); err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("{{binary}}", s.Binary, "{{extraArgsFile}}", s.ExtraArgsFile)
	file := func(name, text string) quorate.File {
		return quorate.File{Path: path.Join(s.UnitDir, name), Mode: 0o644, Content: quorate.Public([]byte(fill.Replace(text)))}
	}
	return []quorate.File{
		file("kubelet.service", kubeletUnit),
		file("kubelet.service.d/10-kubeadm.conf", kubeletDropIn),
	}, nil
}

func (s KubeletService) check() error {
	var p quorate.Problems
	for _, f := range []struct{ name, value string }{
		{"binary", s.Binary}, {"unitDir", s.UnitDir}, {"extraArgsFile", s.ExtraArgsFile},
	} {
		if !unitPathPattern.MatchString(f.value) || path.Clean(f.value) != f.value {
			p.Refuse(f.name, "%q: want a clean absolute path of letters, digits and . _ @ + -", f.value)
		}
	}
	return p.Err("kubelet service")
}
