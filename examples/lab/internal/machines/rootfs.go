package machines

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suite is the Debian release of the hosts.
const suite = "bookworm"

// hostPackages are what a host has beyond Debian's minimal base: what kubeadm's
// own requirements, the VIP and the container runtime need, and sshd.
var hostPackages = []string{
	"systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "procps", "kmod", "mount",
	"iproute2", "iputils-ping", "iptables", "nftables", "conntrack", "ethtool", "socat",
	"curl", "ca-certificates", "openssl", "keepalived", "haproxy", "runc", "containernetworking-plugins",
}

// notWanted is removed from what debootstrap made: archives, keys that all
// hosts would share, and the start of a keepalived and a haproxy that nobody
// configured.
var notWanted = []string{
	"var/cache/apt/archives",
	"etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub",
	"etc/ssh/ssh_host_ecdsa_key", "etc/ssh/ssh_host_ecdsa_key.pub",
	"etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub",
	"etc/systemd/system/multi-user.target.wants/keepalived.service",
	"etc/systemd/system/multi-user.target.wants/haproxy.service",
}

// RootFS returns the directory of the hosts' common root file system, made by
// debootstrap below cache unless it is there already. Its name holds a hash of
// what it is made from. Nothing writes to it afterwards.
func RootFS(ctx context.Context, cache string) (string, error) {
	sum := sha256.Sum256([]byte(strings.Join(slices.Concat([]string{suite}, hostPackages, notWanted), "\n")))
	dir := filepath.Join(cache, "root-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	tmp := dir + ".partial"
	if err := removeTree(ctx, tmp); err != nil {
		return "", err
	}
	_, err := run(ctx, "debootstrap", "--variant=minbase", "--include="+strings.Join(hostPackages, ","), suite, tmp)
	if err != nil {
		// Not ctx: what was left is to go also when ctx ended.
		_ = removeTree(context.WithoutCancel(ctx), tmp)
		return "", fmt.Errorf("make the root file system: %w", err)
	}
	for _, path := range notWanted {
		if err := os.RemoveAll(filepath.Join(tmp, path)); err != nil {
			return "", err
		}
	}
	return dir, os.Rename(tmp, dir)
}
