package kubeadm

import (
	"encoding/base64"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
)

// From k8s.io/cluster-bootstrap/token/api and, the group, from
// k8s.io/kubernetes/cmd/kubeadm/app/constants; all are the same from 1.10 to 1.37.
const (
	tokenSecretPrefix = "bootstrap-token-"
	tokenSecretType   = "bootstrap.kubernetes.io/token"
	tokenGroup        = "system:bootstrappers:kubeadm:default-node-token"
)

// TokenID is the first half of a token, which is a name and no secret; empty if
// the token is malformed.
func TokenID(token quorate.Content) string {
	if checkToken(token) != nil {
		return ""
	}
	return string(token.Bytes()[:tokenIDLen])
}

// TokenSecretName is the name, in the namespace kube-system, of the Secret by
// which a cluster knows a token.
func TokenSecretName(id string) string { return tokenSecretPrefix + id }

// TokenSecret is that Secret as YAML, which kubeadm init makes by itself and
// which is to be made again once the token has expired: with it the token admits
// nodes until expires, for ever if that is zero. It is Sensitive. The
// error is that of a malformed token.
func TokenSecret(token quorate.Content, expires time.Time) (quorate.Content, error) {
	if err := checkToken(token); err != nil {
		return quorate.Content{}, err
	}
	id, secret := token.Bytes()[:tokenIDLen], token.Bytes()[tokenIDLen+1:]
	data := map[string]string{
		"auth-extra-groups":              encode64(tokenGroup),
		"description":                    encode64(tokenDescription),
		"token-id":                       encode64(string(id)),
		"token-secret":                   encode64(string(secret)),
		"usage-bootstrap-authentication": encode64("true"),
		"usage-bootstrap-signing":        encode64("true"),
	}
	if !expires.IsZero() {
		data["expiration"] = encode64(expires.UTC().Format(time.RFC3339))
	}
	b, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata":   map[string]any{"name": TokenSecretName(string(id)), "namespace": "kube-system"},
		"type":       tokenSecretType,
		"data":       data,
	})
	return quorate.Sensitive(b), err
}

func encode64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
