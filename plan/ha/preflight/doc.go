// Package preflight finds out whether hosts are fit for what they are to become,
// before anything is done to any: facts that each host tells of itself, what it
// finds when it looks around, and a judgement of all of it. docs/preflight.md
// describes the checks one by one.
//
// ha.Cluster.Preflight runs it by itself, and the plans of package ha begin
// with it.
package preflight
