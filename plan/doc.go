// Package plan sequences work on hosts. It is the one place where what the
// renderers say and what transports do come together.
//
// # The parts
//
//   - A Step is data: an ID, a host, what it comes after, the locks it holds,
//     a timeout, and an Action. An Action checks, by reading only, what differs
//     from the desired state, and applies the difference.
//   - A Plan is steps that New has found to make sense: no cycle, no unknown
//     ID. It is complete before any host is touched; no step hands a value to
//     a later one, but that a preflight judges what it has just read of all hosts.
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
//   - Events tell an observer what happens, and a Summary what was done. They
//     are written as JSON Lines of a versioned form (EventWriter, DecodeEvents,
//     docs/events.md), to a logger (LogTo), or as OpenTelemetry spans by
//     plan/otelplan.
//
// The check is the truth: a plan can be run any number of times, and a run
// against hosts that are as described changes nothing and says so.
//
// # The recipe
//
// HA makes the plan for a highly available control plane from an HAConfig;
// its comment lists the steps. It begins with a preflight, which docs/preflight.md
// describes check by check, and which Preflight does by itself. Files gives what that recipe would write, with
// no host involved. Prerequisites says where programs and images come from:
// Present, Packages, Pushed, or a type of one's own.
//
// HA also brings back a control plane that was reset, is new, or has lost its
// disk, into a cluster that runs without it. Reset takes nodes, or the whole
// cluster, back to hosts on which HA could begin anew, and refuses what would cost
// the cluster its quorum.
//
// # Abilities
//
// An Action that is an Undoer can be taken back: see Runner.Keep and Rollback.
//
// An Action that is a Describer and a Commander too has more to show in a
// preview: see Runner.Preview.
//
// An Action that is Foreseeable says what its Check will read, so that a run asks
// each host once for what all of its checks want to know: see Runner.ReadAhead.
//
// Deploy is an Action for one's own steps: files, and systemd units that run
// with them. NewHost makes a Host of any connection, so that Actions can be
// tested by themselves, best over transport/faketransport.
package plan
