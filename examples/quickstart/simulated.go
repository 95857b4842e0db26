package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// isSimulated reports the steps whose effect on a host is not real. Their files
// and scripts are.
func isSimulated(id plan.ID) bool {
	what, _, _ := strings.Cut(string(id), "/")
	switch what {
	case "prerequisites", "vip", "init", "join", "ready":
		return true
	}
	return false
}

// disclose says which simulated programs have changed something, on which hosts,
// and which processes are real.
func (d *demo) disclose(out io.Writer) {
	var order []string
	on := map[string][]string{}
	for _, call := range d.hosts.Calls() {
		what := pretence(call.Op)
		if what == "" || slices.Contains(on[what], call.Host) {
			continue
		}
		if on[what] == nil {
			order = append(order, what)
		}
		on[what] = append(on[what], call.Host)
	}
	say(out, "\n")
	for _, what := range order {
		slices.Sort(on[what])
		say(out, "  simulated: %-28s %s\n", what, strings.Join(on[what], ", "))
	}
	for _, m := range d.etcd.running() {
		say(out, "  real:      %-28s %s\n", fmt.Sprintf("etcd, process %d", m.cmd.Process.Pid), m.host)
	}
}

// pretence names what a command would have done to a real host, if it would
// have done anything.
func pretence(op faketransport.Op) string {
	argv := op.Argv
	if op.Kind != faketransport.Run && op.Kind != faketransport.Exec || len(argv) < 2 {
		return ""
	}
	unit := strings.TrimSuffix(argv[len(argv)-1], ".service")
	switch program, verb := argv[0], argv[1]; {
	case program == "kubeadm" && (verb == "init" || verb == "join"):
		return "kubeadm " + verb
	case program == "systemctl" && verb == "start" && unit != "etcd":
		return "systemctl start " + unit
	case program == "sysctl" && strings.HasPrefix(verb, "--load"):
		return "sysctl"
	}
	return ""
}
