package hafixture

import "github.com/quorate-dev/quorate"

func Balanced() quorate.Cluster {
	c := Three()
	c.Endpoint.LoadBalancer = quorate.HAProxy
	return c
}
