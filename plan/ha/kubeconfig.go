package ha

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/guard"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
	"github.com/quorate-dev/quorate/transport"
)

// KubeconfigConfig is what Kubeconfig needs.
type KubeconfigConfig struct {
	// Transport reaches the hosts. Required.
	Transport transport.Transport
	// Cluster is the description, whose control planes are asked.
	Cluster quorate.Cluster
	// HostTimeout is how long one host may take, connecting included. Default
	// DefaultKubeconfigTimeout.
	HostTimeout time.Duration
}

// DefaultKubeconfigTimeout is how long one host may take to return its kubeconfig:
// as long as ssh.Config's DialTimeout and a read over a slow line.
const DefaultKubeconfigTimeout = 30 * time.Second

// KubeconfigError reports that no control plane returned the kubeconfig.
type KubeconfigError struct {
	// Hosts that were asked, in their order, and what was wrong with each.
	Hosts []string
	Errs  []error
}

func (e *KubeconfigError) Error() string {
	s := "no control plane returned the kubeconfig, which kubeadm init writes"
	for _, err := range e.Errs {
		s += "\n  " + strings.ReplaceAll(err.Error(), "\n", "\n  ")
	}
	return termsafe.Indented(s)
}

// Unwrap returns what was wrong with each host.
func (e *KubeconfigError) Unwrap() []error { return e.Errs }

// Kubeconfig reads the administrator's kubeconfig from the first control plane
// that returns it. It holds a private key and leads to the cluster's endpoint. A host
// that hangs is left after HostTimeout for the next one. The error is a
// *KubeconfigError with the reason of every host, a *quorate.InvalidError, or wraps
// ctx's.
func Kubeconfig(ctx context.Context, cfg KubeconfigConfig) (quorate.Content, error) {
	var problems quorate.Problems
	if cfg.Transport == nil {
		problems.Refuse("transport", "missing: the one that reaches the hosts")
	}
	if cfg.HostTimeout < 0 {
		problems.Refuse("hostTimeout", "%v: want a positive time, or 0 for %v", cfg.HostTimeout, DefaultKubeconfigTimeout)
	}
	hosts := cfg.Cluster.ControlPlanes()
	if len(hosts) == 0 {
		problems.Refuse("cluster.nodes", "no control plane: none could return a kubeconfig")
	}
	if err := problems.Err("kubeconfig"); err != nil {
		return quorate.Content{}, err
	}
	failed := &KubeconfigError{}
	for _, n := range hosts {
		content, err := readWithin(ctx, cmp.Or(cfg.HostTimeout, DefaultKubeconfigTimeout), cfg.Transport, n.Name)
		if err == nil {
			return content, nil
		}
		failed.Hosts, failed.Errs = append(failed.Hosts, n.Name), append(failed.Errs, fmt.Errorf("%s: %w", n.Name, err))
		if ctx.Err() != nil {
			return quorate.Content{}, errors.Join(context.Cause(ctx), failed)
		}
	}
	return quorate.Content{}, failed
}

// readWithin reads the file from one host. The time bounds closing the connection
// too, which a host that hangs may not let go of.
func readWithin(ctx context.Context, limit time.Duration, t transport.Transport, host string) (quorate.Content, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded))
	defer cancel()
	conn, err := guard.Dial(ctx, t, host)
	if err == nil {
		defer func() { _ = guard.Do(conn.Close) }() // the file has been read, or not
		var b []byte
		err = guard.Do(func() (err error) {
			b, err = plan.NewHost(host, conn).Read(ctx, kube.AdminConf)
			return err
		})
		if err == nil && len(b) == 0 {
			err = fmt.Errorf("%s is empty", kube.AdminConf)
		}
		if err == nil {
			return quorate.Sensitive(b), nil
		}
	}
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return quorate.Content{}, err
}
