package plan

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport"
)

// PreflightConfig says what Preflight looks at, and how.
type PreflightConfig struct {
	// HAConfig is what the hosts are to become: what is there of this very
	// cluster is told from what is there of another by its authorities. Its
	// IgnorePreflight holds here too.
	HAConfig
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

// Preflight looks at every host, side by side, and at what takes several to see:
// clocks, identities that are not unique, firewalls between hosts, a VIP that
// somebody else has. It takes one command on each host and, unless each is this
// cluster's own already, one or two more, which last up to 2 seconds for paths that
// are blocked and a second and three of keepalived's intervals where there is a
// tcpdump. It changes nothing, but see Disk.
//
// The recipe's own first steps look at the same, but for the disk. Here hosts that
// cannot be reached are findings like all others.
//
// The Report holds every finding of every host. The error is that of a
// configuration that HA refuses too or that has no Transport, or ctx's. Report.Err makes an error of what must stop a run.
func Preflight(ctx context.Context, cfg PreflightConfig) (*Report, error) {
	if cfg.Transport == nil {
		var problems quorate.Problems
		problems.Refuse("transport", "missing: give the one that reaches the hosts")
		return nil, problems.Err("preflight")
	}
	r, err := newRecipe(cfg.HAConfig)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	j := r.judge()
	looks := make([]look, len(r.c.Nodes))
	for i, n := range r.c.Nodes {
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
			report.add(j, Finding{CheckReachable, SeverityError, []string{l.node.Name}, l.err.Error(), "make the host reachable and run again"})
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

func each(looks []look, do func(*look)) {
	var all sync.WaitGroup
	places := make(chan struct{}, defaultParallel)
	for i := range looks {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			do(&looks[i])
		})
	}
	all.Wait()
}

func (l *look) gather(ctx context.Context, cfg PreflightConfig, j judge) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	conn, err := cfg.Transport.Dial(ctx, l.node.Name)
	if err != nil {
		return err
	}
	l.conn = conn
	out := &stamped{limited: limited{limit: outputLimit}, now: cfg.Now}
	l.sent = cfg.Now()
	if err := conn.Run(ctx, transport.Cmd{Argv: script(preflightScript, j.factsArgs(l.node)...), Stdout: out}); err != nil {
		return err
	}
	l.received = cfg.Now()
	if !out.first.IsZero() {
		l.received = out.first
	}
	l.facts = parseFacts(out.buf.Bytes())
	return nil
}

// stamped notes when the first output came: the time is its first line.
type stamped struct {
	limited
	now   func() time.Time
	first time.Time
}

func (s *stamped) Write(p []byte) (int, error) {
	if s.first.IsZero() && bytes.ContainsRune(p, '\n') {
		s.first = s.now()
	}
	return s.limited.Write(p)
}

func (l *look) probe(ctx context.Context, cfg PreflightConfig, j judge) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	p, err := j.probe(l.hostFacts, cfg.Disk, func(text string, args ...string) ([]byte, error) {
		out := &limited{limit: outputLimit}
		err := l.conn.Run(ctx, transport.Cmd{Argv: script(text, args...), Stdout: out})
		return out.buf.Bytes(), err
	})
	l.probed = &p
	return err
}

// probe has a host look around, by scripts that run there.
func (j judge) probe(h hostFacts, disk bool, run func(script string, args ...string) ([]byte, error)) (probed, error) {
	var p probed
	args := j.probesArgs(h, disk)
	out, err := run(probesScript, args...)
	if err != nil {
		return p, err
	}
	p = parseProbes(out)
	p.disk = args[4] != ""
	if kubernetes, _ := j.ours(h.node, h.facts); j.driver == "" || kubernetes || h.facts.runtime == "no" || j.ignored(CheckCgroupDriver) {
		return p, nil
	}
	out, err = run(cgroupDriverScript, j.driver)
	var exit *transport.ExitError
	if err != nil && !errors.As(err, &exit) {
		return p, err
	}
	if p.driver = fields(out)["driver"]; err != nil || p.driver == "" {
		p.driver = driverUnknown
	}
	return p, nil
}

// probesArgs are the arguments of probesScript: what is ignored is not tried.
func (j judge) probesArgs(h hostFacts, disk bool) []string {
	args := []string{"", "", "0", "0", ""}
	if iface := vipInterface(j.c, h.node); iface != "" {
		vip := vipAddress(j.c)
		args[1], args[2] = iface, strconv.Itoa(j.c.Endpoint.VIP.RouterID)
		if !h.facts.holds(vip) && !j.ignored(CheckVIP) {
			args[0] = vip.String()
		}
		if !j.ignored(CheckVRID) {
			// Three of the others' intervals, if theirs is like this one.
			args[3] = strconv.Itoa(1 + 3*int(time.Duration(j.c.Endpoint.VIP.AdvertInterval)/time.Second))
		}
	}
	data := j.dataDir(h.node)
	if disk && h.node.Role == quorate.ControlPlane && !slices.Contains(h.facts.left, data+"/member") && !j.ignored(CheckDisk) {
		args[4] = data
	}
	if j.ignored(CheckPath) {
		return args
	}
	for _, t := range j.targets(h.node) {
		args = append(args, t.Addr().String(), strconv.Itoa(int(t.Port())))
	}
	return args
}
