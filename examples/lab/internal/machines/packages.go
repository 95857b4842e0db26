package machines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machinePackages are the Debian packages needed on the machine itself, each
// with a command that only it brings.
var machinePackages = []struct{ name, command string }{
	{"debootstrap", "debootstrap"},
	{"systemd-container", "systemd-nspawn"},
	{"openssh-client", "ssh"},
	{"iproute2", "ip"},
	{"mount", "mount"},
	{"nftables", "nft"},
	{"util-linux", "nsenter"},
	{"e2fsprogs", "mkfs.ext4"},
}

// CheckMachine says why hosts cannot run here, nil if they can.
func CheckMachine() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("hosts need Linux, this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("hosts need root: systemd-nspawn, mounts and bridges")
	}
	return nil
}

// InstallPackages installs the Debian packages that are missing on the
// machine. It needs apt-get only if one is.
func InstallPackages(ctx context.Context) (installed []string, err error) {
	for _, p := range machinePackages {
		if _, err := exec.LookPath(p.command); err != nil {
			installed = append(installed, p.name)
		}
	}
	if len(installed) == 0 {
		return nil, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, fmt.Errorf("install %s first: this machine has no apt-get", strings.Join(installed, " "))
	}
	if _, err := run(ctx, "apt-get", "update"); err != nil {
		return nil, err
	}
	args := append([]string{"install", "-y", "--no-install-recommends"}, installed...)
	if _, err := run(ctx, "apt-get", args...); err != nil {
		return nil, err
	}
	return installed, nil
}
