package pki

import (
	"errors"
	"fmt"
	"time"

	"github.com/quorate-dev/quorate"
)

// loader makes one bundle.
type loader struct {
	cluster quorate.Cluster
	stored  stored
	cfg     Config
	now     time.Time
	issuer  *issuer
	bundle  *bundle
	changes Changes
}

func (l *loader) load() error {
	var errs []error
	for _, a := range authorities {
		ca, err := l.authority(a.name, a.commonName, a.key(l.cfg.Keys), a.brought(l.cfg))
		if err == nil {
			err = errors.Join(l.usable(a.name, ca, onHosts(l.cluster, a.name)), l.checkEra(a.name, ca))
		}
		errs = append(errs, err)
		l.bundle.ca[a.name] = ca
	}
	errs = append(errs, l.serviceAccount())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return l.leaves()
}

// authority returns the brought, the stored or a new one.
func (l *loader) authority(name AuthorityName, commonName string, alg KeyAlgorithm, brought *Authority) (*pair, error) {
	kept, err := l.storedAuthority(name)
	switch {
	case err != nil:
		return nil, err
	case brought != nil && brought.held == nil:
		return nil, &AuthorityError{name, BadAuthority, errors.New("make it with NewAuthority or ParseAuthority")}
	case brought != nil:
		if kept != nil && !kept.cert.Equal(brought.held.cert) {
			return nil, &AuthorityError{name, Changed, fmt.Errorf(
				"%s holds %s with serial %x; whoever trusts it would be cut off", caCertPath(name), kept.cert.Subject, kept.cert.SerialNumber)}
		}
		l.bundle.brought[name] = true
		return brought.held, nil
	case kept != nil:
		return kept, nil
	}
	if err := l.mayMake(caCertPath(name)); err != nil {
		return nil, err
	}
	made, err := l.issuer.newAuthority(commonName, alg)
	if err != nil {
		return nil, &AuthorityError{name, BadAuthority, fmt.Errorf("making it: %w", err)}
	}
	l.issued(caCertPath(name), Missing, "")
	return made, nil
}

func (l *loader) storedAuthority(name AuthorityName) (*pair, error) {
	certPath, keyPath := caCertPath(name), caKeyPath(name)
	if !l.stored.has(certPath) {
		if l.stored.has(keyPath) {
			return nil, &FileError{certPath, fmt.Errorf("missing beside its key %s: restore it", keyPath)}
		}
		return nil, nil
	}
	p, err := l.stored.pair(certPath, keyPath)
	if err != nil {
		return nil, err
	}
	if err := p.checkAuthority(); err != nil {
		return nil, &FileError{certPath, err}
	}
	return p, nil
}

// usable refuses an authority that is out of its time, or that kubeadm could
// not sign with.
func (l *loader) usable(name AuthorityName, ca *pair, onHosts bool) error {
	if err := ca.checkPeriod(l.now); err != nil {
		return &AuthorityError{name, Lapsed, err}
	}
	if onHosts && ca.key == nil {
		return &AuthorityError{name, NoKey, fmt.Errorf("%s is missing and kubeadm signs with it on the control planes; restore it, or set the authority in the configuration if it was brought", caKeyPath(name))}
	}
	if onHosts && ca.key.pem.Len() == 0 {
		return &AuthorityError{name, NotExportable, errors.New("kubeadm signs with this key on every control plane; bring an intermediate authority whose key is a file, or let one be made. " +
			"kubeadm's external mode, where every leaf and kubeconfig is issued beforehand, is not supported")}
	}
	return nil
}

func (l *loader) serviceAccount() error {
	private, havePrivate := l.stored[saKeyPath]
	public, havePublic := l.stored[saPubPath]
	if !havePrivate {
		if havePublic {
			return &FileError{saKeyPath, fmt.Errorf("missing beside %s: restore it", saPubPath)}
		}
		if err := l.mayMake(saKeyPath); err != nil {
			return err
		}
		made, err := newKey(l.cfg.Keys.ServiceAccount)
		if err == nil {
			private, err = encodeKey(made)
		}
		if err != nil {
			return fmt.Errorf("making the service accounts' key: %w", err)
		}
		l.issued(saKeyPath, Missing, "")
	}
	key, err := parseKey(private)
	if err != nil {
		return &FileError{saKeyPath, err}
	}
	derived, err := encodePublicKey(key.Public())
	if err != nil {
		return &FileError{saKeyPath, err}
	}
	if havePublic && !samePublicKey(public, derived) {
		return &FileError{saPubPath, fmt.Errorf("not the public key of %s; delete it to have it derived", saKeyPath)}
	}
	if l.cluster.Version.Has(quorate.RSAServiceAccountOnly) && !isRSA(key.Public()) {
		return &FileError{saKeyPath, fmt.Errorf("kubeadm %s reads no other keys than RSA here", l.cluster.Version)}
	}
	l.bundle.serviceAccount = &serviceAccount{key, derived}
	return nil
}

// mayMake refuses to make what others already trust and is only lost.
func (l *loader) mayMake(path string) error {
	if len(l.stored) == 0 || l.cfg.MakeMissingAuthorities {
		return nil
	}
	return &FileError{path, errors.New("missing from a store that holds other files; a new one would cut off whoever trusts the lost one. " +
		"Restore it, or set MakeMissingAuthorities if no cluster was made from this store")}
}

func (l *loader) issued(file string, reason Reason, detail string) {
	l.changes.Issued = append(l.changes.Issued, Change{file, reason, detail})
}
