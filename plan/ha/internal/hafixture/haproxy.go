package hafixture

import "github.com/quorate-dev/quorate"

// Balanced is Three with haproxy before all API servers.
func Balanced() quorate.Cluster {
	c := Three()
	c.Endpoint.LoadBalancer = quorate.HAProxy
	return c
}
