package etcd

import (
	"fmt"
	"io"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
)

// Where the files of a member are on its host.
const (
	EnvPath  = "/etc/etcd.env"
	UnitPath = hostpath.SystemdUnits + "/" + UnitName
	UnitName = "etcd.service"
)

// Files returns EnvPath and UnitPath, both 0644 and without secrets. The error
// is the *quorate.InvalidError of Validate.
func (m Member) Files() ([]quorate.File, error) {
	service, err := m.unit()
	if err != nil {
		return nil, err
	}
	return []quorate.File{
		{Path: EnvPath, Mode: 0o644, Content: quorate.Public(m.withDefaults().env())},
		{Path: UnitPath, Mode: 0o644, Content: quorate.Public(service)},
	}, nil
}

// env is a POSIX shell's and systemd's environment file at once: every value is
// of characters that neither of them expands.
func (m Member) env() []byte {
	endpoints := make([]string, len(m.Peers))
	for i, p := range m.sortedPeers() {
		endpoints[i] = addressURL(m.scheme(), p.Address, m.Etcd.ClientPort)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# etcdctl on this host: set -a; . %s; etcdctl endpoint health\n", EnvPath)
	var vars []flag
	if !m.Etcd.Version.Has(quorate.EtcdctlV3) {
		vars = append(vars, flag{"ETCDCTL_API", "3"}) // what later ones speak by themselves
	}
	vars = append(vars, flag{"ETCDCTL_ENDPOINTS", strings.Join(endpoints, ",")})
	if !m.Etcd.PlainHTTP {
		vars = append(vars,
			flag{"ETCDCTL_CACERT", m.PKIDir + "/ca.crt"},
			flag{"ETCDCTL_CERT", m.PKIDir + "/server.crt"},
			flag{"ETCDCTL_KEY", m.PKIDir + "/server.key"},
		)
	}
	for _, v := range vars {
		fmt.Fprintf(&b, "%s=\"%s\"\n", v.name, v.value)
	}
	return []byte(b.String())
}

func (m Member) unit() ([]byte, error) {
	argv, err := m.Argv()
	if err != nil {
		return nil, err
	}
	m = m.withDefaults()
	options := []*unit.UnitOption{
		unit.NewUnitOption("Unit", "Description", "etcd member "+m.Name),
		unit.NewUnitOption("Unit", "Documentation", "https://etcd.io/docs/"),
		unit.NewUnitOption("Unit", "Wants", "network-online.target"),
		unit.NewUnitOption("Unit", "After", "network-online.target"),
		unit.NewUnitOption("Unit", "RequiresMountsFor", m.Etcd.DataDir),
		unit.NewUnitOption("Unit", "StartLimitIntervalSec", "0"),

		unit.NewUnitOption("Service", "Type", "notify"),
		unit.NewUnitOption("Service", "ExecStart", commandLine(argv)),
		unit.NewUnitOption("Service", "Restart", "always"),
		unit.NewUnitOption("Service", "RestartSec", "2s"),
		unit.NewUnitOption("Service", "TimeoutStartSec", "infinity"),
		unit.NewUnitOption("Service", "LimitNOFILE", "65536"),
		unit.NewUnitOption("Service", "UMask", "0077"),
	}
	for _, h := range hardening() {
		options = append(options, unit.NewUnitOption("Service", h.name, h.value))
	}
	options = append(options, unit.NewUnitOption("Install", "WantedBy", "multi-user.target"))
	text, err := io.ReadAll(unit.Serialize(options))
	if err != nil {
		return nil, fmt.Errorf("etcd member %s: write its unit: %w", m.Name, err)
	}
	return text, nil
}

// hardening removes privileges that etcd never uses. Nothing here needs a capability
// that containers lack, and the data directory may be anywhere but in the
// system's own directories.
func hardening() []flag {
	return []flag{
		{"NoNewPrivileges", "yes"},
		{"ProtectSystem", "full"},
		{"ProtectKernelModules", "yes"},
		{"ProtectKernelTunables", "yes"},
		{"ProtectControlGroups", "yes"},
		{"RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"},
		{"RestrictSUIDSGID", "yes"},
		{"LockPersonality", "yes"},
	}
}

// commandLine writes argv as systemd.service(5), "Command lines", reads it: one
// argument a line, quoted where it has to be.
func commandLine(argv []string) string {
	quoted := make([]string, len(argv))
	for i, arg := range argv {
		quoted[i] = quote(arg)
	}
	return strings.Join(quoted, " \\\n  ")
}

// quote makes one word of a systemd command line that expands to arg: specifiers
// (%) and variables ($) are doubled, quotes and backslashes escaped.
func quote(arg string) string {
	if arg != "" && !strings.ContainsFunc(arg, func(r rune) bool { return !plain(r) }) {
		return arg
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(arg) + `"`
}

// plain are the characters that mean themselves anywhere in a command line.
func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=/.,:[]@+", r)
}
