package ssh

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultPort is SSH's port, RFC 4251.
const DefaultPort = 22

// Target is where and as whom a host is reached.
type Target struct {
	// Addr is a host name or an IP address, without a port. IPv6 addresses are
	// written without brackets and may have a zone.
	Addr string
	// Port is 0 for DefaultPort.
	Port int
	// User is empty for Config.User.
	User string
	// Jump names the hosts to go through, the nearest to this program first,
	// as they would be passed to Dial. nil means Config.Jump; an empty, non-nil
	// slice means none.
	Jump []string
	// HostKeyAlias is the name that the host key is looked up under, in place
	// of the address: for hosts whose address changes or is reached through a
	// forwarded port.
	HostKeyAlias string
}

// ParseTarget reads "[user@]host[:port]". An IPv6 address with a port is put
// in brackets; without a port the brackets may be left out.
func ParseTarget(s string) (Target, error) {
	var t Target
	rest := s
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		t.User, rest = s[:i], s[i+1:]
		if t.User == "" {
			return Target{}, fmt.Errorf("target %q: no user before the @", s)
		}
	}
	addr, port, err := splitPort(rest)
	if err != nil {
		return Target{}, fmt.Errorf("target %q: %w", s, err)
	}
	t.Addr, t.Port = addr, port
	if err := t.validate(); err != nil {
		return Target{}, fmt.Errorf("target %q: %w", s, err)
	}
	return t, nil
}

// splitPort returns port 0 where there is none.
func splitPort(s string) (string, int, error) {
	inner, bracketed := strings.CutPrefix(s, "[")
	if !bracketed && strings.Count(s, ":") != 1 {
		return s, 0, nil // a name, or an IPv6 address alone
	}
	if addr, ok := strings.CutSuffix(inner, "]"); bracketed && ok {
		return addr, 0, mustBeIPv6(addr)
	}
	addr, digits, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, errors.New("is not [user@]host[:port]")
	}
	if bracketed {
		if err := mustBeIPv6(addr); err != nil {
			return "", 0, err
		}
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 {
		return "", 0, fmt.Errorf("port %q is not 1 to 65535", digits)
	}
	return addr, int(port), nil
}

func mustBeIPv6(addr string) error {
	if ip, err := netip.ParseAddr(addr); err != nil || !ip.Is6() {
		return fmt.Errorf("%q in brackets is not an IPv6 address", addr)
	}
	return nil
}

// validate reports everything that is wrong with a target.
func (t Target) validate() error {
	var errs []error
	_, err := netip.ParseAddr(t.Addr)
	switch {
	case t.Addr == "":
		errs = append(errs, errors.New("no host"))
	case err != nil && !isHostName(t.Addr):
		errs = append(errs, fmt.Errorf("%q is neither a host name nor an IP address", t.Addr))
	}
	if t.Port < 0 || t.Port > 65535 {
		errs = append(errs, fmt.Errorf("port %d is not 1 to 65535", t.Port))
	}
	if strings.ContainsFunc(t.User, isControl) {
		errs = append(errs, fmt.Errorf("user %q holds control characters", t.User))
	}
	return errors.Join(errs...)
}

// isHostName is lenient: what resolvers take, underscores too.
func isHostName(s string) bool {
	for _, label := range strings.Split(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		for _, r := range label {
			if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return false
			}
		}
	}
	return len(s) <= 254
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// String returns what ParseTarget reads, without jumps and alias.
func (t Target) String() string {
	s := t.Addr
	if t.Port != 0 {
		s = t.hostPort()
	}
	if t.User != "" {
		s = t.User + "@" + s
	}
	return s
}

func (t Target) hostPort() string {
	port := t.Port
	if port == 0 {
		port = DefaultPort
	}
	return net.JoinHostPort(t.Addr, strconv.Itoa(port))
}

// keyNames are what the host key is looked up under, the first that is known
// counts: as in OpenSSH the name with a port that is not 22, then without. They
// are in lower case.
func (t Target) keyNames() []string {
	name := t.certName()
	if t.HostKeyAlias == "" && t.Port != 0 && t.Port != DefaultPort {
		return []string{fmt.Sprintf("[%s]:%d", name, t.Port), name}
	}
	return []string{name}
}

// certName is what a host's certificate must name: the address or alias, without a port.
func (t Target) certName() string { return strings.ToLower(or(t.HostKeyAlias, t.Addr)) }
