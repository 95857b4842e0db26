package drill

import (
	"cmp"
	"time"
)

// Schema names the form of a Report in JSON. A change that a reader of an older
// form would misread has another name.
const Schema = "quorate.dev/drill/v1"

// Report is what a drill did and found. Its JSON form is stable, see Schema;
// durations are in nanoseconds there and times in RFC 3339.
type Report struct {
	Schema string `json:"schema"`
	// Endpoint is where the load went: host and port of the VIP or load balancer.
	Endpoint string `json:"endpoint"`
	// Hosts are the control planes, in the Config's order.
	Hosts []string `json:"hosts"`
	// Kubernetes is the version that the API server at the endpoint reported.
	Kubernetes string    `json:"kubernetes,omitempty"`
	Began      time.Time `json:"began"`
	Ended      time.Time `json:"ended"`
	// Thresholds are what the results were held against.
	Thresholds Thresholds `json:"thresholds"`
	// Results are one for each scenario that was begun, in the order of the run.
	Results []Result `json:"results"`
	// NotRun names the scenarios that a violated guarantee or the end of ctx
	// kept from beginning.
	NotRun []string `json:"notRun,omitempty"`
	// Verdict is Passed if every result is and nothing is in NotRun.
	Verdict Verdict `json:"verdict"`
}

// Verdict is how a scenario, or the drill, ended.
type Verdict string

// The verdicts. Violated is a guarantee broken: a lost write, two owners of the
// VIP, a quorum that did not come back, a host that kept accepting what it had
// to refuse. Exceeded is a figure above a threshold with every guarantee kept.
// Aborted is a scenario that was healed before its end.
const (
	Passed   Verdict = "passed"
	Exceeded Verdict = "exceeded"
	Violated Verdict = "violated"
	Aborted  Verdict = "aborted"
)

// Result is one scenario's.
type Result struct {
	Scenario string `json:"scenario"`
	// Title says in a line what was broken, with the hosts' names.
	Title string `json:"title"`
	// Broken are the hosts that were broken.
	Broken []string `json:"broken"`
	// The moments, in this order: the scenario's load began to count, the break
	// was requested, healing was requested (for a host that returns by itself,
	// the moment it was found up again), everything was redundant again, the
	// load stopped counting. Of a scenario that breaks hosts in turn BrokeAt is
	// of the first and HealedAt of the last. One that did not come about is zero.
	Began     time.Time `json:"began"`
	BrokeAt   time.Time `json:"brokeAt"`
	HealedAt  time.Time `json:"healedAt"`
	Redundant time.Time `json:"redundant"`
	Ended     time.Time `json:"ended"`

	Writes Series `json:"writes"`
	// Reads through the endpoint.
	Reads Series `json:"reads"`
	// ServerReads are reads of each API server by itself, keyed by host.
	ServerReads map[string]Series `json:"serverReads,omitempty"`

	// Refused are writes sent from inside a cut-off host to its own API server,
	// keyed by host. None may be acknowledged.
	Refused map[string]Series `json:"refused,omitempty"`
	// Down says which hosts were off, and which cut off from all others, when:
	// such a host's VIP reaches no client.
	Down []HostSpan `json:"down,omitempty"`

	// Lost are acknowledged writes that were not there at the end. Must be empty.
	Lost []LostWrite `json:"lost,omitempty"`
	// Owners says who held the VIP when; more than one at a time during a
	// take-over is no DoubleOwner.
	Owners []HostSpan `json:"owners,omitempty"`
	// DoubleOwners are the spans in which one client could reach two owners.
	// Must be empty.
	DoubleOwners []DoubleOwner `json:"doubleOwners,omitempty"`
	// Etcd as its members report.
	Etcd EtcdRecord `json:"etcd"`
	// Violations are the guarantees that did not hold, in words, with figures.
	Violations []string `json:"violations,omitempty"`
	// Exceeded are the thresholds that were crossed, in words, with figures.
	Exceeded []string `json:"exceeded,omitempty"`
	// Notes are what else a reader should know: what was healed how, what could
	// not be watched.
	Notes   []string `json:"notes,omitempty"`
	Verdict Verdict  `json:"verdict"`
}

// Series is one kind of request over a scenario.
type Series struct {
	// Requests that were sent, Acknowledged among them.
	Requests     int `json:"requests"`
	Acknowledged int `json:"acknowledged"`
	// Gaps are the spans without service: from the last acknowledgement before a
	// failed request to the first one after, so an interval too long by up to the
	// pause between two requests, never too short. A gap still open at the end
	// ends there.
	Gaps []Gap `json:"gaps,omitempty"`
	// Longest and Total are of Gaps.
	Longest time.Duration `json:"longest"`
	Total   time.Duration `json:"total"`
	// SlowestAcknowledged is the longest that an acknowledged request took.
	SlowestAcknowledged time.Duration `json:"slowestAcknowledged"`
}

// Gap is a span without an acknowledged request.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Failed is how many requests failed in it, and Error the first one's error.
	Failed int    `json:"failed"`
	Error  string `json:"error"`
}

// Length is the gap's duration.
func (g Gap) Length() time.Duration { return g.To.Sub(g.From) }

// LostWrite is a write that was acknowledged and is not there.
type LostWrite struct {
	Object string    `json:"object"`
	At     time.Time `json:"at"`
	// Want is the value acknowledged, Got the one found, empty if the object is
	// not there.
	Want string `json:"want"`
	Got  string `json:"got,omitempty"`
}

// HostSpan is a time during which something was so of a host: it held the VIP,
// led etcd, was off.
type HostSpan struct {
	Host string    `json:"host"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// DoubleOwner is a time during which two hosts that one client could both reach
// held the VIP.
type DoubleOwner struct {
	Hosts []string  `json:"hosts"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
}

// EtcdRecord is what was seen of etcd during a scenario.
type EtcdRecord struct {
	// TermBefore and TermAfter are raft terms; the difference is the number of
	// elections, at least.
	TermBefore uint64 `json:"termBefore"`
	TermAfter  uint64 `json:"termAfter"`
	// IndexBefore and IndexAfter are raft indices that the leader reported.
	IndexBefore uint64 `json:"indexBefore"`
	IndexAfter  uint64 `json:"indexAfter"`
	// Leaders says who led when, by host.
	Leaders []HostSpan `json:"leaders,omitempty"`
	// NoQuorum are the spans of a second or more in which no member answered a
	// linearizable read; shorter ones cannot be distinguished from the pause between two
	// questions, or a member that is slow to answer.
	NoQuorum []Gap `json:"noQuorum,omitempty"`
	// Members is how many the member list had at the end, zero if no member reported it.
	Members int `json:"members"`
}

// Thresholds are the limits of a drill's figures. A zero limit is the default
// its field names; a negative one is no limit.
type Thresholds struct {
	// WriteGap bounds Writes.Longest; a scenario that stops all control planes
	// has Outage instead. Default 10 s.
	WriteGap time.Duration `json:"writeGap"`
	// ReadGap bounds Reads.Longest likewise. Default 10 s.
	ReadGap time.Duration `json:"readGap"`
	// Outage bounds the longest gap, from the moment the power is back, of a
	// scenario that leaves no quorum. Default 3 min.
	Outage time.Duration `json:"outage"`
	// Quorum bounds the longest of EtcdRecord.NoQuorum in a scenario that leaves
	// a majority. A quorum that does not return within it is lost: that is a
	// guarantee violated, and ends the drill. Default 10 s, ten of etcd's own
	// election timeouts.
	Quorum time.Duration `json:"quorum"`
	// Redundancy bounds the time from healing to full redundancy. Default 5 min.
	Redundancy time.Duration `json:"redundancy"`
	// Elections bounds the change of the raft term. Default 5.
	Elections int `json:"elections"`
}

// TimeToRedundancy is how long it took from healing until every control plane,
// etcd member and VRRP instance was back; zero if it did not happen.
func (r *Result) TimeToRedundancy() time.Duration {
	if r.Redundant.IsZero() {
		return 0
	}
	return r.Redundant.Sub(r.HealedAt)
}

// Elections is by how much the raft term rose.
func (e EtcdRecord) Elections() int { return int(e.TermAfter - e.TermBefore) }

// withDefaults returns the limits with what was left zero.
func (t Thresholds) withDefaults() Thresholds {
	t.WriteGap = cmp.Or(t.WriteGap, 10*time.Second)
	t.ReadGap = cmp.Or(t.ReadGap, 10*time.Second)
	t.Outage = cmp.Or(t.Outage, 3*time.Minute)
	t.Quorum = cmp.Or(t.Quorum, 10*time.Second)
	t.Redundancy = cmp.Or(t.Redundancy, 5*time.Minute)
	t.Elections = cmp.Or(t.Elections, 5)
	return t
}
