package survey

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
)

// The checks that findings are of.
const (
	Reachable    plan.Check = "reachable"
	APIServers   plan.Check = "api"
	Nodes        plan.Check = "nodes"
	Members      plan.Check = "etcd"
	Holder       plan.Check = "vip"
	Versions     plan.Check = "versions"
	Certificates plan.Check = "certificates"
	Left         plan.Check = "left"
	Drift        plan.Check = "drift"
)

// soon is when a certificate is due: kubeadm's own last a year.
const soon = 30 * 24 * time.Hour

// judge says what is not as it should be, and what to do about it.
func (s *Survey) judge(c quorate.Cluster) {
	s.Findings, s.Next = []plan.Finding{}, []Next{}
	if s.Differences == nil {
		s.Differences = []Difference{}
	}
	for _, h := range s.Hosts {
		s.judgeHost(h)
	}
	s.judgeAPI(c)
	s.judgeEtcd()
	s.judgeVIP()
	s.judgeVersions()
	for i, d := range s.Differences {
		same := func(o Difference) bool {
			return o.Described == d.Described && o.Running == d.Running && o.Do == d.Do && o.Store == d.Store && slices.Equal(o.Hosts, d.Hosts)
		}
		if slices.ContainsFunc(s.Differences[:i], same) {
			continue // it is said with the first: several fields decide on one setting
		}
		var paths []string
		for _, o := range s.Differences[i:] {
			if same(o) {
				paths = append(paths, o.Path)
			}
		}
		severity, verb := quorate.Refused, "by hand"
		switch d.Class {
		case ByRun:
			severity, verb = quorate.Warned, "create"
		case Fixed:
			verb = "description"
		}
		if field, _ := FieldOf(d.Path); d.Class == ByOther && field.By != "" {
			verb = field.By
		}
		if d.Path == "nodes.name" {
			verb = "reset"
		}
		s.find(Drift, severity, d.Hosts, message(strings.Join(paths, ", "), d.place(), d.Described, d.Running, ""), cmp.Or(d.Do, "run the plan that creates the cluster: it brings it about"), verb)
	}
	slices.SortStableFunc(s.Next, func(a, b Next) int { return cmp.Compare(verbRank(a.Verb), verbRank(b.Verb)) })
}

func verbRank(verb string) int {
	return slices.Index([]string{"host", "create", Reconfigure, "reset", "by hand", "description"}, verb)
}

func (s *Survey) find(check plan.Check, severity quorate.Severity, hosts []string, found, do, verb string) {
	if hosts == nil {
		hosts = []string{}
	}
	s.Findings = append(s.Findings, plan.Finding{Check: check, Severity: severity, Hosts: hosts, Found: found, Do: do})
	who := ""
	if len(hosts) > 0 {
		who = strings.Join(hosts, ", ") + ": "
	}
	if next := (Next{Verb: verb, Do: who + do}); !slices.Contains(s.Next, next) {
		s.Next = append(s.Next, next)
	}
}

const runCreate = "run the plan that creates the cluster"

func (s *Survey) judgeHost(h Host) {
	on := []string{h.Name}
	if h.Unreachable != "" {
		s.find(Reachable, quorate.Refused, on, "it does not answer: "+h.Unreachable, "bring the host back; if it is lost, put an empty one in its place and "+runCreate+", or have it replaced by a host of another name (PlanReplace)", "host")
		return
	}
	switch h.Kubeadm {
	case "":
		s.find(Left, quorate.Warned, on, "kubeadm has not run here", runCreate, "create")
	case "begun":
		s.find(Left, quorate.Refused, on, "kubeadm was begun here, and did not come to its end", runCreate+": it goes on from there", "create")
	case "reset":
		s.find(Left, quorate.Refused, on, "a reset was begun here, and did not come to its end", "run the same reset again", "reset")
	}
	if h.Role == quorate.ControlPlane && h.Kubeadm == "done" && h.Ready != "ok" {
		s.find(APIServers, quorate.Refused, on, fmt.Sprintf("its API server says %q at its own address", h.Ready), "look at the API server's log (crictl logs), and at etcd's", "host")
	}
	for _, unit := range slices.Sorted(maps.Keys(h.Units)) {
		if state := h.Units[unit]; h.Kubeadm == "done" && state != "active" && s.wanted(h, unit) {
			s.find(Left, quorate.Refused, on, unit+".service is "+state, runCreate, "create")
		}
	}
	left, aside := slices.Clone(h.Left), func(path string) bool { return strings.HasPrefix(path, hostpath.Aside+"/") }
	if left = slices.DeleteFunc(left, aside); len(left) < len(h.Left) {
		s.find(Left, quorate.Refused, on, "a change of settings was begun here, and did not come to its end", "reconfigure the cluster (PlanReconfigure): it goes on from there", Reconfigure)
	}
	if len(left) > 0 {
		s.find(Left, quorate.Warned, on, "an operation has left "+strings.Join(left, ", "), "if no kubeadm is at work, look at what it is, and remove it", "by hand")
	}
	for _, name := range h.Aside {
		s.find(Left, quorate.Refused, on, "the manifest of "+name+" is not in "+hostpath.Manifests, "move it back from where it was put", "by hand")
	}
	for _, c := range h.Certificates {
		if left := c.NotAfter.Sub(s.At); left < soon {
			severity := quorate.Warned
			if left <= 0 {
				severity = quorate.Refused
			}
			s.find(Certificates, severity, on, fmt.Sprintf("%s (%s) ends at %s", c.Path, c.Subject, c.NotAfter.Format(time.RFC3339)),
				"etcd's by "+runCreate+" with renewed certificates, kubeadm's by kubeadm certs renew", "create")
		}
	}
}

// wanted reports whether a unit has to run on a host.
func (s *Survey) wanted(h Host, unit string) bool {
	switch unit {
	case "kubelet":
		return true
	case "etcd":
		return h.Role == quorate.ControlPlane && s.Etcd != nil
	case "keepalived":
		return h.Role == quorate.ControlPlane && s.VIP != nil
	}
	return false
}

func (s *Survey) judgeAPI(c quorate.Cluster) {
	if s.API == nil {
		s.find(APIServers, quorate.Refused, nil, "no API server answers: nodes and kubeadm's ConfigMaps are not known", runCreate+" if the cluster is to come into being; else look at etcd first", "create")
		return
	}
	if s.API.Why != "" {
		s.find(Drift, quorate.Warned, nil, "the ConfigMap kubeadm-config cannot be read: "+s.API.Why, "put it right: kubeadm join and upgrade read it too", "by hand")
	}
	for _, n := range s.API.Nodes {
		on := []string{n.Name}
		if n.Ready != "True" {
			s.find(Nodes, quorate.Refused, on, "the node is not Ready", "look at the kubelet's log (journalctl -u kubelet)", "host")
		}
		if n.Cordoned {
			s.find(Nodes, quorate.Warned, on, "the node is cordoned", "kubectl uncordon, when it may take pods again", "by hand")
		}
	}
	for _, n := range c.Nodes {
		if !slices.ContainsFunc(s.API.Nodes, func(a Node) bool { return a.Name == n.Name }) {
			s.find(Nodes, quorate.Warned, []string{n.Name}, "it is described, and no node of the cluster", runCreate, "create")
		}
	}
}

func (s *Survey) judgeEtcd() {
	if s.Etcd == nil {
		return
	}
	if s.Etcd.Unchecked != "" {
		s.find(Members, quorate.Unchecked, nil, "etcd was not looked at: "+s.Etcd.Unchecked,
			"survey by a transport that makes tunnels (transport.Dialer), as transport/ssh does, or look on a control plane: etcdctl endpoint health --cluster", "by hand")
		return
	}
	if !s.Etcd.Quorum {
		s.find(Members, quorate.Refused, nil, "etcd has no quorum: the cluster takes no writes", "bring members back; no plan can act before that", "host")
	}
	for _, a := range s.Etcd.Alarms {
		s.find(Members, quorate.Refused, nil, "etcd has raised the alarm "+a, "compact, defragment and disarm it (etcdctl)", "by hand")
	}
	hashes := map[string][]string{}
	for _, m := range s.Etcd.Members {
		on := []string{m.Name}
		switch {
		case !m.Described && m.Name == "":
			s.find(Members, quorate.Refused, nil, "etcd has a member "+m.ID+" "+m.Why+" that was added and never started", runCreate+" if it is a described control plane's; else remove it (etcdctl member remove)", "create")
		case !m.Described:
			s.find(Members, quorate.Refused, nil, "etcd has a member "+m.Name+" "+m.Why+" that is not described: it counts for the quorum", "if it is to stay, describe it; else describe it, reset it (PlanReset), then remove it from the description; if its host is gone for good, have it replaced or removed (PlanReplace)", "reset")
		case m.ID == "" && s.Etcd.Quorum:
			s.find(Members, quorate.Refused, on, "it is described, and no member of etcd", runCreate+": it joins", "create")
		case m.Learner:
			s.find(Members, quorate.Refused, on, "it is a learner of etcd and has no vote", runCreate+": it goes on from there", "create")
		case !m.Healthy:
			s.find(Members, quorate.Refused, on, "its member of etcd is not healthy: "+m.Why, "look at etcd's log (journalctl -u etcd)", "host")
		}
		if m.Hash != "" {
			hashes[m.Hash] = append(hashes[m.Hash], m.Name)
		}
	}
	if len(hashes) > 1 {
		s.find(Members, quorate.Refused, nil, fmt.Sprintf("etcd's members have other data at the same revision: %v", hashes), "stop writing, take a snapshot of the majority's, and bring the others in again", "by hand")
	}
}

func (s *Survey) judgeVIP() {
	if s.VIP == nil || !slices.ContainsFunc(s.Hosts, func(h Host) bool { return h.Kubeadm == "done" }) {
		return
	}
	switch n := len(s.VIP.Holders); {
	case n > 1:
		s.find(Holder, quorate.Refused, s.VIP.Holders, "several hosts have the VIP "+s.VIP.Address, "see that VRRP passes between the control planes, and that all have the same description; "+runCreate, "create")
	case n == 0:
		s.find(Holder, quorate.Refused, nil, "no host that answered has the VIP "+s.VIP.Address, runCreate, "create")
	}
	if len(s.VIP.Answers) == 0 {
		s.find(Holder, quorate.Refused, nil, "no API server answers at the VIP", "look at the holder's API server and firewall", "host")
	}
}

// judgeVersions looks for mixed ones, as an upgrade leaves that did not come to its end.
func (s *Survey) judgeVersions() {
	running := map[string][]string{}
	for _, h := range s.Hosts {
		if v := h.Running[apiServer]; v != "" {
			running[v] = append(running[v], h.Name)
		}
	}
	if len(running) > 1 {
		s.find(Versions, quorate.Warned, nil, fmt.Sprintf("API servers of several versions run: %v", running), "end the upgrade that has begun (kubeadm upgrade)", "by hand")
	}
}

// settings are what the three stores say of what is described.
func (d Described) settings(reports map[string]report, api *settings) []Setting {
	out := []Setting{}
	c := &comparison{d: d}
	var init kubeadm.Init
	if api != nil && api.cluster != nil {
		init = *api.cluster.Init
	}
	for _, one := range c.components() {
		told := map[string]kubeadm.Args{apiServer: init.APIServer.Args, controllerManager: init.ControllerManager.Args, scheduler: init.Scheduler.Args}[one.name]
		all := map[string]bool{}
		for _, a := range slices.Concat(one.Args, told) {
			all[a.Name] = true
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			s := Setting{Path: one.field + "Args[" + name + "]", Described: strings.Join(one.Args.Values(name), " "), API: strings.Join(told.Values(name), " ")}
			for _, n := range d.Cluster.ControlPlanes() {
				r, seen := reports[n.Name]
				if pod, there := r.manifest(one.name); seen && there {
					s.Files = addValue(s.Files, strings.Join(pod.args.Values(name), " "), n.Name)
				}
				if run := r.running(one.name); run != nil {
					s.Processes = addValue(s.Processes, strings.Join(run.Values(name), " "), n.Name)
				}
			}
			out = append(out, s.clean())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Init.Kubelet)) {
		s := Setting{Path: "kubeadm.kubelet[" + name + "]", Described: shown(d.Init.Kubelet[name])}
		if api != nil {
			s.API = shown(api.kubelet[name])
		}
		for _, n := range d.Cluster.Nodes {
			if text := reports[n.Name].texts[hostpath.KubeletConfig]; text != "" {
				s.Files = addValue(s.Files, shown(fieldsOf(text)[name]), n.Name)
			}
		}
		out = append(out, s.clean())
	}
	for _, n := range d.Cluster.ControlPlanes() {
		r := reports[n.Name]
		for _, flag := range []string{"data-dir", "quota-backend-bytes", "heartbeat-interval", "election-timeout"} {
			file, there := r.etcdUnit().Value(flag)
			if !there {
				continue
			}
			want, _ := report{texts: map[string]string{unitPath: d.EtcdUnits[n.Name]}}.etcdUnit().Value(flag)
			field := map[string]string{"data-dir": "dataDir", "quota-backend-bytes": "quotaBytes", "heartbeat-interval": "heartbeat", "election-timeout": "election"}[flag]
			at := slices.IndexFunc(out, func(s Setting) bool { return s.Path == "etcd."+field })
			if at < 0 {
				out, at = append(out, Setting{Path: "etcd." + field, Described: want}), len(out)
			}
			out[at].Files = addValue(out[at].Files, file, n.Name)
			if run, there := r.running("etcd").Value(flag); there {
				out[at].Processes = addValue(out[at].Processes, run, n.Name)
			}
			out[at] = out[at].clean()
		}
	}
	return out
}
