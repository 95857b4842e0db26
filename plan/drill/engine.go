package drill

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/transport"
)

// EventKind is the kind of an Event.
type EventKind string

// The kinds of events, in the order in which they may come.
const (
	DrillStarted EventKind = "drill-started"
	// Waiting: what Message lists is not redundant yet.
	Waiting         EventKind = "waiting"
	ScenarioStarted EventKind = "scenario-started"
	// Breaking, Broken and Healing are of one host.
	Breaking EventKind = "breaking"
	Broken   EventKind = "broken"
	Healing  EventKind = "healing"
	// HealFailed: healing a host did not work and is tried again.
	HealFailed EventKind = "heal-failed"
	// GuaranteeViolated ends the drill; Message says what did not hold.
	GuaranteeViolated EventKind = "guarantee-violated"
	Redundant         EventKind = "redundant"
	// ScenarioEnded has the Result.
	ScenarioEnded EventKind = "scenario-ended"
	DrillEnded    EventKind = "drill-ended"
)

// Event is something that happened in a drill. Events hold no secrets.
type Event struct {
	Time     time.Time
	Kind     EventKind
	Scenario string
	Host     string
	Message  string
	Err      error
	Result   *Result
}

// NotRedundantError reports that a drill did not begin, since the cluster is not
// in a state in which it could lose anything. Nothing was broken.
type NotRedundantError struct {
	// Problems are all that is not as it must be.
	Problems []string
}

// Error lists the problems.
func (e *NotRedundantError) Error() string {
	return "the drill does not begin, the cluster is not fully redundant: " + visible(strings.Join(e.Problems, "; "))
}

// Run breaks the cluster on purpose, scenario by scenario, while it reads and
// writes, and reports what that did. It starts nothing unless the cluster is
// fully redundant; it heals, and ends the drill, at the first guarantee that is
// violated; and it heals also when ctx ends.
//
// A violated guarantee and a figure beyond its threshold are the report's to
// report, by its Verdict, and no error. An error is a *quorate.InvalidError of the
// Config, a *NotRedundantError, a *BreakError when a break or its healing did not
// work, ctx's, or what else kept the drill from being carried out. With it comes
// the report of what was done until then, nil if that is nothing.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	p, err := cfg.prepare()
	if err != nil {
		return nil, err
	}
	d := &drill{prepared: p, record: newRecord()}
	d.load = &load{api: p.API, tls: p.tls, namespace: p.Namespace, rate: p.Rate, now: p.Now, record: d.record}
	return d.run(ctx)
}

// drill is one run.
type drill struct {
	prepared
	record *record
	load   *load
	report *Report
	// observing: one call of the observer at a time.
	observing sync.Mutex
}

func (d *drill) emit(e Event) {
	d.observing.Lock()
	defer d.observing.Unlock()
	e.Time = d.Now()
	e.Message = visible(e.Message)
	d.Observe(e)
}

func (d *drill) run(ctx context.Context) (report *Report, err error) {
	// What watches, and what heals, goes on when ctx has ended.
	background, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	ask, closeMembers, err := d.asker(ctx)
	if err != nil {
		stop(errEnded)
		return nil, err
	}
	d.unwatch(ctx) // what an earlier drill left
	var work sync.WaitGroup
	defer func() {
		stop(errEnded)
		work.Wait()
		closeMembers()
		d.unwatch(context.WithoutCancel(ctx))
	}()
	if problems := d.checkBreaker(ctx); len(problems) > 0 {
		return nil, &NotRedundantError{problems}
	}
	for _, h := range d.Hosts {
		work.Go(func() { watchEtcd(background, h, d.Hosts, ask, d.Now, d.record) })
		if d.VIP.IsValid() {
			w := &ownerWatch{
				host: h.Name, vip: d.VIP.String(), now: d.Now, record: d.record,
				dial: func(ctx context.Context) (transport.Conn, error) { return d.Transport.Dial(ctx, h.Name) },
			}
			work.Go(func() { w.run(background) })
		}
	}
	version, err := d.guard(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.release(background)) }()

	d.report = &Report{
		Schema: Schema, Endpoint: d.API.Endpoint, Kubernetes: version, Began: d.Now(), Thresholds: d.Thresholds,
	}
	for _, h := range d.Hosts {
		d.report.Hosts = append(d.report.Hosts, h.Name)
	}
	d.emit(Event{Kind: DrillStarted})
	loaded, unload := context.WithCancelCause(background)
	var loading sync.WaitGroup
	loading.Go(func() { d.load.run(loaded, d.addresses) })
	err = d.scenarios(ctx, background)
	unload(errEnded)
	loading.Wait()
	d.report.Ended = d.Now()
	d.report.Verdict = verdict(d.report)
	d.emit(Event{Kind: DrillEnded, Message: string(d.report.Verdict), Err: err})
	return d.report, err
}

// verdict of a report is its worst result's, or that it was not finished.
func verdict(r *Report) Verdict {
	worst := Passed
	if len(r.NotRun) > 0 {
		worst = Aborted
	}
	for _, v := range []Verdict{Exceeded, Aborted, Violated} {
		if slices.ContainsFunc(r.Results, func(res Result) bool { return res.Verdict == v }) && (worst == Passed || v != Exceeded) {
			worst = v
		}
	}
	return worst
}

// scenarios runs one after the other until one does not end well.
func (d *drill) scenarios(ctx, background context.Context) error {
	for i, s := range d.Scenarios {
		run := &scenarioRun{drill: d, s: s, res: &Result{Scenario: s.Name}, background: background}
		err := run.run(ctx)
		d.report.Results = append(d.report.Results, *run.res)
		d.emit(Event{Kind: ScenarioEnded, Scenario: s.Name, Message: string(run.res.Verdict), Result: run.res})
		if err != nil || (run.res.Verdict != Passed && run.res.Verdict != Exceeded) {
			for _, left := range d.Scenarios[i+1:] {
				d.report.NotRun = append(d.report.NotRun, left.Name)
			}
			return err
		}
	}
	return nil
}

// asker returns the way to ask etcd's members.
func (d *drill) asker(ctx context.Context) (ask askFunc, closeAll func(), err error) {
	if d.Etcd.Ask != nil {
		return d.Etcd.Ask, func() {}, nil
	}
	config := d.Etcd.TLS
	var errs []error
	for _, h := range d.Hosts {
		if config != nil {
			break
		}
		conn, err := d.Transport.Dial(ctx, h.Name)
		if err == nil {
			config, err = d.Etcd.readTLS(ctx, conn)
			_ = conn.Close() // the files have been read, or not
		}
		errs = append(errs, err)
	}
	if config == nil {
		return nil, nil, fmt.Errorf("no client certificate for etcd: %w", errors.Join(errs...))
	}
	m := &members{config: d.Etcd, tls: config, tunnel: d.tunnel, clients: map[string]*etcdclient.Client{}}
	return m.ask, m.close, nil
}

// tunnel dials from a host.
func (d *drill) tunnel(h Host) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.Transport.Dial(ctx, h.Name)
		if err != nil {
			return nil, err
		}
		dialer, ok := transport.As[transport.Dialer](conn)
		if !ok {
			return nil, errors.Join(fmt.Errorf("%s: the transport has no tunnels: %w", h.Name, errors.ErrUnsupported), conn.Close())
		}
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return tunnelled{c, conn}, nil
	}
}

// tunnelled is a connection with what it leads through.
type tunnelled struct {
	net.Conn
	through transport.Conn
}

// Close closes both.
func (t tunnelled) Close() error { return errors.Join(t.Conn.Close(), t.through.Close()) }

// checkBreaker finds out whether each host could be broken as it may be.
func (d *drill) checkBreaker(ctx context.Context) []string {
	checker, ok := d.Breaker.(Checker)
	if !ok {
		return nil
	}
	var faults []Fault
	for _, s := range d.Scenarios {
		if s.Fault != PowerOff && !slices.Contains(faults, s.Fault) {
			faults = append(faults, s.Fault)
		}
	}
	return d.each(func(h Host) []string {
		var problems []string
		for _, f := range faults {
			if err := checker.Check(ctx, f, h); err != nil {
				problems = append(problems, (&BreakError{"check", f, h.Name, err}).Error())
			}
		}
		return problems
	})
}

// each calls f for all hosts at once and returns the answers in their order.
func (d *drill) each(ask func(Host) []string) []string {
	answers := make([][]string, len(d.Hosts))
	var work sync.WaitGroup
	for i, h := range d.Hosts {
		work.Go(func() { answers[i] = ask(h) })
	}
	work.Wait()
	return slices.Concat(answers...)
}

const (
	// redundancyPause is the time between two looks at whether all is redundant.
	redundancyPause = 500 * time.Millisecond
	// fresh is how old the word of a host, or of its member, may be.
	fresh = 3 * time.Second
)

// guard waits until everything is redundant and takes the namespace. It returns
// Kubernetes' version.
func (d *drill) guard(ctx context.Context) (string, error) {
	patient, cancel := context.WithTimeout(ctx, d.Patience)
	defer cancel()
	problems := d.awaitRedundant(patient, func() {})
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if len(problems) > 0 {
		return "", &NotRedundantError{problems}
	}
	c := d.operator()
	defer c.close()
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := c.do(ctx, http.MethodGet, "/version", nil, &version); err != nil {
		return "", fmt.Errorf("ask the API at %s for its version: %w", d.API.Endpoint, err)
	}
	return cut(visible(version.GitVersion), maxHostText, "..."), d.claim(ctx, c)
}

// awaitRedundant looks until nothing is missing or ctx ends, and returns what is
// missing. Between two looks it calls between.
func (d *drill) awaitRedundant(ctx context.Context, between func()) []string {
	last := ""
	for {
		problems := d.missing(ctx)
		if len(problems) == 0 {
			return nil
		}
		between()
		if now := strings.Join(problems, "; "); now != last && ctx.Err() == nil {
			d.emit(Event{Kind: Waiting, Message: now})
			last = now
		}
		if !wait(ctx, redundancyPause) {
			return problems
		}
	}
}

// missing lists what keeps the cluster from full redundancy.
func (d *drill) missing(ctx context.Context) []string {
	problems := d.each(func(h Host) []string {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		var problems []string
		if err := d.ready(ctx, h); err != nil {
			problems = append(problems, fmt.Sprintf("the API server of %s is not ready: %s", h.Name, said(err)))
		}
		if d.VIP.IsValid() {
			if err := d.keepalivedRuns(ctx, h); err != nil {
				problems = append(problems, fmt.Sprintf("keepalived does not run on %s: %s", h.Name, said(err)))
			}
		}
		return problems
	})
	d.record.note(func(r *record) {
		problems = append(problems, r.missingMembers(d.Hosts, d.Now())...)
		if d.VIP.IsValid() {
			problems = append(problems, r.missingHolder(d.Hosts, d.Now())...)
		}
	})
	return problems
}

// ready reads whether an API server is ready, as keepalived's check does.
func (d *drill) ready(ctx context.Context, h Host) error {
	c := d.API.newClient(d.tls, d.addresses[h.Name], d.API.Dial)
	c.timeout = lookTimeout
	defer c.close()
	err := c.do(ctx, http.MethodGet, "/readyz", nil, nil)
	if isStatus(err, http.StatusNotFound) { // before Kubernetes 1.16
		err = c.do(ctx, http.MethodGet, "/healthz", nil, nil)
	}
	return err
}

func (d *drill) keepalivedRuns(ctx context.Context, h Host) error {
	conn, err := d.Transport.Dial(ctx, h.Name)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the command has ended
	_, err = transport.Output(ctx, conn, "systemctl", "is-active", "keepalived.service")
	return err
}

// unwatch ends the hosts' watches; one that cannot be reached ends its own.
func (d *drill) unwatch(ctx context.Context) {
	if !d.VIP.IsValid() {
		return
	}
	_ = d.each(func(h Host) []string {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		conn, err := d.Transport.Dial(ctx, h.Name)
		if err != nil {
			return nil
		}
		defer func() { _ = conn.Close() }() // the command has ended
		_, _ = transport.Output(ctx, conn, "sh", "-c", unwatchScript)
		return nil
	})
}

// operator is a client for what is no load.
func (d *drill) operator() *client {
	c := d.API.newClient(d.tls, d.API.Endpoint, d.API.Dial)
	c.timeout = verifyTimeout
	return c
}

// namespaceLimit is how long a namespace may take to be gone: the controller
// manager, which empties it, may have to become leader first.
const namespaceLimit = 2 * time.Minute

// claim makes the namespace. One that an earlier drill left is deleted first,
// anybody else's refused.
func (d *drill) claim(ctx context.Context, c *client) error {
	var found object
	err := c.do(ctx, http.MethodGet, namespacePath(d.Namespace), nil, &found)
	switch {
	case err == nil && !isOwn(found):
		return &NotRedundantError{[]string{fmt.Sprintf("namespace %s is there and no drill's: choose another", d.Namespace)}}
	case err == nil:
		if err := d.deleteNamespace(ctx, c); err != nil {
			return err
		}
	case !isStatus(err, http.StatusNotFound):
		return fmt.Errorf("look for namespace %s: %w", d.Namespace, err)
	}
	made := object{APIVersion: "v1", Kind: "Namespace", Metadata: objectMeta{Name: d.Namespace, Labels: ownLabels()}}
	if err := c.do(ctx, http.MethodPost, "/api/v1/namespaces", made, nil); err != nil {
		return fmt.Errorf("make namespace %s: %w", d.Namespace, err)
	}
	return nil
}

// isOwn reports whether a drill made an object.
func isOwn(o object) bool {
	for k, v := range ownLabels() {
		if o.Metadata.Labels[k] != v {
			return false
		}
	}
	return true
}

// release deletes the namespace, by whichever API server does it.
func (d *drill) release(ctx context.Context) error {
	clients := []*client{d.operator()}
	for _, h := range d.Hosts {
		clients = append(clients, d.API.newClient(d.tls, d.addresses[h.Name], d.API.Dial))
	}
	defer func() {
		for _, c := range clients {
			c.close()
		}
	}()
	return d.deleteNamespace(ctx, clients...)
}

// deleteNamespace tries one client after the other until the namespace is gone.
func (d *drill) deleteNamespace(ctx context.Context, clients ...*client) error {
	ctx, cancel := context.WithTimeout(ctx, namespaceLimit)
	defer cancel()
	for {
		var errs []error
		for _, c := range clients {
			err := c.do(ctx, http.MethodDelete, namespacePath(d.Namespace), nil, nil)
			if isStatus(err, http.StatusNotFound) {
				return nil
			}
			if err == nil || isStatus(err, http.StatusConflict) { // being deleted
				errs = nil
				break
			}
			errs = append(errs, err)
		}
		if !wait(ctx, redundancyPause) {
			return fmt.Errorf("namespace %s is not gone after %s: %w", d.Namespace, namespaceLimit, errors.Join(append(errs, ctx.Err())...))
		}
	}
}
