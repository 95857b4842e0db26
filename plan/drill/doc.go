// Package drill breaks a highly available control plane on purpose, writes
// through its virtual IP meanwhile, and reports what clients felt.
package drill
