package preflight

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
	"github.com/quorate-dev/quorate/plan/internal/capped"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/transport"
)

// Config says how a preflight looks at hosts.
type Config struct {
	// Transport reaches the hosts. Required.
	Transport transport.Transport
	// Disk also measures how long the disk of etcd's data takes to write, on
	// control planes without data: half a megabyte is written and removed again.
	// Without it nothing is written at all.
	Disk bool
	// Timeout bounds each of the two looks at one host. Default 1 minute.
	Timeout time.Duration
	// Now is the operator's clock; several goroutines call it at once. Default
	// time.Now.
	Now func() time.Time
}

// Run looks at nodes and judges what it sees.
func Run(ctx context.Context, cfg Config, j Judge, nodes []quorate.Node) (*Report, error) {
	if cfg.Transport == nil {
		var problems quorate.Problems
		problems.Refuse("transport", "missing: give the one that reaches the hosts")
		return nil, problems.Err("preflight")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	looks := make([]look, len(nodes))
	for i, n := range nodes {
		looks[i].node = n
	}
	defer func() {
		for _, l := range looks {
			if l.conn != nil {
				_ = l.conn.Close() // it has been used up
			}
		}
	}()
	each(looks, func(l *look) { l.err = l.gather(ctx, cfg, j) })
	var all []hostFacts
	for _, l := range looks {
		if l.err == nil {
			all = append(all, l.hostFacts)
		}
	}
	if j.fresh(all) {
		each(looks, func(l *look) {
			if l.err == nil {
				l.err = l.probe(ctx, cfg, j)
			}
		})
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	report := &Report{}
	all = nil
	probes := map[string]probed{}
	for _, l := range looks {
		report.Hosts = append(report.Hosts, l.node.Name)
		if l.err != nil {
			report.add(j, plan.Finding{Check: Reachable, Severity: quorate.Refused, Hosts: []string{l.node.Name}, Found: l.err.Error(), Do: "make the host reachable and run again"})
			continue
		}
		all = append(all, l.hostFacts)
		if l.probed != nil {
			probes[l.node.Name] = *l.probed
		}
	}
	report.add(j, j.findings(all, probes)...)
	return report, nil
}

// look is one host's part of a preflight.
type look struct {
	hostFacts
	conn   transport.Conn
	probed *probed // nil if it did not look around
	err    error
}

// lookParallel bounds the hosts that are looked at at the same moment.
const lookParallel = 64

func each(looks []look, do func(*look)) {
	var all sync.WaitGroup
	places := make(chan struct{}, lookParallel)
	for i := range looks {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			do(&looks[i])
		})
	}
	all.Wait()
}

func (l *look) gather(ctx context.Context, cfg Config, j Judge) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	conn, err := cfg.Transport.Dial(ctx, l.node.Name)
	if err != nil {
		return err
	}
	l.conn = conn
	out := &stamped{Buffer: capped.Buffer{Limit: capped.Output}, now: cfg.Now}
	l.sent = cfg.Now()
	if err := conn.Run(ctx, transport.Cmd{Argv: j.factsQuery(l.node).Argv, Stdout: out}); err != nil {
		return err
	}
	l.received = cfg.Now()
	if !out.first.IsZero() {
		l.received = out.first
	}
	l.facts = parseFacts(out.Bytes.Bytes())
	return nil
}

// stamped notes when the first output came: the time is its first line.
type stamped struct {
	capped.Buffer
	now   func() time.Time
	first time.Time
}

func (s *stamped) Write(p []byte) (int, error) {
	if s.first.IsZero() && bytes.ContainsRune(p, '\n') {
		s.first = s.now()
	}
	return s.Buffer.Write(p)
}

func (l *look) probe(ctx context.Context, cfg Config, j Judge) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	p, err := j.probe(l.hostFacts, cfg.Disk, func(q transport.Query) ([]byte, error) {
		out := &capped.Buffer{Limit: capped.Output}
		err := l.conn.Run(ctx, transport.Cmd{Argv: q.Argv, Stdout: out})
		return out.Bytes.Bytes(), err
	})
	l.probed = &p
	return err
}

// probe has a host look around, by scripts that run there.
func (j Judge) probe(h hostFacts, disk bool, run func(transport.Query) ([]byte, error)) (probed, error) {
	var p probed
	vars, targets := j.probesVars(h, disk)
	out, err := run(plan.Script(probesScript, vars, targets...))
	if err != nil {
		return p, err
	}
	p = parseProbes(out)
	p.disk = vars["DISK_DIR"] != ""
	if kubernetes, _ := j.ours(h.node, h.facts); j.Driver == "" || kubernetes || h.facts.runtime == "no" || j.ignored(CgroupDriver) {
		return p, nil
	}
	out, err = run(hostsetup.CgroupDriverQuery(j.Driver))
	var exit *transport.ExitError
	if err != nil && !errors.As(err, &exit) {
		return p, err
	}
	if p.driver = keyval.Parse(out)["driver"]; err != nil || p.driver == "" {
		p.driver = driverUnknown
	}
	return p, nil
}

// probesVars are the variables of probesScript, and the addresses and ports that
// it tries: what is ignored is not tried.
func (j Judge) probesVars(h hostFacts, disk bool) (vars map[string]string, targets []string) {
	vars = map[string]string{"VIP": "", "VIP_INTERFACE": "", "VRID": "0", "LISTEN_SECONDS": "0", "DISK_DIR": ""}
	if iface := vipInterface(j.Cluster, h.node); iface != "" {
		vip := vipAddress(j.Cluster)
		vars["VIP_INTERFACE"], vars["VRID"] = iface, strconv.Itoa(j.Cluster.Endpoint.VIP.RouterID)
		if !h.facts.holds(vip) && !j.ignored(VIP) {
			vars["VIP"] = vip.String()
		}
		if !j.ignored(VRID) {
			// Three of the others' intervals, if theirs is like this one.
			vars["LISTEN_SECONDS"] = strconv.Itoa(1 + 3*int(time.Duration(j.Cluster.Endpoint.VIP.AdvertInterval)/time.Second))
		}
	}
	data := j.dataDir(h.node)
	if disk && h.node.Role == quorate.ControlPlane && !slices.Contains(h.facts.left, data+"/member") && !j.ignored(Disk) {
		vars["DISK_DIR"] = data
	}
	if j.ignored(Path) {
		return vars, nil
	}
	for _, t := range j.targets(h.node) {
		targets = append(targets, t.Addr().String(), strconv.Itoa(int(t.Port())))
	}
	return vars, targets
}
