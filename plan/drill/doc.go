// Package drill breaks a cluster on purpose while it is written to, and reports what
// that did: the test of high availability that is otherwise done by hand, on one host.
//
// # What it does
//
// Run refuses a cluster that is not fully redundant. On one that is it writes
// config maps through the endpoint all the time, at a bounded rate in a namespace
// of its own, and remembers which writes were acknowledged; it reads through the
// endpoint and from each API server by itself; it has every control plane note
// when it holds the VIP; and it reads from every member of etcd who leads. Then it runs
// scenarios one after the other: each breaks something, waits, heals, and waits
// until everything is redundant again.
//
// # What must hold
//
// A guarantee that does not hold ends the drill, at once and healed:
//
//   - a write that was acknowledged is there afterwards, or a later one is, by the
//     word of every API server. One that timed out may be there or not;
//   - no two hosts hold the VIP that one client could reach. A host that is cut
//     off reaches none;
//   - with a majority left, etcd has a quorum again soon, and writes go on before
//     anything is healed;
//   - a host that is cut off gives up the VIP by itself and acknowledges nothing;
//   - everything comes back by itself, and no member of etcd has gone back.
//
// How long something took is a figure, not a guarantee: it is held against
// Thresholds, and the drill goes on.
//
// # Breaking
//
// What breaks hosts is a Breaker. SSHBreaker stops services, cuts networks, fills
// disks and reboots by commands; a timer on the host heals each of its breaks if
// the operator does not. Power is a PowerBreaker's, which only the user's own
// hypervisor, cloud or management controller can be.
//
// Preview is the dry run. Package drilltest is a fake cluster for tests.
//
// # How the writes are judged
//
// Each write names the version of the object it replaces, and after one that was
// not acknowledged the object is read before it is written again. So a write that
// its sender has given up can still come about only as long as no later one was
// acknowledged, and an object whose value is older than the last acknowledged one
// has lost it. All reads of the drill are linearizable.
//
// # How owners are judged
//
// A small loop on each host notes every change of its addresses as the kernel
// reports it, with the host's clock, whose distance from the operator's is measured.
// The notes are read as they are made and, of a host that could not be reached,
// afterwards. An overlap shorter than what the two clocks are uncertain by, half
// the quickest answer of each host, is none. Only the hosts of the Config are
// watched: an owner elsewhere is not seen.
//
// # The report
//
// A Report is data. Text shows it at a terminal, JSON keeps it for DecodeReport and
// for other programs, and HTML writes one page with a timeline of each scenario,
// which needs neither scripts nor a network.
package drill
