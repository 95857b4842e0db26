package ha

import (
	"net/netip"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/vip"
)

// What members come and go changes in the files of every other host, and interrupts none of them.

// etcdIgnores: a member that runs has data, and with data etcd reads no list of members from its flags. What
// etcdctl reads is no business of the unit.
func etcdIgnores(f quorate.File, onHost []byte) bool {
	list := func(line string) bool { return strings.Contains(line, "--initial-cluster=") }
	return f.Path == etcd.EnvPath || f.Path == etcd.UnitPath && without(f.Content.Bytes(), list) == without(onHost, list)
}

// keepalivedReloads: keepalived reads its peers and its priority again, and keeps the VIP meanwhile.
func keepalivedReloads(f quorate.File, onHost []byte) bool {
	peer := func(line string) bool {
		word := strings.TrimSpace(line)
		_, err := netip.ParseAddr(word)
		return err == nil || strings.HasPrefix(word, "priority ")
	}
	return f.Path == vip.ConfigPath && without(f.Content.Bytes(), peer) == without(onHost, peer)
}

// haproxyReloads: haproxy reads its backends again, and ends no connection for it.
func haproxyReloads(f quorate.File, onHost []byte) bool {
	backend := func(line string) bool { return strings.Contains(line, " verifyhost ") }
	return f.Path == vip.HAProxyConfigPath && without(f.Content.Bytes(), backend) == without(onHost, backend)
}

// without returns a text without some of its lines.
func without(text []byte, leave func(line string) bool) string {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if !leave(line) {
			b.WriteString(line)
		}
	}
	return b.String()
}
