// Package e2e holds what package etcd renders, what package etcdclient sees, and
// what package plan/etcdjournal keeps, against real etcd servers over mutual TLS.
// It is a module of its own, because etcd's server would be a heavy dependency of
// every importer.
package e2e
