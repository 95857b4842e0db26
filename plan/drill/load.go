package drill

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// load sends requests to the endpoint and to each API server all the time.
type load struct {
	api       API
	tls       *tls.Config
	namespace string
	rate      float64 // writes a second
	now       func() time.Time
	record    *record
}

// readRate is how many reads a second go through the endpoint and to each API
// server: enough to see a gap of 200 ms.
const readRate = 5

// errEnded is the cause of a load's end: what was under way then was not
// refused by anybody.
var errEnded = fmt.Errorf("the load ended: %w", context.Canceled)

// run returns when ctx has ended and every request with it.
func (l *load) run(ctx context.Context, servers map[string]string) {
	var work sync.WaitGroup
	work.Go(func() { l.write(ctx) })
	work.Go(func() {
		l.read(ctx, l.api.Endpoint, readRate, func(r *record, q request) { r.reads = append(r.reads, q) })
	})
	for host, address := range servers {
		work.Go(func() {
			l.read(ctx, address, readRate, func(r *record, q request) { r.serverReads[host] = append(r.serverReads[host], q) })
		})
	}
	work.Wait()
}

// pace calls do at a rate, each time in the next lane that is free; when none
// is, the call is left out. A lane is free again when its call has returned, so
// at a rate of r and requests of t there are at most r*t of them under way.
func pace(ctx context.Context, rate float64, timeout time.Duration, do func(lane int)) {
	lanes := make(chan int, max(1, int(rate*timeout.Seconds())+1))
	for i := range cap(lanes) {
		lanes <- i
	}
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	var work sync.WaitGroup
	defer work.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case lane := <-lanes:
			work.Go(func() {
				defer func() { lanes <- lane }()
				do(lane)
			})
		default:
		}
	}
}

// laneCount is how many lanes pace uses.
func laneCount(rate float64, timeout time.Duration) int {
	return max(1, int(rate*timeout.Seconds())+1)
}

// timed runs one request. ok is false if ctx ended meanwhile: then the request
// says nothing.
func (l *load) timed(ctx context.Context, send func() error) (r request, ok bool) {
	r.began = l.now()
	err := send()
	r.ended = l.now()
	if err != nil {
		r.err = said(err)
	}
	return r, err == nil || ctx.Err() == nil
}

// read reads the namespace, linearizably, at a rate.
func (l *load) read(ctx context.Context, address string, rate float64, note func(*record, request)) {
	clients := make([]*client, laneCount(rate, l.api.Timeout))
	for i := range clients {
		clients[i] = l.api.newClient(l.tls, address, l.api.Dial)
		defer clients[i].close()
	}
	pace(ctx, rate, l.api.Timeout, func(lane int) {
		r, ok := l.timed(ctx, func() error {
			return clients[lane].do(ctx, http.MethodGet, namespacePath(l.namespace), nil, nil)
		})
		if ok {
			l.record.note(func(rec *record) { note(rec, r) })
		}
	})
}

// updatesOfOne is after how many writes a writer leaves an object and creates
// another: creations are among the writes all the time, and objects few.
const updatesOfOne = 25

// writer writes one object after another, one write at a time.
type writer struct {
	client *client
	lane   int
	object int
	seq    int
	// version is the resource version that the next update has; empty if the
	// object is to be created.
	version string
	// unsure: the last write was not acknowledged and may yet have come about.
	unsure bool
}

func (l *load) write(ctx context.Context) {
	writers := make([]writer, laneCount(l.rate, l.api.Timeout))
	for i := range writers {
		writers[i] = writer{lane: i, client: l.api.newClient(l.tls, l.api.Endpoint, l.api.Dial)}
		defer writers[i].client.close()
	}
	pace(ctx, l.rate, l.api.Timeout, func(lane int) { l.writeOne(ctx, &writers[lane]) })
}

// writeOne makes one write. Each update names the version it replaces, so that
// a write which its sender has given up can come about only until a later one
// has: then what is acknowledged is kept, or something later does.
func (l *load) writeOne(ctx context.Context, w *writer) {
	if w.seq == updatesOfOne {
		w.object, w.seq, w.version, w.unsure = w.object+1, 0, "", false
	}
	w.seq++
	name := fmt.Sprintf("lane-%d-object-%d", w.lane, w.object)
	this := write{object: name, seq: w.seq, value: fmt.Sprintf("%s-write-%d", name, w.seq)}
	var ok bool
	this.request, ok = l.timed(ctx, func() error {
		if w.unsure {
			if err := l.lookUp(ctx, w, name); err != nil {
				return fmt.Errorf("read before the write: %w", err)
			}
		}
		return l.send(ctx, w, this)
	})
	w.unsure = this.err != ""
	// Also one that ctx ended may come about.
	l.record.note(func(r *record) {
		if !ok {
			this.err = errEnded.Error()
		}
		r.writes = append(r.writes, this)
	})
}

func (l *load) send(ctx context.Context, w *writer, this write) error {
	o := object{
		APIVersion: "v1", Kind: "ConfigMap", Data: map[string]string{valueKey: this.value},
		Metadata: objectMeta{Name: this.object, ResourceVersion: w.version, Labels: ownLabels()},
	}
	method, path := http.MethodPost, configMapsPath(l.namespace)
	if w.version != "" {
		method, path = http.MethodPut, path+"/"+this.object
	}
	var stored object
	if err := w.client.do(ctx, method, path, o, &stored); err != nil {
		return err
	}
	w.version = stored.Metadata.ResourceVersion
	return nil
}

// lookUp finds out what came of writes that were not acknowledged.
func (l *load) lookUp(ctx context.Context, w *writer, name string) error {
	seen := observation{object: name, began: l.now()}
	var stored object
	err := w.client.do(ctx, http.MethodGet, configMapsPath(l.namespace)+"/"+name, nil, &stored)
	if err != nil && !isStatus(err, http.StatusNotFound) {
		return err
	}
	seen.value = cut(stored.Data[valueKey], maxValue, "...")
	l.record.note(func(r *record) { r.seen = append(r.seen, seen) })
	w.version, w.unsure = stored.Metadata.ResourceVersion, false
	return nil
}

// ownLabels mark what a drill made.
func ownLabels() map[string]string {
	return map[string]string{"app.kubernetes.io/managed-by": "quorate-drill"}
}

// verify reads every object from one API server and notes what is there.
func (l *load) verify(ctx context.Context, address string) error {
	c := l.api.newClient(l.tls, address, l.api.Dial)
	c.timeout = verifyTimeout
	defer c.close()
	began := l.now()
	values, err := c.list(ctx, l.namespace)
	if err != nil {
		return err
	}
	l.record.note(func(r *record) {
		// Objects of writes so far; that nothing was acknowledged of one is
		// the judgement's matter.
		var names []string
		for _, w := range r.writes {
			names = append(names, w.object)
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			r.seen = append(r.seen, observation{object: name, value: values[name], began: began})
		}
	})
	return nil
}

// verifyTimeout of one page of a list.
const verifyTimeout = 10 * time.Second

// probe writes from inside a cut-off host, whose API server must refuse: it
// cannot have a majority's word. It returns why that server was never reached,
// which it can be for what needs no etcd; nil if it was.
func (l *load) probe(ctx context.Context, host, address string, dial dialFunc) error {
	const rate = 2
	clients := make([]*client, laneCount(rate, l.api.Timeout))
	for i := range clients {
		clients[i] = l.api.newClient(l.tls, address, dial)
		defer clients[i].close()
	}
	var mu sync.Mutex
	count := 0
	reached := errors.New("cut off too briefly to ask")
	pace(ctx, rate, l.api.Timeout, func(lane int) {
		err := clients[lane].do(ctx, http.MethodGet, "/version", nil, nil)
		mu.Lock()
		if reached != nil && (err == nil || ctx.Err() == nil) {
			reached = err
		}
		count++
		o := object{
			APIVersion: "v1", Kind: "ConfigMap", Metadata: objectMeta{Name: fmt.Sprintf("cut-off-%s-%d-%d", host, l.now().UnixNano(), count), Labels: ownLabels()},
		}
		mu.Unlock()
		r, ok := l.timed(ctx, func() error {
			return clients[lane].do(ctx, http.MethodPost, configMapsPath(l.namespace), o, nil)
		})
		if ok {
			l.record.note(func(rec *record) { rec.refused[host] = append(rec.refused[host], r) })
		}
	})
	return reached
}
