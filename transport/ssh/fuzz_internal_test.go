package ssh

import (
	"strings"
	"testing"
)

const fuzzKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS x"

// Lines with keys, as users hand them in: taken is only what names one key.
func FuzzKeyLines(f *testing.F) {
	for _, s := range []string{"", fuzzKey, "SHA256:abc=", "command=\"x\" " + fuzzKey, strings.Repeat("#\n", 99), "ssh-ed25519 AAAA", "ecdsa-sha2-nistp256-cert-v01@openssh.com AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		id, err := parseIdentity(line)
		if err == nil && !strings.HasPrefix(id, "SHA256:") {
			t.Errorf("%q is %q", line, id)
		}
		p, pinErr := parsePin([]string{line})
		if (pinErr == nil) != (err == nil) || pinErr == nil && (len(p.fingerprints) != 1 || p.fingerprints[0] != id) {
			t.Errorf("%q is %q, and pinned %+v: %v, %v", line, id, p, err, pinErr)
		}
		if cert, err := parseCertificate([]byte(line)); err == nil && cert.Key == nil {
			t.Errorf("%q is a certificate without a key", line)
		}
	})
}

// Private keys of any form, without a passphrase: a signer or an error.
func FuzzPrivateKey(f *testing.F) {
	for _, s := range []string{
		"", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIP\n-----END PRIVATE KEY-----\n", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGj\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		signer, err := Auth{}.parse("Keys[0]", content)
		if (err == nil) != (signer != nil) {
			t.Errorf("%q: %v, %v", content, signer, err)
		}
	})
}
