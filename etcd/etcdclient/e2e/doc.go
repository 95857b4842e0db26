// Package e2e holds what package etcd renders, and what package etcdclient sees,
// against real etcd servers over mutual TLS. It is a module of its own, because
// etcd's server would be a heavy dependency of every importer.
package e2e
