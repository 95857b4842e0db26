package vip

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/quorate-dev/quorate"
)

const (
	// RFC 2338 section 5.3.6 has eight octets for the password; keepalived cuts
	// a longer one without a word.
	authLength = 8
	// Letters and digits mean themselves in keepalived's configuration.
	authAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// NewAuth makes a password for VRRP out of random bytes: eight letters and
// digits, each equally likely, as sensitive content. A nil reader is crypto/rand's. The
// error is the reader's.
func NewAuth(random io.Reader) (quorate.Content, error) {
	if random == nil {
		random = rand.Reader
	}
	const fair = 256 - 256%len(authAlphabet)
	auth := make([]byte, 0, authLength)
	for one := make([]byte, 1); len(auth) < authLength; {
		if _, err := io.ReadFull(random, one); err != nil {
			return quorate.Content{}, fmt.Errorf("vip: read randomness for the VRRP password: %w", err)
		}
		if int(one[0]) < fair {
			auth = append(auth, authAlphabet[int(one[0])%len(authAlphabet)])
		}
	}
	return quorate.Sensitive(auth), nil
}
