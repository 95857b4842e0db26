package drill_test

import (
	"bytes"
	"fmt"
	"time"

	"github.com/quorate-dev/quorate/plan/drill"
)

// A report is shown at a terminal, kept as JSON, and read again.
func ExampleReport_Text() {
	began := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	report := &drill.Report{
		Endpoint: "10.0.0.10:6443", Hosts: []string{"cp-1", "cp-2", "cp-3"}, Began: began, Ended: at(60_000),
		Results: []drill.Result{{
			Scenario: "apiserver-stop", Title: "kube-apiserver stopped on cp-1", Broken: []string{"cp-1"},
			Began: began, BrokeAt: at(10_000), HealedAt: at(40_000), Redundant: at(47_300), Ended: at(60_000),
			Writes: drill.Series{
				Requests: 1180, Acknowledged: 1157, Longest: 2340 * time.Millisecond, Total: 2340 * time.Millisecond,
				Gaps: []drill.Gap{{From: at(10_100), To: at(12_440), Failed: 23, Error: "connection refused"}},
			},
			Reads: drill.Series{Requests: 2361, Acknowledged: 2361},
			Etcd:  drill.EtcdRecord{TermBefore: 4, TermAfter: 5, Members: 3}, Verdict: drill.Passed,
		}},
		Verdict: drill.Passed,
	}
	saved, err := report.JSON()
	if err != nil {
		fmt.Println(err)
		return
	}
	read, err := drill.DecodeReport(bytes.NewReader(saved))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(read.Text())
	// Output:
	// PASSED: 1 of 1 scenario passed
	// endpoint 10.0.0.10:6443, 3 control planes: cp-1, cp-2, cp-3
	// 2026-03-14 09:26:53 UTC, for 1 min 00 s
	// limits: no writes 10 s, no reads 10 s, outage 3 min, no quorum 10 s, redundancy 5 min, elections 5
	//
	//                            no writes, ms      no reads, ms   lost    two  term    time to
	// scenario                longest    total  longest    total writes owners  rose redundancy  verdict
	// apiserver-stop             2340     2340        0        0      0      0     1       7.3s  passed
}
