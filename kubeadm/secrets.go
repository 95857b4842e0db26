package kubeadm

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/quorate-dev/quorate"
)

// Secrets are the values that Nodes cannot derive from the description. They
// are made before any host is touched, so that nothing is read back from
// kubeadm's output. No formatted form of a Secrets shows the token or the key.
type Secrets struct {
	// Token from NewToken or ParseToken. Required.
	Token quorate.Content
	// TokenTTL is how long the token admits nodes after init. Default 24h,
	// kubeadm's own; a negative value means for ever.
	TokenTTL quorate.Duration
	// CAHashes pin the cluster's CA for joining nodes: "sha256:" and 64
	// lower-case hex digits, one for every certificate of the CA file.
	// Required when a node joins.
	CAHashes []string
	// CertificateKey from NewCertificateKey. Optional: without it the control
	// planes expect their certificates in place, which is how the rest of the
	// SDK does it, and ha.New refuses one. kubeadm's uploaded copy expires after
	// two hours.
	CertificateKey quorate.Content
}

// The characters of a token and the lengths of its two parts, from
// k8s.io/cluster-bootstrap/token/api.
const (
	tokenAlphabet  = "abcdefghijklmnopqrstuvwxyz0123456789"
	tokenIDLen     = 6
	tokenSecretLen = 16
)

// certificateKeyLen is the AES-256 key's length in bytes.
const certificateKeyLen = 32

var (
	tokenPattern          = regexp.MustCompile(`\A[a-z0-9]{6}\.[a-z0-9]{16}\z`)
	certificateKeyPattern = regexp.MustCompile(`\A[0-9a-f]{64}\z`)
	caHashPattern         = regexp.MustCompile(`\Asha256:[0-9a-f]{64}\z`)
)

// NewToken makes a bootstrap token, ID.SECRET, every character of which is
// equally likely. A nil random is crypto/rand.Reader, as it has to be outside
// tests; its error is returned wrapped.
func NewToken(random io.Reader) (quorate.Content, error) {
	chars, err := randomChars(random, tokenIDLen+tokenSecretLen)
	if err != nil {
		return quorate.Content{}, fmt.Errorf("bootstrap token: %w", err)
	}
	return quorate.Sensitive([]byte(string(chars[:tokenIDLen]) + "." + string(chars[tokenIDLen:]))), nil
}

// randomChars draws bytes and drops those beyond the largest multiple of the
// alphabet's length, which would make its first characters likelier.
func randomChars(random io.Reader, n int) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	const fair = 256 - 256%len(tokenAlphabet)
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for len(out) < n {
		draw := buf[:n-len(out)]
		if _, err := io.ReadFull(random, draw); err != nil {
			return nil, err
		}
		for _, b := range draw {
			if int(b) < fair {
				out = append(out, tokenAlphabet[int(b)%len(tokenAlphabet)])
			}
		}
	}
	return out, nil
}

// ParseToken takes a token made elsewhere. The error of a malformed one has
// the form and not the token.
func ParseToken(s string) (quorate.Content, error) {
	token := quorate.Sensitive([]byte(s))
	if err := checkToken(token); err != nil {
		return quorate.Content{}, err
	}
	return token, nil
}

// NewCertificateKey makes the key that encrypts the control plane's
// certificates when kubeadm is to share them: 64 hex digits of 32 random bytes.
// A nil random is crypto/rand.Reader.
func NewCertificateKey(random io.Reader) (quorate.Content, error) {
	if random == nil {
		random = rand.Reader
	}
	key := make([]byte, certificateKeyLen)
	if _, err := io.ReadFull(random, key); err != nil {
		return quorate.Content{}, fmt.Errorf("certificate key: %w", err)
	}
	return quorate.Sensitive([]byte(hex.EncodeToString(key))), nil
}

var (
	tokenForm          = fmt.Sprintf("bootstrap token: want %d characters, a dot and %d characters, all of a-z and 0-9 (not shown here: it is a secret)", tokenIDLen, tokenSecretLen)
	certificateKeyForm = fmt.Sprintf("certificate key: want %d hex digits (not shown here: it is a secret)", 2*certificateKeyLen)
)

func checkToken(c quorate.Content) error {
	switch {
	case c.Len() == 0:
		return errors.New("no bootstrap token: make one with NewToken")
	case !tokenPattern.Match(c.Bytes()):
		return errors.New(tokenForm)
	case !c.IsSensitive():
		return errors.New("bootstrap token: hold it in quorate.Sensitive content, as ParseToken does")
	}
	return nil
}

func checkCertificateKey(c quorate.Content) error {
	switch {
	case c.Len() == 0:
		return nil
	case !certificateKeyPattern.Match(c.Bytes()):
		return fmt.Errorf("certificate key: want %d lower-case hex digits (not shown here: it is a secret)", 2*certificateKeyLen)
	case !c.IsSensitive():
		return errors.New("certificate key: hold it in quorate.Sensitive content")
	}
	return nil
}

func checkCAHash(s string) error {
	if caHashPattern.MatchString(s) {
		return nil
	}
	if lower := strings.ToLower(s); caHashPattern.MatchString(lower) {
		return fmt.Errorf("CA hash %q: kubeadm compares lower-case digits; write %s", s, lower)
	}
	return fmt.Errorf("CA hash %q: want sha256: and the 64 hex digits of the SHA-256 of the CA's public key", s)
}
