package kubeadm_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

func TestKubeletServiceGolden(t *testing.T) {
	for name, s := range map[string]kubeadm.KubeletService{
		"packages": {},
		"pushed": {
			Binary: "/usr/local/bin/kubelet", UnitDir: "/usr/lib/systemd/system", ExtraArgsFile: "/etc/sysconfig/kubelet",
		},
	} {
		files, err := s.Files()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Mode != 0o644 {
				t.Errorf("%s: mode %o", f.Path, f.Mode)
			}
			checkGolden(t, filepath.Join("testdata", "kubelet-service", name, f.Path), f.Content.Bytes())
		}
	}
}

// A path that would end a directive or be expanded by systemd is refused, each
// with its field.
func TestKubeletServiceRefusesPaths(t *testing.T) {
	for _, bad := range []string{"kubelet", "/usr/bin/kubelet\nExecStartPre=/bin/x", "/usr/bin/ku belet", "/usr/%i", "/usr/$X", "/usr/../kubelet", "/"} {
		_, err := kubeadm.KubeletService{Binary: bad, UnitDir: bad, ExtraArgsFile: bad}.Files()
		var invalid *quorate.InvalidError
		if !errors.As(err, &invalid) || len(invalid.Problems) != 3 {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
