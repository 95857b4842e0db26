package vip

import "time"

// VRRP declares the holder dead after this many advertisement intervals and
// the skew (RFC 3768 and RFC 5798, section 6.1, Master_Down_Interval).
const downAdverts = 3

// HostLossBound is the longest that the VIP is held by nobody after its
// holder's host dies or is cut off, if this node is the eligible one with the
// highest priority: 3 * AdvertInterval + Skew. It counts until this node takes
// the address, on a host that is not starved of CPU.
func (i Instance) HostLossBound() time.Duration {
	i = i.withDefaults()
	return downAdverts*i.Endpoint.VIP.AdvertInterval.Std() + i.skew()
}

// APIServerLossBound is the longest from the death of the holder's API server,
// be it that it refuses connections, hangs or answers anything but 200 "ok",
// until this node takes the address, if it is the eligible one with the highest
// priority: Fall * CheckInterval + CheckTimeout + Skew.
//
// The worst case is a server that dies just after it answered: an interval
// passes before the first check that can fail, Fall-1 more before the last one
// starts, and that takes its timeout. The holder then says that it stops
// (priority 0), after which others wait for the skew alone. With a Weight it does
// not stop, it only bids less; others no longer heed it and wait as long as if
// its host were dead: 3 * AdvertInterval more.
func (i Instance) APIServerLossBound() time.Duration {
	i = i.withDefaults()
	v := i.Endpoint.VIP
	bound := time.Duration(v.Fall)*v.CheckInterval.Std() + v.CheckTimeout.Std() + i.skew()
	if v.Weight != 0 {
		bound += downAdverts * v.AdvertInterval.Std()
	}
	return bound
}

// skew is Skew_Time: (256-Priority)/256 seconds in RFC 3768, and that part of an
// advertisement interval in RFC 5798.
func (i Instance) skew() time.Duration {
	unit := time.Second
	if i.vrrpVersion() == 3 {
		unit = i.Endpoint.VIP.AdvertInterval.Std()
	}
	return time.Duration(256-i.Priority) * unit / 256
}
