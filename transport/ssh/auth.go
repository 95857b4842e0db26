package ssh

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// signers reads the keys, telling everything that is wrong with them.
func (a Auth) signers() ([]ssh.Signer, error) {
	var signers []ssh.Signer
	var errs []error
	add := func(field string, s ssh.Signer, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("Auth.%s: %w", field, err))
			return
		}
		signers = append(signers, s)
	}
	for i, key := range a.Signers {
		s, err := fromCrypto(key.held.Reveal())
		add(fmt.Sprintf("Signers[%d]", i), s, err)
	}
	for i, key := range a.Keys {
		s, err := a.parse(fmt.Sprintf("key %d", i), key.Bytes())
		add(fmt.Sprintf("Keys[%d]", i), s, err)
	}
	for i, path := range a.KeyFiles {
		pem, err := os.ReadFile(path) //nolint:gosec // the caller's path
		var s ssh.Signer
		if err == nil {
			s, err = a.parse(path, pem)
		}
		add(fmt.Sprintf("KeyFiles[%d]", i), s, err)
	}
	if len(a.Signers)+len(a.Keys)+len(a.KeyFiles) == 0 && a.AgentSocket == "" {
		errs = append(errs, errors.New("Auth: no key and no agent"))
	}
	return signers, errors.Join(errs...)
}

func fromCrypto(key crypto.Signer) (ssh.Signer, error) {
	if key == nil {
		return nil, errors.New("is nil")
	}
	return ssh.NewSignerFromSigner(key)
}

func (a Auth) parse(name string, pem []byte) (ssh.Signer, error) {
	s, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		return s, err
	}
	if a.Passphrase == nil {
		return nil, fmt.Errorf("%s is encrypted and Auth.Passphrase is not set", name)
	}
	passphrase, err := a.Passphrase(name)
	if err != nil {
		return nil, fmt.Errorf("passphrase of %s: %w", name, err)
	}
	return ssh.ParsePrivateKeyWithPassphrase(pem, passphrase.Bytes())
}

// agentSigners opens the agent for the length of one authentication; close
// ends it.
func (a Auth) agentSigners(ctx context.Context) (signers []ssh.Signer, closeAgent func(), err error) {
	if a.AgentSocket == "" {
		return nil, func() {}, nil
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", a.AgentSocket)
	if err != nil {
		return nil, nil, fmt.Errorf("agent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	closeAgent = func() { stop(); _ = conn.Close() }
	signers, err = agent.NewClient(conn).Signers()
	if err != nil {
		closeAgent()
		return nil, nil, fmt.Errorf("agent: %w", err)
	}
	return signers, closeAgent, nil
}
