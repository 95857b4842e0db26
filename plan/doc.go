// Package plan sequences work on hosts. It knows hosts, files and systemd's
// units, and neither Kubernetes nor etcd: plan/ha has the recipes that make
// plans for a cluster, and another program may have recipes of its own.
//
// # The parts
//
//   - A Step is data: an ID, a host, what it comes after, the locks it holds,
//     a timeout, and an Action. An Action checks, by reading only, what differs
//     from the desired state, and applies the difference.
//   - A Plan is steps that New has found to make sense: no cycle, no unknown
//     ID. It is complete before any host is touched; no Apply rests on what
//     another step found. Checks may share what they read, see Shared.
//   - A Runner runs a plan over a transport: hosts side by side, the steps of
//     one host one after another; check, apply if it differs, check again.
//     A failure stops what comes after it and nothing else. A dry run only
//     checks.
//   - A Journal, if there is one, keeps what runs intended and what came of it:
//     who did what and when, what an earlier run left unfinished, and, if it
//     can lock, that nobody else runs. It decides nothing.
//   - A Preview is what a run would do, with the differences of public texts and
//     the commands, for people, as JSON, and as a graph. It can be saved, and
//     applied as long as it holds.
//   - Events report what happens, and a Summary what was done. They
//     are written as JSON Lines by plan/events, to a logger by events.LogTo, or as
//     OpenTelemetry spans by plan/otelplan.
//
// The check is the truth: a plan can be run any number of times, and a run
// against hosts that are as described changes nothing and says so.
//
// # Abilities
//
// An Action that is a Reverter can be undone: see Runner.BackupAs and Rollback.
//
// An Action that is a Describer and a Commander too has more to show in a
// preview: see Runner.Preview.
//
// An Action that is a Prefetcher says what its Check will read, so that a run asks
// each host once for what all of its checks want to know: see Runner.ReadAhead.
//
// An Action that is Unreached finds fault with what the run has seen although its
// step was not reached.
//
// Deploy is an Action for one's own steps: files, and systemd units that run
// with them; Remove is its opposite. NewHost makes a Host of any connection, so
// that Actions can be tested by themselves, best over transport/faketransport.
package plan
