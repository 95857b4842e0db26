package machines

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// commonFiles make the Debian root file system a host that boots in a
// container and lets root in by key.
func commonFiles() []File {
	files := []File{
		{Path: "/etc/ssh/sshd_config.d/lab.conf", Content: []byte(sshdConfig)},
		{Path: "/etc/sysctl.d/90-lab.conf", Content: []byte("net.ipv4.ip_forward = 1\n")},
		{Path: "/usr/local/lib/lab/cgroups", Mode: 0o755, Content: []byte(cgroupsScript)},
		{Path: "/etc/systemd/system/lab-cgroups.service", Content: []byte(cgroupsUnit)},
		{Path: "/etc/systemd/system/sysinit.target.wants/lab-cgroups.service", Link: "/etc/systemd/system/lab-cgroups.service"},
		{Path: "/etc/systemd/system/lab-network.service", Content: []byte(networkUnit)},
		{Path: "/etc/systemd/system/sysinit.target.wants/lab-network.service", Link: "/etc/systemd/system/lab-network.service"},
	}
	for _, unit := range maskedUnits {
		files = append(files, File{Path: "/etc/systemd/system/" + unit, Link: "/dev/null"})
	}
	return files
}

// hostFiles are those that differ between hosts.
func hostFiles(s Spec, h Host, hostKey, client keyPair) []File {
	id := sha256.Sum256([]byte(hostKey.authorized))
	return []File{
		{Path: "/etc/hostname", Content: []byte(h.Name + "\n")},
		{Path: "/etc/hosts", Content: []byte(etcHosts(s))},
		{Path: "/etc/machine-id", Mode: 0o444, Content: []byte(hex.EncodeToString(id[:16]) + "\n")},
		{Path: "/etc/resolv.conf", Content: []byte("nameserver " + s.Gateway().String() + "\n")},
		{Path: "/etc/ssh/ssh_host_ed25519_key", Mode: 0o600, Content: hostKey.private},
		{Path: "/etc/ssh/ssh_host_ed25519_key.pub", Content: []byte(hostKey.authorized + "\n")},
		{Path: "/root/.ssh/authorized_keys", Mode: 0o600, Content: []byte(client.authorized + "\n")},
		{Path: "/usr/local/lib/lab/network", Mode: 0o755, Content: []byte(networkScript(s, h))},
	}
}

func etcHosts(s Spec) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
	for _, h := range s.Hosts() {
		fmt.Fprintf(&b, "%s %s\n", h.Address, h.Name)
	}
	return b.String()
}

const sshdConfig = `HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
`

// maskedUnits want a machine of their own: they wait for udev, consoles or the
// network, or burn the processor on a schedule.
var maskedUnits = []string{
	"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-networkd.service",
	"systemd-networkd-wait-online.service", "systemd-networkd.socket", "systemd-resolved.service",
	"systemd-timesyncd.service", "systemd-logind.service", "console-getty.service", "getty.target",
	"systemd-modules-load.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
	"e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "systemd-journald-audit.socket",
}

// cgroupsUnit runs before any container runtime can.
const cgroupsUnit = `[Unit]
Description=Control groups and mounts as a container runtime wants them
DefaultDependencies=no
After=systemd-remount-fs.service
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/lab/cgroups

[Install]
WantedBy=sysinit.target
`

// cgroupsScript: systemd-nspawn mounts v1's controllers read-only, and "/"
// private, which the kubelet's mount propagation cannot use.
const cgroupsScript = `#!/bin/sh
set -eu
mount --make-rshared /
[ -e /sys/fs/cgroup/cgroup.controllers ] && exit 0
for dir in /sys/fs/cgroup/*; do
	if mountpoint -q "$dir"; then mount -o remount,bind,rw "$dir"; fi
done
`

// networkUnit replaces systemd-networkd, which waits for udev for ever.
const networkUnit = `[Unit]
Description=Address and routes of the host
DefaultDependencies=no
Before=network-pre.target sysinit.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/lab/network

[Install]
WantedBy=sysinit.target
`

// networkScript sets the host's address, a default route, without which
// nothing on it reaches a Service, and the way to the other hosts' pods.
func networkScript(s Spec, h Host) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\nset -eu\nip link set lo up\n")
	fmt.Fprintf(&b, "ip address replace %s/%d dev %s\n", h.Address, s.Network.Bits(), Interface)
	fmt.Fprintf(&b, "ip link set %s up\n", Interface)
	fmt.Fprintf(&b, "ip route replace default via %s\n", s.Gateway())
	for _, other := range s.Hosts() {
		if other.Name != h.Name {
			fmt.Fprintf(&b, "ip route replace %s via %s\n", other.Pods, other.Address)
		}
	}
	return b.String()
}
