package ha

import (
	"context"
	"errors"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
	"github.com/quorate-dev/quorate/transport"
)

// Kubeconfig reads the administrator's kubeconfig from the first control plane
// that returns it. It holds a private key and leads to the cluster's endpoint.
func Kubeconfig(ctx context.Context, t transport.Transport, c quorate.Cluster) (quorate.Content, error) {
	var errs []error
	for _, n := range c.ControlPlanes() {
		content, err := readFrom(ctx, t, n.Name, kube.AdminConf)
		if err == nil {
			return content, nil
		}
		errs = append(errs, err)
	}
	return quorate.Content{}, errors.Join(errs...)
}

func readFrom(ctx context.Context, t transport.Transport, host, path string) (quorate.Content, error) {
	conn, err := t.Dial(ctx, host)
	if err != nil {
		return quorate.Content{}, err
	}
	defer func() { _ = conn.Close() }() // the file has been read, or not
	b, err := plan.NewHost(host, conn).Read(ctx, path)
	if err != nil {
		return quorate.Content{}, err
	}
	return quorate.Sensitive(b), nil
}
