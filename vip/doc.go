// Package vip turns a cluster description into the keepalived configuration of
// each control plane and the script by which keepalived judges the API server
// there. It is pure: nothing is read, written or started. With an External
// endpoint there is nothing to render.
//
// # Who holds the VIP
//
// A node is eligible only while its own API server answers /readyz with "ok"
// (/healthz before Kubernetes 1.16, which brought /readyz).
// The check has no weight: when it fails the VRRP instance is in the fault
// state, which no priority outweighs, and it begins there (init_fail), so a
// host that boots, or whose API server is still starting, never takes the VIP.
// When no API server is ready nobody holds it. Weights, the usual recipe, must
// exceed every difference between two priorities to work at all, and leave the
// VIP with the least bad of the dead.
//
// Every node begins as BACKUP and nopreempt is set: the node that holds the VIP
// keeps it until it fails, so one that comes back moves nothing. Priorities
// only order those that bid at the same moment: the skew of VRRP lets the higher
// one bid first. From 230 down they leave a holder that gives up 100 ms to take
// the address off before the first bid, and, between three control planes, 210
// ms between one bid and the next, long enough for the other to hear it on a
// busy host (keepalived runs at nice -20 for the same reason). Should two bid at
// once after all, the lower one yields at the other's first advertisement.
//
// # Weights
//
// VIP.Weight asks for that recipe all the same: a failed check then takes its
// size off the priority, and the VIP always has a holder. The first control
// plane's priority is 101 and all others' 100, so that any weight from -2 down
// puts a node with a dead API server below each of the others; Instances refuses
// one that does not. Equal priorities are well in VRRP: of two that bid at once
// the higher address wins. A node still begins as failed, or the first one would
// take the VIP each time it boots, before its API server serves.
//
// nopreempt is not set, since it would keep the others from outbidding the one
// that fails. So the first control plane takes the VIP back as soon as its API
// server is well again, which moves it once more than without a weight.
//
// # How soon
//
// With the defaults of quorate.VIP:
//
//   - Dead API server: three failed checks, one second apart, the last given one
//     second, and the skew, as the holder gives up by an advertisement of
//     priority 0 (RFC 3768 section 6.4.2 and RFC 5798 section 6.4.2). At most
//     4.75 s; see Instance.APIServerLossBound. With a weight 7.61 s.
//   - Dead host: three advertisement intervals and the skew (RFC 3768 section
//     6.1, RFC 5798 section 6.1). At most 3.75 s; see Instance.HostLossBound.
//
// Both count to the moment the next node takes the address. It then tells its
// neighbours five times at once, five times again after a second, and once
// every ten seconds for those that missed it.
//
// # When every API server dies
//
// Checks on different nodes are not in step, so as one gives the VIP up another
// may take it for the second or so until its own check has failed as often. All
// have given it up within APIServerLossBound.
//
// # The check
//
// The script asks https://NODE:PORT/readyz for the node's own address, which is
// where the VIP's clients come out and a name in the API server's certificate
// (localhost is none). It trusts the cluster's own authority and nothing else,
// so another server on that port is not mistaken for the API. No credentials
// are needed: the role system:public-info-viewer, system:discovery before 1.14,
// lets anyone read it.
// curl's limit lies 200 ms below keepalived's, so that a check has ended before
// the next begins: keepalived 2.2.7 logs that it skips a check while another
// runs, and runs both. keepalived runs the script as root, and only if nobody
// else may write to any part of its path; see DefaultScriptUser for the reason
// and Instance.ScriptUser for another user.
//
// # Secrets
//
// VRRP version 2, for an IPv4 VIP, knows a password of eight characters, which
// every host on the segment can read off the wire: it keeps strangers' mistakes
// out, not attackers. It is treated as a secret all the same. VRRP version 3,
// for an IPv6 VIP, has none (RFC 5798 section 9). Unless Multicast is set,
// advertisements go to the other control planes alone and only theirs are
// accepted.
//
// # Needs
//
// keepalived 1.3.5 has every keyword that is rendered for an IPv4 VIP, 2.0.20
// those for an IPv6 one; the tests run 2.2.7. curl 7.32 or later.
package vip
