package hatest

import (
	"encoding/base64"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// token is a bootstrap token that the cluster knows, by its ID.
type token struct {
	secret quorate.Content
	// expires is zero for ever.
	expires time.Time
}

// Tokens returns the IDs of the bootstrap tokens that admit nodes now, sorted.
// They expire by time.Now, which a test has in hand with testing/synctest.
func (c *Cluster) Tokens() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cleanTokens()
	return slices.Sorted(maps.Keys(c.tokens))
}

// cleanTokens is what kube-controller-manager does all the time.
func (c *Cluster) cleanTokens() {
	maps.DeleteFunc(c.tokens, func(_ string, t token) bool { return !t.expires.IsZero() && !t.expires.After(time.Now()) })
}

// readConfig is what kubeadm reads by --config.
func (h *host) readConfig(in faketransport.Invocation, args []string) (kubeadm.Config, error) {
	text, err := h.configOf(in, args)
	if err != nil {
		return kubeadm.Config{}, err
	}
	c, _, err := kubeadm.Parse(text, h.cluster.c.Version)
	if err != nil {
		return c, fail(in, "[ERROR] %q: %v", config(args), err)
	}
	return c, nil
}

// admit makes the token of an init's configuration, as kubeadm does at its end.
func (c *Cluster) admit(cfg kubeadm.Config) {
	id, secret, _ := strings.Cut(string(cfg.Token.Bytes()), ".")
	t := token{secret: quorate.Sensitive([]byte(secret))}
	switch ttl := time.Duration(cfg.Init.TokenTTL); {
	case ttl == 0:
		t.expires = time.Now().Add(24 * time.Hour)
	case ttl > 0:
		t.expires = time.Now().Add(ttl)
	}
	c.tokens[id] = t
}

// admits reports whether a node may join with the token of its configuration.
func (c *Cluster) admits(cfg kubeadm.Config) bool {
	c.cleanTokens()
	id, secret, _ := strings.Cut(string(cfg.Token.Bytes()), ".")
	t, ok := c.tokens[id]
	return ok && string(t.secret.Bytes()) == secret
}

const tokenPrefix = "bootstrap-token-"

// getToken answers "get secret NAME", with the name and the expiration.
func (h *host) getToken(in faketransport.Invocation, name string) error {
	h.cluster.cleanTokens()
	t, ok := h.cluster.tokens[strings.TrimPrefix(name, tokenPrefix)]
	switch {
	case !ok:
		return nil // --ignore-not-found
	case t.expires.IsZero():
		return say(in, "%s ", name)
	}
	return say(in, "%s %s", name, base64.StdEncoding.EncodeToString([]byte(t.expires.UTC().Format(time.RFC3339))))
}

// createToken takes the Secret of a bootstrap token, and refuses what would not
// become one.
func (h *host) createToken(in faketransport.Invocation) error {
	b, err := io.ReadAll(in.Stdin)
	if err != nil {
		return err
	}
	var s struct {
		Kind     string
		Type     string
		Metadata struct{ Name, Namespace string }
		Data     map[string][]byte
	}
	if err := yaml.Unmarshal(b, &s); err != nil {
		return fail(in, "error: error parsing STDIN: %v", err)
	}
	id := string(s.Data["token-id"])
	switch _, exists := h.cluster.tokens[id]; {
	case s.Kind != "Secret" || s.Type != "bootstrap.kubernetes.io/token" || s.Metadata.Namespace != "kube-system":
		return fail(in, "kubectl create: only the Secret of a bootstrap token is simulated")
	case s.Metadata.Name != tokenPrefix+id || len(id) != 6 || len(s.Data["token-secret"]) != 16 ||
		string(s.Data["usage-bootstrap-authentication"]) != "true" || string(s.Data["usage-bootstrap-signing"]) != "true" ||
		string(s.Data["auth-extra-groups"]) != "system:bootstrappers:kubeadm:default-node-token":
		return fail(in, "kubectl create: a bootstrap token that admits no node")
	case exists:
		return fail(in, "Error from server (AlreadyExists): secrets %q already exists", s.Metadata.Name)
	}
	t := token{secret: quorate.Sensitive(s.Data["token-secret"])}
	if expires := string(s.Data["expiration"]); expires != "" {
		if t.expires, err = time.Parse(time.RFC3339, expires); err != nil {
			return fail(in, "kubectl create: %v", err)
		}
	}
	h.cluster.tokens[id] = t
	return nil
}

// signed answers with the signatures of the cluster's public information.
func (h *host) signed(in faketransport.Invocation) error {
	h.cluster.cleanTokens()
	keys := []string{"kubeconfig:simulated"}
	for id := range h.cluster.tokens {
		keys = append(keys, "jws-kubeconfig-"+id+":simulated")
	}
	slices.Sort(keys)
	return say(in, "map[%s]", strings.Join(keys, " "))
}
