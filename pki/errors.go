package pki

import (
	"fmt"
	"strings"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// FileError reports that a file of a store cannot be used. Load joins one for
// every such file. It never holds the file's content.
type FileError struct {
	// File is its path in the store.
	File string
	// Err is what is wrong with it and what to do.
	Err error
}

func (e *FileError) Error() string {
	return termsafe.Indented("stored certificates: " + e.File + ": " + e.Err.Error())
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// AuthorityReason is the kind of an AuthorityError.
type AuthorityReason string

const (
	// BadAuthority means that the certificate and key cannot serve as an authority.
	BadAuthority AuthorityReason = "unusable"
	// NotExportable means that kubeadm needs the key on the hosts and it cannot be had.
	NotExportable AuthorityReason = "key not exportable"
	// NoKey means that something must be issued and the authority's key is not at hand.
	NoKey AuthorityReason = "no key"
	// Shared means that two of the cluster's authorities are one.
	Shared AuthorityReason = "shared"
	// Changed means that the authority is another than the one in the store.
	Changed AuthorityReason = "changed"
	// Lapsed means that the authority's validity is over, or has not begun.
	Lapsed AuthorityReason = "not valid now"
)

// AuthorityError reports that a certificate authority cannot be used.
type AuthorityError struct {
	// Authority is "etcd", "kubernetes" or "front-proxy", empty if it is not
	// known yet what the authority is for.
	Authority AuthorityName
	Reason    AuthorityReason
	Err       error
}

func (e *AuthorityError) Error() string {
	s := strings.TrimPrefix(string(e.Authority)+" certificate authority: ", " ")
	s += string(e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return termsafe.Indented(s)
}

// Unwrap returns the cause.
func (e *AuthorityError) Unwrap() error { return e.Err }

// VerifyError reports that a certificate of a bundle does not hold.
type VerifyError struct {
	// File is the certificate's path in the store.
	File string
	Err  error
}

func (e *VerifyError) Error() string {
	return termsafe.Indented("verify " + e.File + ": " + e.Err.Error())
}

// Unwrap returns the cause.
func (e *VerifyError) Unwrap() error { return e.Err }

// StackedError reports that a bundle has no such leaf for a control plane, since
// kubeadm issues those of stacked members on their hosts.
type StackedError struct {
	Node string
	Kind LeafKind
}

func (e *StackedError) Error() string {
	return termsafe.Indented(fmt.Sprintf("no %s certificate for %s: kubeadm issues it there, as for every stacked etcd member", e.Kind, e.Node))
}

// UnknownNodeError reports that a bundle has nothing for a node: it is no control
// plane of the cluster that the bundle was made for.
type UnknownNodeError struct {
	Node string
	// Known are the control planes that the bundle was made for.
	Known []string
}

func (e *UnknownNodeError) Error() string {
	return termsafe.Indented(fmt.Sprintf("no certificates for node %q; the bundle was made for the control planes %s", e.Node, strings.Join(e.Known, ", ")))
}
