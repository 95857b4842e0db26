// Package preflight finds out whether hosts are fit for what they are to become,
// before anything is done to any: facts that each host reports of itself, what it
// finds when it tries its surroundings, and a judgement of all of it.
//
// A Check is one value: its name, the facts that it needs, a pure judgement, and
// its text. Checks returns all of them; docs/preflight.md is generated from them.
//
// ha.Cluster.Preflight runs them by themselves, and the plans of package ha begin
// with them. Both run the same steps on a plan.Runner: facts/NODE, probe/NODE
// where a host is new, and preflight, which judges.
package preflight
