package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Target says which control planes a scenario breaks. Who that is, is found out
// when the scenario starts.
type Target string

// The targets. Without a VIP the VIPHolder is the first control plane.
const (
	VIPHolder  Target = "vip-holder"
	EtcdLeader Target = "etcd-leader"
	// EtcdFollower is a member that does not lead and, where there is a choice,
	// is not on the VIP's holder.
	EtcdFollower Target = "etcd-follower"
	// Minority is as many at once as a majority can do without, the VIP's holder
	// and etcd's leader first.
	Minority Target = "minority"
	// EachInTurn breaks every control plane, the next once all is redundant again.
	EachInTurn Target = "each-in-turn"
	// Everything breaks all of them at once.
	Everything Target = "everything"
)

// Scenario is one thing that goes wrong.
type Scenario struct {
	// Name is unique in a drill.
	Name   string
	Fault  Fault
	Target Target
	// Down is how long the break lasts before it is healed; of a Reboot, how long
	// to wait after the host is up. Default 15 s.
	Down time.Duration
}

// defaultDown leaves time for etcd to elect, for keepalived to notice a dead host
// or API server, and for writes to go on after that.
const defaultDown = 15 * time.Second

// The names of the scenarios that Scenarios returns.
const (
	VIPHolderPowerCut  = "vip-holder-power-cut"
	EtcdLeaderPowerCut = "etcd-leader-power-cut"
	APIServerStop      = "apiserver-stop"
	KeepalivedStop     = "keepalived-stop"
	EtcdStop           = "etcd-stop"
	NetworkPartition   = "partition"
	EtcdPartition      = "etcd-partition"
	DiskFull           = "disk-full"
	HostReboot         = "reboot"
	RollingPowerCut    = "rolling-power-cut"
	MinorityPowerCut   = "minority-power-cut"
	ColdStart          = "cold-start"
)

// Scenarios are all that the package knows, in the order in which a drill runs
// them by default. With names only those, in this order; an
// unknown name is left out, and Config's validation says so.
func Scenarios(names ...string) []Scenario {
	all := []Scenario{
		{Name: KeepalivedStop, Fault: StopKeepalived, Target: VIPHolder},
		{Name: APIServerStop, Fault: StopAPIServer, Target: VIPHolder},
		{Name: EtcdStop, Fault: StopEtcd, Target: EtcdFollower},
		{Name: EtcdPartition, Fault: PartitionEtcd, Target: VIPHolder, Down: 20 * time.Second},
		{Name: NetworkPartition, Fault: Partition, Target: VIPHolder, Down: 20 * time.Second},
		{Name: DiskFull, Fault: FillDisk, Target: EtcdLeader},
		{Name: HostReboot, Fault: Reboot, Target: VIPHolder, Down: time.Second},
		{Name: VIPHolderPowerCut, Fault: PowerOff, Target: VIPHolder},
		{Name: EtcdLeaderPowerCut, Fault: PowerOff, Target: EtcdLeader},
		{Name: MinorityPowerCut, Fault: PowerOff, Target: Minority},
		{Name: RollingPowerCut, Fault: PowerOff, Target: EachInTurn},
		{Name: ColdStart, Fault: PowerOff, Target: Everything},
	}
	if len(names) == 0 {
		return all
	}
	var out []Scenario
	for _, name := range names {
		i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
		if i < 0 {
			out = append(out, Scenario{Name: name})
			continue
		}
		out = append(out, all[i])
	}
	return out
}

func (s Scenario) withDefaults() Scenario {
	if s.Down == 0 {
		s.Down = defaultDown
	}
	return s
}

// limit is after what time a break heals by itself.
func (s Scenario) limit() time.Duration { return 2*s.Down + 2*time.Minute }

// leavesMajority reports whether etcd can act while the scenario lasts.
func (s Scenario) leavesMajority() bool { return s.Target != Everything }

// needsVIP reports whether the scenario makes no sense without keepalived.
func (s Scenario) needsVIP() bool { return s.Fault == StopKeepalived }

// who says whom a scenario breaks, before that is known by name.
func (s Scenario) who(control int) string {
	switch s.Target {
	case VIPHolder:
		return "the VIP's holder"
	case EtcdLeader:
		return "etcd's leader"
	case EtcdFollower:
		return "a host whose etcd member does not lead"
	case Minority:
		return fmt.Sprintf("%d control planes at once, the VIP's holder and etcd's leader first", (control-1)/2)
	case EachInTurn:
		return "every control plane in turn"
	case Everything:
		return "all control planes at once"
	}
	return string(s.Target)
}

// title is the scenario in a line.
func (s Scenario) title(who string) string {
	words, _ := s.Fault.words()
	t := fmt.Sprintf(words, who)
	return strings.ToUpper(t[:1]) + t[1:]
}

// alwaysHold are the guarantees of every scenario.
func alwaysHold() []string {
	return []string{
		"no acknowledged write is lost, as every API server shows afterwards",
		"at no time do two hosts hold the VIP that one client could reach",
		"everything is redundant again after healing, without anybody's help",
		"every member of etcd is there afterwards, and none has gone back",
	}
}

// holds are a scenario's own guarantees.
func (s Scenario) holds(t Thresholds) []string {
	var holds []string
	if s.leavesMajority() {
		if t.Quorum > 0 {
			holds = append(holds, fmt.Sprintf("etcd has a quorum again within %s", t.Quorum))
		}
		holds = append(holds, "writes through the endpoint go on before anything is healed")
	}
	if s.Fault == Partition {
		holds = append(holds,
			"the host that is cut off gives up the VIP by itself",
			"its API server acknowledges no write")
	}
	return holds
}

// pick returns the rounds of a scenario: hosts that are broken at once, one round
// after the other.
func (s Scenario) pick(hosts []Host, holder, leader string) ([][]Host, error) {
	byName := func(name string) (Host, bool) {
		i := slices.IndexFunc(hosts, func(h Host) bool { return h.Name == name })
		if i < 0 {
			return Host{}, false
		}
		return hosts[i], true
	}
	one := func(name, what string) ([][]Host, error) {
		h, ok := byName(name)
		if !ok {
			return nil, fmt.Errorf("%s is not known to be any of the hosts: %q", what, name)
		}
		return [][]Host{{h}}, nil
	}
	// The VIP's holder and the leader first, the others in the Config's order.
	ranked := slices.Clone(hosts)
	rank := func(h Host) int {
		switch h.Name {
		case holder:
			return 0
		case leader:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(ranked, func(a, b Host) int { return rank(a) - rank(b) })
	switch s.Target {
	case VIPHolder:
		return one(holder, "the VIP's holder")
	case EtcdLeader:
		return one(leader, "etcd's leader")
	case EtcdFollower:
		for _, h := range slices.Backward(ranked) {
			if h.Name != leader {
				return [][]Host{{h}}, nil
			}
		}
	case Minority:
		if n := (len(hosts) - 1) / 2; n > 0 {
			return [][]Host{ranked[:n]}, nil
		}
	case EachInTurn:
		var rounds [][]Host
		for _, h := range hosts {
			rounds = append(rounds, []Host{h})
		}
		return rounds, nil
	case Everything:
		return [][]Host{slices.Clone(hosts)}, nil
	}
	return nil, fmt.Errorf("no host is %q", s.Target)
}
