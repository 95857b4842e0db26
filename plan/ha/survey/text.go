package survey

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
)

// Schema names the form of a Survey's JSON. A change that readers must know of gets another
// name; new fields do not.
const Schema = "quorate.dev/survey/v1"

// JSON returns the survey for programs: "schema", and the fields of Survey.
func (s *Survey) JSON() []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	_ = out.Encode(struct { // into memory: nothing fails
		Schema string `json:"schema"`
		*Survey
	}{Schema, s})
	return termsafe.JSON(b.Bytes())
}

// Sound reports whether nothing is wrong: no finding is an error. A nil Survey is not.
func (s *Survey) Sound() bool { return s != nil && s.count(quorate.Refused) == 0 }

func (s *Survey) count(severity quorate.Severity) (n int) {
	for _, f := range s.Findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

// noSurvey is all that a nil one says, as beside Run's error.
const noSurvey = "no survey was made"

// Headline says in one line how the cluster is.
func (s *Survey) Headline() string {
	if s == nil {
		return noSurvey
	}
	return fmt.Sprintf("%s, described as Kubernetes %s: errors: %d, warnings: %d", s.Cluster, s.Version, s.count(quorate.Refused), s.count(quorate.Warned))
}

// Text returns the survey for people. It ends with what to do next.
func (s *Survey) Text() string {
	if s == nil {
		return noSurvey + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n", s.Headline(), s.At.Format(time.RFC3339))
	for _, part := range s.parts() {
		fmt.Fprintf(&b, "\n%s\n", part.Title)
		widths := make([]int, len(part.Columns))
		for _, row := range append([][]string{part.Columns}, part.Rows...) {
			for i, cell := range row {
				widths[i] = max(widths[i], len([]rune(cell)))
			}
		}
		for _, row := range append([][]string{part.Columns}, part.Rows...) {
			var line strings.Builder
			for i, cell := range row {
				fmt.Fprintf(&line, "  %-*s", widths[i], cell)
			}
			b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		}
	}
	b.WriteString("\nfindings\n")
	for _, f := range s.Findings {
		fmt.Fprintf(&b, "  %-8s%s\n", f.Severity, whoAndWhat(f))
	}
	if len(s.Findings) == 0 {
		b.WriteString("  none\n")
	}
	b.WriteString("\nnext\n")
	for _, n := range s.Next {
		fmt.Fprintf(&b, "  %s: %s\n", n.Verb, n.Do)
	}
	if len(s.Next) == 0 {
		b.WriteString("  nothing: the cluster is as described\n")
	}
	return termsafe.Text(b.String())
}

func whoAndWhat(f plan.Finding) string {
	who := strings.Join(f.Hosts, ", ")
	if who != "" {
		who += " "
	}
	return fmt.Sprintf("%s(%s): %s", who, f.Check, f.Found)
}

// part is one table, of the text and of the page.
type part struct {
	Title   string
	Columns []string
	Rows    [][]string
}

func (s *Survey) parts() []part {
	out := []part{s.hostTable()}
	if s.API != nil {
		t := part{Title: "nodes, by the API server of " + s.API.Host, Columns: []string{"node", "role", "ready", "kubelet", "described", "taints"}}
		for _, n := range s.API.Nodes {
			var taints []string
			for _, x := range n.Taints {
				taints = append(taints, x.Key+":"+x.Effect)
			}
			ready := n.Ready
			if n.Cordoned {
				ready += ", cordoned"
			}
			t.Rows = append(t.Rows, []string{n.Name, string(n.Role), ready, n.Kubelet, yesNo(n.Described), strings.Join(taints, " ")})
		}
		out = append(out, t)
	}
	if s.Etcd != nil && s.Etcd.Unchecked == "" {
		t := part{Title: "etcd, quorum: " + yesNo(s.Etcd.Quorum), Columns: []string{"member", "id", "role", "healthy", "version", "size", "revision", "hash", "certificate ends"}}
		for _, m := range s.Etcd.Members {
			role := "voter"
			switch {
			case m.ID == "":
				role = "no member"
			case m.Learner:
				role = "learner"
			case m.Leader:
				role = "leader"
			}
			ends := ""
			if m.Presented != nil {
				ends = m.Presented.NotAfter.Format(time.DateOnly)
			}
			t.Rows = append(t.Rows, []string{m.Name, m.ID, role, yesNo(m.Healthy), m.Version, fmt.Sprintf("%d KiB", m.Size>>10), fmt.Sprint(m.Revision), m.Hash, ends})
		}
		out = append(out, t)
	}
	if s.VIP != nil {
		out = append(out, part{Title: "vip", Columns: []string{"address", "held by", "answers to"},
			Rows: [][]string{{s.VIP.Address, strings.Join(s.VIP.Holders, ", "), strings.Join(s.VIP.Answers, ", ")}}})
	}
	settings := part{Title: "settings", Columns: []string{"field", "described", "api", "files", "processes"}}
	for _, x := range s.Settings {
		settings.Rows = append(settings.Rows, []string{x.Path, x.Described, x.API, s.values(x.Files), s.values(x.Processes)})
	}
	if len(settings.Rows) > 0 {
		out = append(out, settings)
	}
	return out
}

// values names the hosts only where they differ.
func (s *Survey) values(all []Value) string {
	if len(all) == 1 {
		return all[0].Value
	}
	var words []string
	for _, v := range all {
		words = append(words, fmt.Sprintf("%s (%s)", v.Value, strings.Join(v.Hosts, ", ")))
	}
	return strings.Join(words, "; ")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (s *Survey) hostTable() part {
	t := part{Title: "hosts", Columns: []string{"host", "role", "kubeadm", "api", "vip", "versions", "units", "first certificate ends"}}
	for _, h := range s.Hosts {
		if h.Unreachable != "" {
			t.Rows = append(t.Rows, []string{h.Name, string(h.Role), "does not answer", "", "", "", "", ""})
			continue
		}
		var versions, units []string
		for _, name := range slices.Sorted(maps.Keys(h.Installed)) {
			versions = append(versions, name+" "+h.Installed[name])
		}
		for _, name := range slices.Sorted(maps.Keys(h.Units)) {
			if state := h.Units[name]; state == "active" || state == "failed" {
				units = append(units, name+" "+state)
			}
		}
		ends := ""
		for _, c := range h.Certificates {
			if at := c.NotAfter.Format(time.DateOnly); ends == "" || at < ends {
				ends = at
			}
		}
		vip := ""
		if h.HoldsVIP {
			vip = "holds it"
		}
		t.Rows = append(t.Rows, []string{h.Name, string(h.Role), h.Kubeadm, h.Ready, vip, strings.Join(versions, ", "), strings.Join(units, ", "), ends})
	}
	return t
}
