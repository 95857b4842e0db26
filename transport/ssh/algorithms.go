package ssh

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Algorithms is what a connection may use, each list in order of preference. An
// empty list means what OpenSSH's client offers by default as of 10.5, as far as
// golang.org/x/crypto has it: no signature or key exchange with SHA-1, no CBC, no
// DSA, no hmac-sha1-96. A list may also name what the library calls
// insecure, for hosts that have nothing else; then it holds for all hosts of the Transport.
type Algorithms struct {
	// KeyExchanges, Ciphers and MACs by their names in the protocol.
	KeyExchanges, Ciphers, MACs []string
	// HostKeys are what hosts may sign with, such as "ssh-ed25519" or
	// "rsa-sha2-512-cert-v01@openssh.com". Authorities sign certificates with the same.
	HostKeys []string
	// PublicKeys are what this program signs with to log in.
	PublicKeys []string
	// MinRSABits is the size below which RSA keys of hosts, authorities and users are
	// refused; 0 means 1024, as OpenSSH's RequiredRSASize has it.
	MinRSABits int
}

// preferredHostKeys is OpenSSH's order.
var preferredHostKeys = [...]string{
	ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
	ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

const defaultMinRSABits = 1024

func (a Algorithms) withDefaults() Algorithms {
	supported := ssh.SupportedAlgorithms()
	fill := func(list *[]string, otherwise []string) {
		if len(*list) == 0 {
			*list = otherwise
		}
	}
	fill(&a.KeyExchanges, supported.KeyExchanges)
	fill(&a.Ciphers, supported.Ciphers)
	fill(&a.MACs, supported.MACs)
	fill(&a.HostKeys, preferredHostKeys[:])
	fill(&a.PublicKeys, supported.PublicKeyAuths)
	a.MinRSABits = or(a.MinRSABits, defaultMinRSABits)
	return a
}

// problems reports every name that the library does not know.
func (a Algorithms) problems() []error {
	supported, insecure := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	var errs []error
	check := func(field string, list []string, known ...[]string) {
		for i, name := range list {
			if !slices.Contains(slices.Concat(known...), name) {
				errs = append(errs, fmt.Errorf("Algorithms.%s[%d]: %q is not known", field, i, name))
			}
		}
	}
	check("KeyExchanges", a.KeyExchanges, supported.KeyExchanges, insecure.KeyExchanges)
	check("Ciphers", a.Ciphers, supported.Ciphers, insecure.Ciphers)
	check("MACs", a.MACs, supported.MACs, insecure.MACs)
	check("HostKeys", a.HostKeys, supported.HostKeys, insecure.HostKeys)
	check("PublicKeys", a.PublicKeys, supported.PublicKeyAuths, insecure.PublicKeyAuths)
	if a.MinRSABits < 0 {
		errs = append(errs, fmt.Errorf("Algorithms.MinRSABits: is negative"))
	}
	return errs
}

func (a Algorithms) library() ssh.Config {
	return ssh.Config{KeyExchanges: a.KeyExchanges, Ciphers: a.Ciphers, MACs: a.MACs}
}

// hostKeySignatures is HostKeys without certificates: what an authority may sign with.
func (a Algorithms) hostKeySignatures() []string {
	var list []string
	for _, algorithm := range a.HostKeys {
		base, _ := baseAlgorithm(algorithm)
		if !slices.Contains(list, base) {
			list = append(list, base)
		}
	}
	return list
}

// signing returns those of PublicKeys that a key can sign with.
func (a Algorithms) signing(key ssh.PublicKey) []string {
	keyType, _ := baseAlgorithm(key.Type())
	var list []string
	for _, algorithm := range a.PublicKeys {
		if keyTypeOf(algorithm) == keyType {
			list = append(list, algorithm)
		}
	}
	return list
}

// baseAlgorithm is the algorithm that a certificate's name is made from.
func baseAlgorithm(algorithm string) (base string, isCert bool) {
	name, version, isCert := strings.Cut(algorithm, "-cert-v01@")
	if isCert && strings.HasPrefix(name, "sk-") {
		name += "@" + version
	}
	return name, isCert
}

// keyTypeOf is the type of the keys that an algorithm signs with.
func keyTypeOf(algorithm string) string {
	if algorithm == ssh.KeyAlgoRSASHA256 || algorithm == ssh.KeyAlgoRSASHA512 {
		return ssh.KeyAlgoRSA
	}
	return algorithm
}
