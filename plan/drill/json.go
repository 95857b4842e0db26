package drill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
)

// JSON gives the report in the form that Schema names, indented, with a final
// newline; ReadReport reads it. Schema is written whatever the field holds. The
// same report gives the same bytes. It fails only if a time's year is none of
// four digits.
func (r *Report) JSON() ([]byte, error) {
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
	return b.Bytes(), nil
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
		return fmt.Sprintf("no drill report: %v", e.Err)
	}
	return fmt.Sprintf("no drill report: its schema is %q, this release reads %q", e.Got, Schema)
}

// Unwrap gives what the decoder says.
func (e *ReportSchemaError) Unwrap() error { return e.Err }

// ReadReport reads what JSON gives, to its end; who does not trust the reader's
// length bounds it. It is strict, for a report is evidence: another schema, an
// unknown or repeated field and trailing text are a *ReportSchemaError; figures
// that cannot be, and a verdict that what is beside it belies, a
// *quorate.InvalidError with all of them. An error of the reader is returned
// wrapped.
func ReadReport(from io.Reader) (*Report, error) {
	b, err := io.ReadAll(from)
	if err != nil {
		return nil, fmt.Errorf("drill report: %w", err)
	}
	// The schema first: of another form, nothing else is to be complained of.
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, &ReportSchemaError{Err: err}
	}
	if head.Schema != Schema {
		return nil, &ReportSchemaError{Got: head.Schema}
	}
	if err := refuseRepeated(b); err != nil {
		return nil, &ReportSchemaError{Got: head.Schema, Err: err}
	}
	var r Report
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return nil, &ReportSchemaError{Got: head.Schema, Err: err}
	}
	if err := r.problems().Err("drill report"); err != nil {
		return nil, err
	}
	return &r, nil
}

// refuseRepeated looks for a field that is there twice: the decoder would take
// the last, another reader the first. It also takes the case of a name
// lightly, so that "lost" and "Lost" are one field, except where names are
// hosts.
func refuseRepeated(b []byte) error {
	type level struct {
		object, hosts, value bool
		name                 string
		seen                 map[string]bool
	}
	var open []*level
	dec := json.NewDecoder(bytes.NewReader(b))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var in *level
		if len(open) > 0 {
			in = open[len(open)-1]
		}
		switch token := token.(type) {
		case json.Delim:
			if token == '}' || token == ']' {
				open = open[:len(open)-1]
				continue
			}
			if in != nil {
				in.value = false
			}
			hosts := in != nil && in.object && (strings.EqualFold(in.name, "serverReads") || strings.EqualFold(in.name, "refused"))
			open = append(open, &level{object: token == '{', hosts: hosts, seen: map[string]bool{}})
			continue
		case string:
			if in == nil || !in.object || in.value {
				break
			}
			in.name, in.value = token, true
			if !in.hosts {
				token = strings.ToLower(token)
			}
			if in.seen[token] {
				return fmt.Errorf("field %q is there twice", in.name)
			}
			in.seen[token] = true
			continue
		}
		if in != nil {
			in.value = false
		}
	}
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
