package drilltest

import (
	"context"
	"time"

	"github.com/quorate-dev/quorate/plan/drill"
)

// breaker breaks the fake cluster.
type breaker struct{ c *Cluster }

// Faults are all.
func (b breaker) Faults() []drill.Fault {
	return []drill.Fault{
		drill.Reboot, drill.StopAPIServer, drill.StopKeepalived, drill.StopEtcd,
		drill.Partition, drill.PartitionEtcd, drill.FillDisk,
	}
}

// Break breaks; of a full disk nothing is to be seen.
func (b breaker) Break(ctx context.Context, br drill.Break) error {
	h := b.c.byName(br.Host.Name)
	if br.Fault == drill.Reboot {
		b.note(h, br.Fault)
		b.c.off(h)
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		b.c.boot(h)
		return pause(ctx, bootTime)
	}
	b.note(h, br.Fault)
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	h.broken[br.Fault] = true
	if b.c.has(StaleList) {
		h.stale = b.c.store.copyOf()
	}
	switch br.Fault {
	case drill.Partition:
		h.listener.drop(func(to string) bool { return to != "itself" })
	case drill.StopAPIServer:
		h.listener.drop(func(string) bool { return true })
	}
	return nil
}

// Heal undoes.
func (b breaker) Heal(_ context.Context, br drill.Break) error {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	h := b.c.byName(br.Host.Name)
	if br.Fault == drill.StopAPIServer && h.broken[br.Fault] {
		h.readyAt = time.Now().Add(serviceTime)
	}
	delete(h.broken, br.Fault)
	return nil
}

// PowerOff cuts the power.
func (b breaker) PowerOff(ctx context.Context, host drill.Host) error {
	h := b.c.byName(host.Name)
	b.note(h, drill.PowerOff)
	b.c.off(h)
	return pause(ctx, 100*time.Millisecond)
}

// PowerOn switches the host on.
func (b breaker) PowerOn(_ context.Context, host drill.Host) error {
	b.c.boot(b.c.byName(host.Name))
	return nil
}

func (b breaker) note(h *host, f drill.Fault) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	b.c.breaks = append(b.c.breaks, h.Name+": "+string(f))
}

// off ends everything on a host.
func (c *Cluster) off(h *host) {
	c.mu.Lock()
	leads := h == c.leader
	h.on, h.up = false, false
	h.setHolds(false)
	h.listener.drop(func(string) bool { return true })
	if leads && c.has(LosesWrites) {
		c.store.goBack(time.Now().Add(-time.Second))
	}
	if leads && c.has(GoesBack) {
		c.index /= 2
	}
	c.mu.Unlock()
	h.fake.SetDown(true)
}

// boot starts a host that is off; it is up after bootTime.
func (c *Cluster) boot(h *host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.on {
		return
	}
	h.on = true
	h.boots++
	h.broken = map[drill.Fault]bool{}
	h.member = !c.has(LosesMember)
	h.readyAt = time.Now().Add(bootTime + serviceTime)
	if c.has(StaysDown) {
		h.readyAt = time.Now().Add(24 * time.Hour)
	}
	boots := h.boots
	time.AfterFunc(bootTime, func() {
		c.mu.Lock()
		same := h.on && h.boots == boots
		if same {
			h.up = true
		}
		c.mu.Unlock()
		if same {
			h.fake.SetDown(false)
		}
	})
}
