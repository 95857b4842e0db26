package pki

import (
	"io/fs"
	"time"

	"github.com/quorate-dev/quorate"
)

// Changes is what Load did beyond reading.
type Changes struct {
	// Issued lists what was made, in the order it was.
	Issued []Change `json:"issued,omitempty"`
	// Orphans are the nodes in the store that are no control planes of the
	// cluster. Their files are left out of the bundle's Store; what remains of
	// them is the caller's to delete.
	Orphans []string `json:"orphans,omitempty"`
}

// Change is one certificate or key pair that was made.
type Change struct {
	// File is the path in the store: of the certificate, or of the service
	// accounts' private key.
	File   string `json:"file"`
	Reason Reason `json:"reason"`
	// Detail says what was found, empty for Missing.
	Detail string `json:"detail,omitempty"`
}

// String returns "file: reason (detail)".
func (c Change) String() string {
	s := c.File + ": " + string(c.Reason)
	if c.Detail != "" {
		s += " (" + c.Detail + ")"
	}
	return s
}

// Reason reports why something was issued.
type Reason string

const (
	// Missing means that the store does not have it.
	Missing Reason = "missing"
	// Expiring means that its validity is over or ends within Config.RenewBefore.
	Expiring Reason = "expiring"
	// Mismatch means that its names, common name or usages are no longer those the node
	// needs.
	Mismatch Reason = "mismatch"
)

// New makes all certificates of a cluster. It fails with a
// *quorate.InvalidError that holds every problem of cluster and configuration,
// or an *AuthorityError about a brought authority.
func New(cluster quorate.Cluster, cfg Config) (*Bundle, error) {
	b, _, err := Load(noFiles{}, cluster, cfg)
	return b, err
}

func names(nodes []quorate.Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return out
}

// Load makes a bundle from the files of a Store, such as os.DirFS,
// and issues only what is missing, no longer fits its node or is about to
// expire; Changes says what. With an empty store it does what New does. Keep
// the result's Store whenever Changes.Issued is not empty.
//
// Besides New's errors there is a *FileError for every file that is corrupt or
// does not belong to the others (errors.As finds the first in the joined
// error): such a file is never replaced silently. Neither is an authority that
// is missing from a store with other files, see Config.MakeMissingAuthorities.
func Load(files fs.FS, cluster quorate.Cluster, cfg Config) (*Bundle, Changes, error) {
	cfg = cfg.withDefaults(cluster)
	if err := problems(cluster, cfg).Err("certificates"); err != nil {
		return nil, Changes{}, err
	}
	specs := leafSpecs(cluster, cfg)
	found, err := readStore(files, specs)
	if err != nil {
		return nil, Changes{}, err
	}
	now := cfg.Now().UTC().Truncate(time.Second)
	l := &loader{
		cluster: cluster, stored: found, cfg: cfg, now: now, issuer: newIssuer(cfg, now),
		bundle: &bundle{
			cluster: cluster.WithDefaults().Name, stacked: cluster.Etcd.Stacked, controlPlanes: names(cluster.ControlPlanes()),
			cfg: cfg, trials: trials(cluster), specs: specs,
			ca: map[AuthorityName]*pair{}, brought: map[AuthorityName]bool{}, leaves: map[string]*pair{},
		},
	}
	if err := l.load(); err != nil {
		return nil, Changes{}, err
	}
	if err := l.bundle.verify(now); err != nil {
		return nil, Changes{}, err
	}
	l.changes.Orphans = orphans(files, cluster)
	return &Bundle{l.bundle}, l.changes, nil
}
