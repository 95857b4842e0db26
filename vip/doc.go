// Package vip turns a cluster description into the keepalived configuration of
// each control plane, the script by which keepalived judges the API server
// there and, on request, the configuration of a haproxy before all API servers.
// It is pure: nothing is read, written or started. With an External
// endpoint there is nothing to render.
//
// # Who holds the VIP
//
// A node is eligible only while its own API server, or with haproxy any, answers
// /readyz with "ok" (/healthz before Kubernetes 1.16, which brought /readyz).
// The check has no weight: when it fails the VRRP instance is in the fault
// state, which no priority outweighs, and it starts there (init_fail), so a
// host that boots, or whose API server is still starting, never takes the VIP.
// When no API server is ready nobody holds it. Weights, the usual recipe, must
// exceed every difference between two priorities to work at all, and when
// all fail they leave the VIP on one of the failed nodes.
//
// Every node starts as BACKUP and nopreempt is set: the node that holds the VIP
// keeps it until it fails, so one that comes back moves nothing. Priorities
// only order those that bid at the same moment: the skew of VRRP lets the higher
// one bid first. From 230 down they leave a holder that gives up 50 ms (100 ms in
// VRRP version 2) to take the address off before the first bid, and, between
// three control planes, 107 ms (215 ms) between one bid and the next, long enough
// for the other to hear it on a busy host (keepalived runs at nice -20 for the
// same reason). Should two bid at once after all, the lower one yields at the
// other's first advertisement.
//
// # Weights
//
// VIP.Weight selects that recipe all the same: a failed check then takes its
// size off the priority, and the VIP always has a holder. The first control
// plane's priority is 101 and all others' 100, so that any weight from -2 down
// puts a node with a dead API server below each of the others; Instances refuses
// one that does not. Equal priorities are well in VRRP: of two that bid at once
// the higher address wins. Bids then lie no more than 4 ms apart, so that the VIP
// may stop at the wrong node for a moment on its way to the right one. A node
// still starts as failed, or the first one would take the VIP each time it
// boots, before its API server serves.
//
// nopreempt is not set, since it would keep the others from outbidding the one
// that fails. So the first control plane takes the VIP back as soon as its API
// server is well again, which moves it once more than without a weight.
//
// # How soon
//
// With the defaults of quorate.VIP:
//
//   - Dead API server: three failed checks, one second apart, the last with one
//     second, and the skew, as the holder gives up by an advertisement of
//     priority 0 (RFC 3768 section 6.4.2 and RFC 5798 section 6.4.2). At most
//     4.38 s; see Instance.APIServerLossBound. With a weight 5.81 s.
//   - Dead host: three advertisement intervals, 500 ms each, and the skew (RFC
//     3768 section 6.1, RFC 5798 section 6.1). At most 1.88 s, 3.75 s at
//     intervals of a second; see Instance.HostLossBound.
//
// Both count to the moment the next node takes the address. It then announces it to its
// neighbours five times at once, five times again after a second, and once
// every second for those that missed it or heard a former holder after it, which
// did not know yet that it was cut off.
//
// # Why these figures
//
// A VIP that moves without need costs every client its connections, so nothing
// ordinary may look like a failure. Advertisements could be ten times as
// frequent; but a host of which 1.5 s are stolen, by a hypervisor or by a burst
// of image unpacking, is not dead, and one of which 150 ms are is everyday.
//
// The check's fall follows from an election of etcd's leader. While there is
// none, no API server can read from its member and none is ready: with the
// election timeout of 1 s that is etcd's default for up to 2 s (it is drawn
// from once to twice the timeout), on all hosts at once. Two checks a second
// apart can fail within that; the third starts after it. With a fall of two each
// power cut of etcd's leader would put the survivors in the fault state, and the
// address would wait for rise good checks, two seconds more. The same holds for
// a shorter etcd-readycheck-timeout of the API server, whose verdict outlives
// the election by its interval. etcd itself could elect faster; but
// its heartbeats wait for the leader's disk, of which a pause of half a second
// is nothing rare, and an election stops all writes. keepalived counts a check's
// times in whole seconds.
//
// nopreempt leaves the address where it is when a host comes back, rise keeps
// one whose API server comes and goes from taking the VIP in between.
//
// # Cut off
//
// A control plane that is cut off from the others but not from its clients keeps
// the address, as it hears of no other, while the others elect a holder of
// their own. Its etcd member has lost the quorum, so its API server takes no
// write and, two to three seconds later, is not ready: the check fails, and the
// fault state takes the address off whatever the priorities are. A weight would
// not, since nobody that outbids it is heard.
//
// # When every API server dies
//
// Checks on different nodes are not in step, so as one releases the VIP another
// may take it for the second or so until its own check has failed as often. All
// have released it within APIServerLossBound.
//
// # The check
//
// The script reads https://NODE:PORT/readyz at the node's own address, which is
// where the VIP's clients come out and a name in the API server's certificate
// (localhost is none). It trusts the cluster's own authority and nothing else,
// so another server on that port is not mistaken for the API. No credentials
// are needed: the role system:public-info-viewer, system:discovery before 1.14,
// lets anyone read it.
// curl's limit lies 200 ms below keepalived's, so that a check has ended before
// the next starts: keepalived 2.2.7 logs that it skips a check while another
// runs, and runs both. keepalived runs the script as root, and only if nobody
// else may write to any part of its path; see DefaultScriptUser for the reason
// and Instance.ScriptUser for another user.
//
// # When keepalived dies, or its interface goes
//
// DropInPath has systemd start keepalived again whatever ended it, which Debian's
// unit does not do. One that was killed leaves the address on its interface while
// another host takes it over: the drop-in takes it off as soon as systemd sees the
// process gone.
//
// keepalived 2.2.7 never bids on an interface that got the node's address only
// after keepalived had started, nor on one that was removed and made again under
// the same name: it enters the BACKUP state, or stays in FAULT, and hears nothing.
// The drop-in therefore waits for the address before each start, and the check has
// systemd restart a keepalived whose interface is another one than it started with,
// which takes a ScriptUser who may do that, as root may. TestKeepalivedSurvives shows
// each of these with real keepaliveds.
//
// # HAProxy
//
// With Endpoint.LoadBalancer every control plane runs haproxy, which passes what
// arrives at the endpoint's port on to an API server that is ready. The check
// then reads through it, so that the VIP stays where it is while any API server is
// ready and moves when its holder or the haproxy there is gone. The choices:
//
//   - A port of its own, 8443, on every address of the host: haproxy shares hosts
//     with the API servers, which take 6443 on all addresses; a bind to the VIP
//     alone would want a kernel that binds addresses it does not have, on all
//     hosts but one; and keepalived's check needs it at the node's own address.
//   - TCP, not HTTP: clients authenticate by certificates, end to end. The API
//     server's audit log has the control plane's address in place of the client's.
//   - A check of /readyz by TLS, verified against the cluster's authority and the
//     node's name, once a second. A server is out after three failures, 300 ms
//     apart: no sooner than an election of etcd's leader ends, during which no
//     API server is ready and none is better than another.
//   - Connections that fail count too: two in a row that are refused, or that get
//     no answer within 500 ms, take a server out at once, and meanwhile are tried
//     again at another. So a server that died, or whose host did, costs clients
//     at most that, and one that hangs HAProxy.BackendLossBound. What is still
//     connected to a server that is out is cut off: its clients connect again
//     elsewhere instead of waiting for their own timeouts.
//   - The server with the fewest connections is next. A preference for the
//     node's own would save a hop and the half second when another host dies; but
//     all load would be on one API server, and fall onto the next when that breaks
//     down under it.
//   - When none is ready the node's own gets the connections nevertheless: its
//     answer, and what it can serve from memory, is better than none, and nothing
//     has to be found up again first.
//
// # Secrets
//
// VRRP version 2, of an IPv4 VIP with an AdvertInterval of whole seconds, knows a
// password of eight characters, which every host on the segment can read off the
// wire: it keeps strangers' mistakes out, not attackers. It is treated as a
// secret all the same. VRRP version 3, of all others, has none (RFC 5798 section
// 9). Unless Multicast is set, advertisements go to the other control planes
// alone and only theirs are accepted, which does what the password would.
//
// # Needs
//
// keepalived 1.3.5 has every keyword that is rendered for an IPv4 VIP, 2.0.20
// those for an IPv6 one; the tests run 2.2.7. Versions 2 and 3 of VRRP do not
// hear each other: a change of AdvertInterval from one to the other lets two hosts
// hold the address until keepalived has been restarted on all. curl 7.32 or later.
//
// haproxy 2.4 or later, with the distribution's haproxy.service and user. Where
// SELinux is enforced haproxy must be allowed to connect to port 6443
// (haproxy_connect_any).
package vip
