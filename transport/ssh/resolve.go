package ssh

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate/transport"
)

// hop is one host on the way, resolved.
type hop struct {
	name   string
	target Target
	user   string
}

// lookup resolves a name passed to Dial.
func (c Config) lookup(name string) (hop, error) {
	target, ok := c.Targets[name]
	if !ok {
		var err error
		if target, err = ParseTarget(name); err != nil {
			return hop{}, fmt.Errorf("not among the targets, and as an address: %w", err)
		}
	}
	return hop{name: name, target: target, user: or(target.User, c.User)}, nil
}

// jumps returns the names to go through before name.
func (c Config) jumps(name string) []string {
	jump := c.Jump
	if t, ok := c.Targets[name]; ok && t.Jump != nil {
		jump = t.Jump
	}
	// A host on the shared way does not go through itself: it is reached by
	// what comes before it.
	if i := slices.Index(jump, name); i >= 0 && slices.Equal(jump, c.Jump) {
		return jump[:i]
	}
	return jump
}

// route returns the hops to a host, the host itself last. A jump host's own
// Jump does not count: a chain is written out where it is used.
func (c Config) route(name string) ([]hop, error) {
	if _, known := c.Targets[name]; !known && c.OnlyTargets {
		return nil, fmt.Errorf("%q is not among the targets: %w", name, transport.ErrNoHost)
	}
	var route []hop
	for _, n := range append(slices.Clone(c.jumps(name)), name) {
		h, err := c.lookup(n)
		if err != nil {
			return nil, err
		}
		route = append(route, h)
	}
	return route, nil
}

// checkJumps refuses a way that cannot be gone.
func (c Config) checkJumps(name string) error {
	var errs []error
	seen := map[string]bool{}
	for _, j := range c.jumps(name) {
		if j == name || seen[j] {
			errs = append(errs, fmt.Errorf("goes through %q twice", j))
		}
		seen[j] = true
		if _, err := c.lookup(j); err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", j, err))
		}
	}
	return errors.Join(errs...)
}

// routeKey identifies a connection: the same host by another way is another
// connection.
func routeKey(route []hop) string {
	var parts []string
	for _, h := range route {
		parts = append(parts, h.user+"@"+h.target.hostPort()+"/"+h.name)
	}
	return strings.Join(parts, " ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
