// Package etcdjournal keeps the journal of runs in etcd, for operators on
// several machines: one of them runs, the others learn who and since when.
// It is a module of its own so that it has releases of its own. It costs an importer
// no module that the main one does not require already: etcd/etcdclient uses etcd's
// client too.
//
// The journal needs an etcd that is there before the run and through it: one
// beside the cluster, or the cluster's own for every run after the first. Runs
// that restart the members of the etcd they are written to keep their hold, as
// long as a majority of members is up again within Config.TTL.
//
// Under Config.Prefix are
//
//	lock              who runs, as JSON; bound to a lease
//	records/NUMBER    the records, as JSON, numbered in twenty digits
//
// The lease is kept alive while the run lasts and revoked at its end. When
// the program dies, or is cut off from etcd, the lease runs out after Config.TTL
// and any operator can go on. A run that finds its lease gone stops, and it can
// write nothing more: every record is written on the condition that the lock is
// still the one that the run took. To take a lock from somebody, delete its key.
//
// The last Config.KeepRuns runs are kept whole, a thousand by default, and of all
// before them what they left unfinished. A run that starts and finds a quarter
// more than that removes the others. Records are a few hundred bytes each; the
// space of those that were removed is freed as etcd is compacted and
// defragmented.
package etcdjournal
