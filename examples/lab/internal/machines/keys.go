package machines

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// keyPair is one SSH key, of a host or of the client.
type keyPair struct {
	private    []byte // PEM
	authorized string // the public key as authorized_keys and known_hosts write it
	public     ssh.PublicKey
}

func newKeyPair(comment string) (keyPair, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return keyPair{}, err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return keyPair{}, err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return keyPair{}, fmt.Errorf("SSH key %s: %w", comment, err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	return keyPair{private: pem.EncodeToMemory(block), authorized: line + " " + comment, public: key}, nil
}

// knownHostsLine is a host's line of known_hosts, by address and by name.
func knownHostsLine(h Host, key keyPair) string {
	return knownhosts.Line([]string{h.Address.String(), h.Name}, key.public)
}
