package settings

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// ServingCertificate has kubeadm issue the API server's certificate of one control plane again,
// with names that it has not. The API server reads it without a restart, and is asked until it
// presents it. A name that is no longer described goes with the next certificate.
type ServingCertificate struct {
	Described survey.Described
	Node      quorate.Node
	Config    quorate.Content
	// Phase is kubeadm's that issues it.
	Phase []string
	// URL where the API server says that it is ready, at its own address.
	URL string
	// Patience is how long it may take until it is presented.
	Patience time.Duration
}

const (
	servingCert = hostpath.KubernetesPKI + "/apiserver.crt"
	servingKey  = hostpath.KubernetesPKI + "/apiserver.key"
	keptCert    = hostpath.Aside + "/apiserver.crt"
	keptKey     = hostpath.Aside + "/apiserver.key"
)

// Check compares the names in the certificate, and looks for what an earlier run has begun.
func (c ServingCertificate) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Ask(ctx, survey.RunningQuery())
	if err != nil {
		return nil, err
	}
	report := c.Described.HostDifferences(h, c.Node, out)
	var missing []string
	for _, d := range report.Differences {
		if d.Path == "kubeadm.certSANs" {
			missing = append(missing, d.Described)
		}
	}
	change := plan.Change{Verb: "issue", Subject: servingCert, Detail: "without " + strings.Join(missing, ", ")}
	switch {
	case slices.Contains(report.Unfinished, keptCert):
		change.Detail = unfinished
	case len(missing) == 0:
		return nil, nil
	}
	return plan.Diff{change}, nil
}

// keepCertScript keeps the pair.
//
//go:embed scripts/keepcert.sh
var keepCertScript string

// backCertScript puts the kept pair in place.
//
//go:embed scripts/backcert.sh
var backCertScript string

// presentedScript prints the last name that the API server's certificate is not good for.
//
//go:embed scripts/presented.sh
var presentedScript string

// certVars are of a pair that is kept in a directory.
func certVars(dir string) map[string]string {
	return map[string]string{"CERT": servingCert, "KEY": servingKey, "KEPT_CERT": dir + "/apiserver.crt", "KEPT_KEY": dir + "/apiserver.key", "STAY": ""}
}

// Apply puts the old pair back where kubeadm makes none.
func (c ServingCertificate) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	if _, err := h.Script(ctx, keepCertScript, certVars(hostpath.Aside)); err != nil {
		return err
	}
	if err := runPhase(ctx, h, c.Phase, c.Config); err != nil {
		if ctx.Err() != nil || plan.Transient(err) {
			return err
		}
		_, backErr := h.Script(ctx, backCertScript, certVars(hostpath.Aside))
		return errors.Join(err, backErr)
	}
	if err := c.presented(ctx, h); err != nil {
		return err
	}
	return h.Remove(ctx, keptKey, keptCert)
}

// presented waits until the API server's certificate is good for every described name.
func (c ServingCertificate) presented(ctx context.Context, h *plan.Host) error {
	u, err := url.Parse(c.URL)
	if err != nil {
		return err
	}
	var urls []string
	for _, san := range c.Described.Cluster.Kubeadm.CertSANs {
		host := strings.Replace(san, "*", "quorate", 1)
		if a, err := netip.ParseAddr(san); err == nil {
			host = a.String()
		}
		urls = append(urls, "https://"+net.JoinHostPort(host, u.Port())+u.Path)
	}
	for began := time.Now(); ; {
		out, err := h.Script(ctx, presentedScript, map[string]string{"CA": hostpath.KubernetesCA, "SERVER": u.Host}, urls...)
		if err != nil {
			return err
		}
		missing := keyval.Parse(out)["missing"]
		if missing == "" {
			return nil
		}
		if time.Since(began) >= c.Patience {
			return fmt.Errorf("%s: the API server does not present a certificate that is good for %s within %v: look at its log", h.Name, missing, c.Patience)
		}
		if !poll.Wait(ctx, pollPause) {
			return context.Cause(ctx)
		}
	}
}

// Describe returns the names.
func (c ServingCertificate) Describe() plan.Description {
	return plan.Description{Kind: "quorate/serving-certificate", Inputs: []quorate.Content{
		c.Config, plan.InputText(c.Described.Cluster.Kubeadm.CertSANs...), plan.InputText(append(slices.Clone(c.Phase), c.Node.Name, c.URL)...),
	}}
}

// Commands is kubeadm's phase.
func (c ServingCertificate) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{phase(c.Phase)}, nil
}

// Prefetch returns what Check asks.
func (ServingCertificate) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{survey.RunningQuery()}}
}

// Backup keeps the pair.
func (c ServingCertificate) Backup(ctx context.Context, h *plan.Host, _ plan.Diff, dir string) error {
	vars := certVars(dir)
	vars["STAY"] = "yes"
	_, err := h.Script(ctx, keepCertScript, vars)
	return err
}

// Undo puts it back.
func (c ServingCertificate) Undo(ctx context.Context, h *plan.Host, dir string) error {
	_, err := h.Script(ctx, backCertScript, certVars(dir))
	return err
}
