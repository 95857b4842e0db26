package drill_test

import (
	"fmt"
	"time"

	"github.com/quorate-dev/quorate/plan/drill"
)

// run builds a scenario's record by offsets from its beginning.
type run struct {
	began time.Time
	drill.Result
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (r *run) at(s float64) time.Time { return r.began.Add(seconds(s)) }

// gap is in seconds from the beginning.
func (r *run) gap(from, to float64, failed int, err string) drill.Gap {
	return drill.Gap{From: r.at(from), To: r.at(to), Failed: failed, Error: err}
}

func (r *run) held(host string, from, to float64) drill.HostSpan {
	return drill.HostSpan{Host: host, From: r.at(from), To: r.at(to)}
}

func begin(at time.Time, scenario, title string, broken ...string) *run {
	r := &run{began: at}
	r.Scenario, r.Title, r.Broken, r.Began, r.Verdict = scenario, title, broken, at, drill.Passed
	r.ServerReads = map[string]drill.Series{}
	return r
}

func (r *run) moments(broke, healed, redundant, ended float64) {
	r.BrokeAt, r.HealedAt, r.Redundant, r.Ended = r.at(broke), r.at(healed), r.at(redundant), r.at(ended)
}

// series is the record of a load of so many requests.
func series(requests int, gaps ...drill.Gap) drill.Series {
	s := drill.Series{Requests: requests, Acknowledged: requests, Gaps: gaps, SlowestAcknowledged: 87 * time.Millisecond}
	for _, g := range gaps {
		s.Acknowledged -= g.Failed
		s.Longest = max(s.Longest, g.Length())
		s.Total += g.Length()
	}
	return s
}

const (
	refused = `Put "https://10.0.0.10:6443/api/v1/namespaces/drill/configmaps/w-3": dial tcp 10.0.0.10:6443: connect: connection refused`
	timeout = `Get "https://10.0.0.10:6443/readyz": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`
)

// sample is what a drill of three control planes might find, with one scenario
// of each verdict and one that never began.
func sample() *drill.Report {
	at := time.Date(2026, 3, 14, 9, 26, 53, 589e6, time.UTC)
	hosts := []string{"cp-1", "cp-2", "cp-3"}
	r := &drill.Report{
		Schema: drill.Schema, Endpoint: "10.0.0.10:6443", Hosts: hosts, Kubernetes: "v1.37.0", Began: at,
		Thresholds: drill.Thresholds{WriteGap: 5 * time.Second}, NotRun: []string{"cold-start"}, Verdict: drill.Violated,
	}
	add := func(s *run) {
		r.Results = append(r.Results, s.Result)
		if !s.Ended.IsZero() {
			at = s.Ended.Add(4 * time.Second)
		}
	}

	s := begin(at, "apiserver-stop", "kube-apiserver stopped on cp-1, which held the VIP", "cp-1")
	s.moments(10, 40, 47.3, 60)
	s.Writes = series(1180, s.gap(10.1, 12.44, 23, refused))
	s.Reads = series(2361, s.gap(10.12, 12.31, 44, refused))
	s.ServerReads["cp-1"] = series(590, s.gap(10.05, 46.2, 361, refused))
	s.ServerReads["cp-2"], s.ServerReads["cp-3"] = series(598), series(597)
	s.Owners = []drill.HostSpan{s.held("cp-1", 0, 12.2), s.held("cp-2", 12.3, 60)}
	s.Etcd = drill.EtcdRecord{TermBefore: 4, TermAfter: 4, IndexBefore: 10451, IndexAfter: 12907, Members: 3,
		Leaders: []drill.HostSpan{s.held("cp-3", 0, 60)}}
	add(s)

	s = begin(at, "etcd-leader-power-cut", "power of cp-3 cut, which led etcd", "cp-3")
	s.moments(10, 30, 88.4, 95)
	s.Writes = series(1731, s.gap(10.02, 11.7, 16, "etcdserver: leader changed"), s.gap(13.1, 13.42, 3, "etcdserver: request timed out"))
	s.Reads = series(3422, s.gap(10.02, 10.9, 9, timeout))
	s.ServerReads["cp-1"], s.ServerReads["cp-2"] = series(950, s.gap(10.03, 11.2, 8, timeout)), series(948)
	s.ServerReads["cp-3"] = series(946, s.gap(10.0, 71.9, 610, "dial tcp 10.0.0.13:6443: connect: no route to host"))
	s.Owners = []drill.HostSpan{s.held("cp-2", 0, 95)}
	s.Etcd = drill.EtcdRecord{TermBefore: 4, TermAfter: 5, IndexBefore: 12911, IndexAfter: 15804, Members: 3,
		Leaders:  []drill.HostSpan{s.held("cp-3", 0, 10), s.held("cp-1", 11.5, 95)},
		NoQuorum: []drill.Gap{s.gap(10.02, 11.5, 3, "context deadline exceeded")}}
	s.Down = []drill.HostSpan{s.held("cp-3", 10, 30.2)}
	s.Notes = []string{"cp-3 was started again by the lab; its journal was replayed for 1.2 s."}
	add(s)

	s = begin(at, "partition", "cp-2 cut off from every other host, with the VIP", "cp-2")
	s.moments(10, 55, 71.8, 80)
	s.Writes = series(1402, s.gap(10.04, 18.392, 81, refused))
	s.Reads = series(2810, s.gap(10.04, 18.377, 162, refused))
	s.ServerReads["cp-1"], s.ServerReads["cp-3"] = series(799), series(797)
	s.ServerReads["cp-2"] = series(801, s.gap(10.04, 56.3, 460, timeout))
	s.Owners = []drill.HostSpan{s.held("cp-2", 0, 56.1), s.held("cp-1", 14.2, 80)}
	s.Etcd = drill.EtcdRecord{TermBefore: 5, TermAfter: 5, IndexBefore: 15809, IndexAfter: 17022, Members: 3,
		Leaders: []drill.HostSpan{s.held("cp-1", 0, 80)}}
	s.Down = []drill.HostSpan{s.held("cp-2", 10, 55)}
	s.Refused = map[string]drill.Series{"cp-2": {Requests: 88}}
	s.Exceeded = []string{"no writes for 8352 ms, the limit is 5000 ms"}
	s.Notes = []string{"cp-2 kept the VIP while it was cut off. No client could reach both owners."}
	s.Verdict = drill.Exceeded
	add(s)

	s = begin(at, "disk-full", "disk of etcd filled on cp-1, which led etcd and held the VIP", "cp-1")
	s.moments(10, 30, 38.5, 50)
	s.Writes = series(911, s.gap(10.5, 13.25, 24, "etcdserver: request timed out"), s.gap(30.1, 30.4, 2, "etcdserver: not leader"))
	s.Reads = series(1840)
	s.ServerReads["cp-1"] = series(499, s.gap(11.1, 31.9, 207, "[-]etcd failed: reason withheld"))
	s.ServerReads["cp-2"], s.ServerReads["cp-3"] = series(500), series(500)
	s.Owners = []drill.HostSpan{s.held("cp-1", 0, 33.2), s.held("cp-3", 32, 50)}
	s.DoubleOwners = []drill.DoubleOwner{{Hosts: []string{"cp-1", "cp-3"}, From: s.at(32), To: s.at(33.2)}}
	s.Lost = []drill.LostWrite{{Object: "drill/w-7", At: s.at(29.8), Want: "1184", Got: "1183"}, {Object: "drill/w-9", At: s.at(29.9), Want: "1186"}}
	s.Etcd = drill.EtcdRecord{TermBefore: 5, TermAfter: 7, IndexBefore: 17031, IndexAfter: 18260, Members: 3,
		Leaders: []drill.HostSpan{s.held("cp-1", 0, 10.5), s.held("cp-2", 13, 50)}}
	s.Violations = []string{"2 acknowledged writes are not there: drill/w-7, drill/w-9", "cp-1 and cp-3 both held the VIP for 1200 ms, within reach of one client"}
	s.Verdict = drill.Violated
	add(s)

	s = begin(at, "rolling-power-cut", "power of cp-1, cp-2 and cp-3 cut, one after the other", "cp-1", "cp-2", "cp-3")
	s.BrokeAt = s.at(10)
	s.Writes = series(204, s.gap(10.2, 12, 11, refused))
	s.Reads = series(410)
	s.ServerReads["cp-1"], s.ServerReads["cp-2"] = series(130, s.gap(10.1, 14, 30, refused)), series(130)
	s.Owners = []drill.HostSpan{s.held("cp-3", 0, 14)}
	s.Etcd = drill.EtcdRecord{TermBefore: 7}
	s.Notes = []string{"The drill was interrupted: context canceled. cp-1 had been started again by then."}
	s.Verdict = drill.Aborted
	add(s)

	r.Ended = at.Add(16 * time.Second)
	return r
}

// clean is a drill of seven control planes in which everything held: eleven
// scenarios, and a row with fifty gaps.
func clean() *drill.Report {
	at := time.Date(2026, 3, 14, 22, 0, 0, 0, time.UTC)
	r := &drill.Report{Schema: drill.Schema, Endpoint: "[2001:db8::a]:6443", Kubernetes: "v1.36.2", Began: at, Verdict: drill.Passed}
	for i := range 7 {
		r.Hosts = append(r.Hosts, fmt.Sprintf("control-plane-%d.paris.example.com", i+1))
	}
	for i := range 11 {
		host := r.Hosts[i%7]
		s := begin(at, fmt.Sprintf("scenario-%02d", i+1), "etcd stopped on "+host, host)
		s.moments(5, 5.3, 6.1+float64(i)*9, 20+float64(i)*9)
		end := 20 + float64(i)*9
		s.Writes, s.Reads = series(4000, s.gap(5, 5.0412, 1, "EOF")), series(4000)
		if i == 4 {
			var gaps []drill.Gap
			for j := range 50 {
				gaps = append(gaps, s.gap(5+float64(j), 5.1+float64(j)+float64(j%7)/10, 2+j%7, "etcdserver: too many requests"))
			}
			s.Reads = series(4000, gaps...)
		}
		for j, h := range r.Hosts {
			s.ServerReads[h] = series(900)
			from, to := float64(j)*end/7, float64(j+1)*end/7
			s.Owners = append(s.Owners, s.held(h, from, to))
			s.Etcd.Leaders = append(s.Etcd.Leaders, s.held(r.Hosts[6-j], from, to))
		}
		s.ServerReads[host] = series(900, s.gap(5, 9, 40, "connection refused"))
		s.Etcd.TermBefore, s.Etcd.TermAfter, s.Etcd.Members = 10, 16, 7
		r.Results = append(r.Results, s.Result)
		at = s.Ended.Add(2 * time.Second)
	}
	r.Ended = at
	return r
}

// hostile has strings that would be markup, script, style or the terminal's
// commands if they were not escaped, or break the page by their length.
func hostile() *drill.Report {
	const evil = "</text></svg></style></title><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\x1b[2J\u202e\x00\xff{{.}} 日本語日本語"
	long := ""
	for range 400 {
		long += "unbroken-"
	}
	r := sample()
	r.Endpoint, r.Kubernetes, r.Hosts, r.NotRun = evil, evil, []string{evil, long, "cp-3"}, []string{evil, long}
	for i := range r.Results {
		s := &r.Results[i]
		s.Refused, s.Down = map[string]drill.Series{evil: s.Writes}, []drill.HostSpan{{Host: long, From: s.Began, To: s.Ended}, {Host: evil}}
		s.Scenario, s.Title, s.Broken = evil, evil+long, []string{evil, long}
		s.ServerReads[evil], s.ServerReads[long] = s.Writes, s.Writes
		for _, gaps := range [][]drill.Gap{s.Writes.Gaps, s.Reads.Gaps, s.Etcd.NoQuorum} {
			for j := range gaps {
				gaps[j].Error = evil + long
			}
		}
		for j := range s.Owners {
			s.Owners[j].Host = []string{evil, long}[j%2]
		}
		for j := range s.Lost {
			s.Lost[j] = drill.LostWrite{Object: evil, At: s.Lost[j].At, Want: long, Got: evil}
		}
		for j := range s.DoubleOwners {
			s.DoubleOwners[j].Hosts = []string{evil, long}
		}
		s.Violations, s.Exceeded, s.Notes = append(s.Violations, evil), append(s.Exceeded, long), []string{evil, long}
	}
	return r
}

// aborted ended before its first scenario had broken anything: no moment but
// the first is known.
func aborted() *drill.Report {
	at := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	return &drill.Report{
		Schema: drill.Schema, Endpoint: "10.0.0.10:6443", Hosts: []string{"cp-1", "cp-2", "cp-3"}, Began: at, Verdict: drill.Aborted,
		Results: []drill.Result{{Scenario: "apiserver-stop", Title: "kube-apiserver to be stopped on cp-1", Broken: []string{"cp-1"}, Began: at, Verdict: drill.Aborted}},
		NotRun:  []string{"etcd-leader-power-cut", "disk-full"},
	}
}
