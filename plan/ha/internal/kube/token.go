package kube

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/transport"
)

// Token keeps the token valid that nodes join with, as long as one has
// to. kubeadm init makes it, and it expires; a node that is added later finds
// none. It is looked after where the cluster was initialised: the check there
// comes before every join, and reads the API server anyway, so that knowing of
// the nodes costs no round trip. Only when one is missing is the token looked at.
type Token struct {
	Secret quorate.Content
	// ttl is negative for ever.
	TTL time.Duration
	// joining are the nodes that join.
	Joining []quorate.Node
}

const (
	// defaultTokenTTL is kubeadm's.
	DefaultTokenTTL = 24 * time.Hour
	// tokenMargin is how long a token must still be valid. Seven control planes,
	// the most there are, and then the workers, each within a step's ten minutes,
	// take less.
	tokenMargin = 2 * time.Hour
)

// pending returns the nodes that have not joined. One that is there and not Ready
// counts among them: its host may have been reset, which the cluster learns by its
// silence.
func (t *Token) pending(nodes map[string]nodeState) []string {
	if t == nil {
		return nil
	}
	var names []string
	for _, n := range t.Joining {
		if s := nodes[n.Name]; s.ready != "True" || n.Role == quorate.ControlPlane && !s.labelled {
			names = append(names, n.Name)
		}
	}
	return names
}

// tokenState prints until when a token admits nodes. The Secret's expiration is
// printed and nothing else of it.
//
//go:embed scripts/token.sh
var tokenState string

// look returns the host's clock, by which the cluster's lifetimes are reckoned, and
// says why the token is not good for long enough; empty if it is.
func (t *Token) look(ctx context.Context, h *plan.Host, url string) (now time.Time, fault string, err error) {
	out, err := h.Script(ctx, tokenState, map[string]string{"API_URL": url, "SECRET": t.secret()})
	if err != nil {
		return now, "", err
	}
	f := keyval.Parse(out)
	if now, err = time.Parse(time.RFC3339, f["now"]); err != nil {
		return now, "", fmt.Errorf("%s: the time of the host: %w", h.Name, err)
	}
	name, encoded, _ := strings.Cut(f["found"], " ")
	if name == "" {
		return now, "there is none", nil
	}
	if encoded == "" {
		return now, "", nil // for ever
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return now, "its expiration cannot be read", nil //nolint:nilerr // such a token admits nobody: it is made again
	}
	expires, err := time.Parse(time.RFC3339, string(text))
	switch {
	case err != nil:
		return now, "its expiration cannot be read", nil //nolint:nilerr // as above
	case !expires.After(now):
		return now, "it expired at " + expires.UTC().Format(time.RFC3339), nil
	case expires.Sub(now) < t.margin():
		return now, "it expires at " + expires.UTC().Format(time.RFC3339), nil
	}
	return now, "", nil
}

// margin is no more than half of a short life, so that a new token has it.
func (t *Token) margin() time.Duration {
	if t.TTL < 0 {
		return tokenMargin
	}
	return min(tokenMargin, t.TTL/2)
}

func (t *Token) secret() string { return kubeadm.TokenSecretName(kubeadm.TokenID(t.Secret)) }

// check says that the token is to be renewed if somebody is to join with it.
func (t *Token) check(ctx context.Context, h *plan.Host, url string, pending []string) (plan.Diff, error) {
	if len(pending) == 0 {
		return nil, nil
	}
	_, fault, err := t.look(ctx, h, url)
	if err != nil || fault == "" {
		return nil, err
	}
	const most = 3
	who := strings.Join(pending[:min(len(pending), most)], ", ")
	if more := len(pending) - most; more > 0 {
		who += fmt.Sprintf(" and %d more", more)
	}
	return plan.Diff{{Verb: "renew", Subject: "bootstrap token", Detail: fmt.Sprintf("%s, for %s to join with", fault, who), Data: renew}}, nil
}

// renewToken makes the Secret again from its YAML on standard input, and waits
// until the cluster's public information is signed with it, which is what a
// joining kubeadm looks for first.
//
//go:embed scripts/renewtoken.sh
var renewToken string

// renew makes the token again. Its secret goes by standard input alone.
func (t *Token) renew(ctx context.Context, h *plan.Host, url string) error {
	now, _, err := t.look(ctx, h, url)
	if err != nil {
		return err
	}
	var expires time.Time
	if t.TTL > 0 {
		expires = now.Add(t.TTL)
	}
	secret, err := kubeadm.TokenSecret(t.Secret, expires)
	if err != nil {
		return err
	}
	_, err = h.RunInput(ctx, bytes.NewReader(secret.Bytes()), plan.Script(renewToken, map[string]string{
		"API_URL": url, "SECRET": t.secret(), "TOKEN_ID": kubeadm.TokenID(t.Secret),
	}).Argv...)
	return err
}

// Readmission looks after the token on the other control planes for the first one:
// which has to join a cluster that runs without it, and cannot ask that cluster for
// anything before.
type Readmission struct {
	plan.NothingToUndo
	Token *Token
	// first is where the API server of the first control plane reports its health,
	// url is this host's own, and nodes reads the nodes from that.
	First, URL string
	Nodes      []string
}

// awayScript spares the question for nodes where the first control plane's API server
// answers.
//
//go:embed scripts/away.sh
var awayScript string

// Check reads the token only if the first control plane is not there. Where the
// cluster does not answer either, nothing can be done for it here, nor need be.
func (r Readmission) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Ask(ctx, r.away())
	if err != nil || keyval.Parse(out)["first"] != "away" {
		return nil, err
	}
	nodes, err := askNodes(ctx, h, r.Nodes)
	if err == nil {
		var diff plan.Diff
		diff, err = r.Token.check(ctx, h, r.URL, r.Token.pending(nodes))
		if err == nil {
			return diff, nil
		}
	}
	var exit *transport.ExitError
	if errors.As(err, &exit) {
		return nil, nil
	}
	return nil, err
}

// Apply makes the token again.
func (r Readmission) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	return r.Token.renew(ctx, h, r.URL)
}

// Describe returns what decides on it.
func (r Readmission) Describe() plan.Description {
	return plan.Description{Kind: "quorate/bootstrap-token", Inputs: []quorate.Content{plan.InputText(r.First, r.URL), plan.InputText(r.Nodes...), r.Token.input()}}
}

// Commands are those that make a token.
func (r Readmission) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return r.Token.commands(), nil
}

// Prefetch returns the script alone: where it is not enough, something is to be done.
func (r Readmission) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{r.away()}}
}

func (r Readmission) away() transport.Query {
	return plan.Script(awayScript, map[string]string{"FIRST_HEALTH": r.First})
}

// commands are those of renewToken that matter.
func (t *Token) commands() []plan.Command {
	return []plan.Command{
		{Argv: Kubectl("-n", "kube-system", "delete", "secret", t.secret(), "--ignore-not-found")},
		{Argv: Kubectl("create", "-f", "-"), Stdin: "the bootstrap token's Secret"},
	}
}

// input is what decides on what is done, for the step's identity.
func (t *Token) input() quorate.Content {
	if t == nil {
		return plan.InputText()
	}
	texts := []string{t.TTL.String()}
	for _, n := range t.Joining {
		texts = append(texts, n.Name, string(n.Role))
	}
	return plan.InputText(texts...)
}
