package operator

import (
	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport/ssh"
)

// SSH gives a transport that reaches the description's nodes by their names,
// where each one's ssh field leads or else at its first address.
func SSH(c quorate.Cluster, cfg ssh.Config) (*ssh.Transport, error) {
	cfg.Targets = map[string]ssh.Target{}
	for _, n := range c.Nodes {
		address := n.SSH
		if address == "" {
			address = n.Address().String()
		}
		target, err := ssh.ParseTarget(address)
		if err != nil {
			return nil, err
		}
		cfg.Targets[n.Name] = target
	}
	return ssh.New(cfg)
}
