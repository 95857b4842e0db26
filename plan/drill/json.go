package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/strictjson"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

// JSON returns the report in the form that Schema names, indented, with a final
// newline; DecodeReport reads it. Schema is written whatever the field holds. The
// same report is always the same bytes. It fails only if a time's year is none of
// four digits, and with a *quorate.InvalidError for a nil Report.
func (r *Report) JSON() ([]byte, error) {
	if err := r.missing(); err != nil {
		return nil, err
	}
	out := *r
	out.Schema = Schema
	out.Hosts = orEmpty(r.Hosts)
	out.Results = append([]Result{}, r.Results...)
	for i := range out.Results {
		out.Results[i].Broken = orEmpty(out.Results[i].Broken)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return nil, fmt.Errorf("drill report: %w", err)
	}
	return termsafe.JSON(b.Bytes()), nil
}

// orEmpty writes [] where a reader would not expect null.
func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// ReportSchemaError refuses what is no report's JSON, or one of another form.
type ReportSchemaError struct {
	// Got is the schema that it names, empty if none.
	Got string
	// Err is what the decoder says, nil if only the schema is another.
	Err error
}

func (e *ReportSchemaError) Error() string {
	if e.Err != nil {
		return "no drill report: " + visible(e.Err.Error())
	}
	return fmt.Sprintf("no drill report: its schema is %q, this release reads %q", cut(e.Got, maxHostText, "..."), Schema)
}

// Unwrap returns what the decoder says.
func (e *ReportSchemaError) Unwrap() error { return e.Err }

// MaxReport is the longest report in bytes that DecodeReport reads: a hundred
// times what a day's drill of all scenarios writes.
const MaxReport = 64 << 20

// DecodeReport reads what JSON writes, to its end. It is strict, for a report is
// evidence: another schema, a name that is no field's or differs from one in case,
// a name that is there twice, trailing text and more than MaxReport bytes are a
// *ReportSchemaError; figures that cannot be, and a verdict that what is beside it
// contradicts, a *quorate.InvalidError with all of them. An error of the reader is
// returned wrapped.
func DecodeReport(from io.Reader) (*Report, error) {
	b, err := io.ReadAll(io.LimitReader(from, MaxReport+1))
	if err != nil {
		return nil, fmt.Errorf("drill report: %w", err)
	}
	// The schema first: of another form, nothing else is to be complained of.
	var head struct {
		Schema string `json:"schema"`
	}
	if err := strictjson.Decode(b, &head, strictjson.Options{MaxSize: MaxReport, AllowUnknown: true}); err != nil {
		return nil, &ReportSchemaError{Err: err}
	}
	if head.Schema != Schema {
		return nil, &ReportSchemaError{Got: head.Schema}
	}
	var r Report
	if err := strictjson.Decode(b, &r, strictjson.Options{MaxSize: MaxReport}); err != nil {
		return nil, &ReportSchemaError{Got: head.Schema, Err: err}
	}
	if err := r.problems().Err("drill report"); err != nil {
		return nil, err
	}
	return &r, nil
}

// problems are what cannot be true of a report, by field.
func (r *Report) problems() quorate.Problems {
	var p quorate.Problems
	refuseVerdict(&p, "verdict", r.Verdict)
	forwards(&p, "ended", r.Began, r.Ended)
	if r.Verdict == Passed && len(r.NotRun) > 0 {
		p.Refuse("verdict", "passed, with %s not run", count(len(r.NotRun), "scenario"))
	}
	for i := range r.Results {
		path, s := fmt.Sprintf("results[%d]", i), &r.Results[i]
		if s.Scenario == "" {
			p.Refuse(path+".scenario", "must be named")
		}
		if r.Verdict == Passed && s.Verdict != Passed {
			p.Refuse("verdict", "passed, with %s %q", path, s.Verdict)
		}
		s.problems(&p, path)
	}
	return p
}

func (s *Result) problems(p *quorate.Problems, path string) {
	refuseVerdict(p, path+".verdict", s.Verdict)
	moments := []struct {
		name string
		at   time.Time
	}{{"began", s.Began}, {"brokeAt", s.BrokeAt}, {"healedAt", s.HealedAt}, {"redundant", s.Redundant}, {"ended", s.Ended}}
	var last time.Time
	for _, m := range moments {
		forwards(p, path+"."+m.name, last, m.at)
		if !m.at.IsZero() {
			last = m.at
		}
	}
	s.Writes.problems(p, path+".writes")
	s.Reads.problems(p, path+".reads")
	for _, host := range sortedKeys(s.ServerReads) {
		series := s.ServerReads[host]
		series.problems(p, fmt.Sprintf("%s.serverReads[%q]", path, host))
	}
	for _, host := range sortedKeys(s.Refused) {
		series := s.Refused[host]
		series.problems(p, fmt.Sprintf("%s.refused[%q]", path, host))
	}
	spans(p, path+".down", s.Down)
	spans(p, path+".owners", s.Owners)
	spans(p, path+".etcd.leaders", s.Etcd.Leaders)
	gaps(p, path+".etcd.noQuorum", s.Etcd.NoQuorum)
	atLeastZero(p, path+".etcd.members", s.Etcd.Members)
	for i, d := range s.DoubleOwners {
		forwards(p, fmt.Sprintf("%s.doubleOwners[%d].to", path, i), d.From, d.To)
	}
	if s.Verdict == Passed || s.Verdict == Exceeded {
		if n := len(s.Lost) + len(s.DoubleOwners) + len(s.Violations); n > 0 {
			p.Refuse(path+".verdict", "%s, with %s lost, %s and %s", s.Verdict, count(len(s.Lost), "write"),
				count(len(s.DoubleOwners), "time of two owners", "times of two owners"), count(len(s.Violations), "violation"))
		}
	}
	if s.Verdict == Passed && len(s.Exceeded) > 0 {
		p.Refuse(path+".verdict", "passed, with %s exceeded", count(len(s.Exceeded), "threshold"))
	}
}

func (s *Series) problems(p *quorate.Problems, path string) {
	atLeastZero(p, path+".requests", s.Requests)
	atLeastZero(p, path+".acknowledged", s.Acknowledged)
	if s.Acknowledged > s.Requests {
		p.Refuse(path+".acknowledged", "%d, of %d requests", s.Acknowledged, s.Requests)
	}
	atLeastZero(p, path+".longest", s.Longest)
	atLeastZero(p, path+".total", s.Total)
	atLeastZero(p, path+".slowestAcknowledged", s.SlowestAcknowledged)
	gaps(p, path+".gaps", s.Gaps)
}

func refuseVerdict(p *quorate.Problems, path string, v Verdict) {
	switch v {
	case Passed, Exceeded, Violated, Aborted:
	default:
		p.Refuse(path, "%q is none of %s, %s, %s, %s", v, Passed, Exceeded, Violated, Aborted)
	}
}

func atLeastZero[N int | time.Duration](p *quorate.Problems, path string, n N) {
	if n < 0 {
		p.Refuse(path, "%v is less than nothing", n)
	}
}

// forwards refuses an end before its beginning. A moment that is not there is
// the zero time.
func forwards(p *quorate.Problems, path string, from, to time.Time) {
	if !from.IsZero() && !to.IsZero() && to.Before(from) {
		p.Refuse(path, "%s is before %s", to.UTC().Format(time.RFC3339Nano), from.UTC().Format(time.RFC3339Nano))
	}
}

func gaps(p *quorate.Problems, path string, all []Gap) {
	for i, g := range all {
		forwards(p, fmt.Sprintf("%s[%d].to", path, i), g.From, g.To)
		atLeastZero(p, fmt.Sprintf("%s[%d].failed", path, i), g.Failed)
	}
}

func spans(p *quorate.Problems, path string, all []HostSpan) {
	for i, s := range all {
		forwards(p, fmt.Sprintf("%s[%d].to", path, i), s.From, s.To)
	}
}

// missing refuses a nil Report.
func (r *Report) missing() error {
	if r != nil {
		return nil
	}
	var problems quorate.Problems
	problems.Refuse("report", "missing: no drill was run")
	return problems.Err("drill report")
}
