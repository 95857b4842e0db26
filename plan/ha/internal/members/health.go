package members

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/poll"
)

// Healthy waits until every member answers a linearizable read, made with
// the operator's certificate over a tunnel from one control plane.
type Healthy struct {
	plan.NothingToUndo
	TLS     *tls.Config
	Members []etcd.Member
}

const (
	// etcdPatience is how long one member may take to answer one question: an
	// election takes a second with etcd's own settings.
	etcdPatience = 2 * time.Second
	// etcdPoll is the time between two questions while members come up.
	etcdPoll = 100 * time.Millisecond
)

// Check says which members are not healthy, and why.
func (e Healthy) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	client, err := e.client(h)
	if err != nil {
		return nil, err
	}
	diff, err := e.ask(ctx, client)
	return diff, errors.Join(err, client.Close())
}

// Apply waits until Check would find nothing.
func (e Healthy) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	client, err := e.client(h)
	if err != nil {
		return err
	}
	for {
		diff, err := e.ask(ctx, client)
		if err != nil || len(diff) == 0 {
			return errors.Join(err, client.Close())
		}
		if !poll.Wait(ctx, etcdPoll) {
			return errors.Join(fmt.Errorf("%w: %w", &plan.NotConvergedError{Left: diff}, ctx.Err()), client.Close())
		}
	}
}

func (e Healthy) client(h *plan.Host) (*etcdclient.Client, error) {
	return etcdclient.New(etcdclient.Config{
		Endpoints: etcd.ClientEndpoints(e.Members), TLS: e.TLS, Dial: h.DialContext, Timeout: etcdPatience,
	})
}

// ask returns a difference for each member that is not healthy, and for each
// alarm, which keeps etcd from taking writes.
func (e Healthy) ask(ctx context.Context, client *etcdclient.Client) (plan.Diff, error) {
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	var diff plan.Diff
	for i, s := range status.Endpoints {
		if errors.Is(s.Err, errors.ErrUnsupported) { // waiting brings no tunnels
			return nil, s.Err
		}
		if !s.Healthy {
			diff = append(diff, plan.Change{Verb: "wait", Subject: "etcd member " + e.Members[i].Name, Detail: s.Err.Error(), Waits: true})
		}
	}
	for _, a := range status.Alarms {
		diff = append(diff, plan.Change{Verb: "wait", Subject: "etcd alarm " + string(a.Kind), Detail: fmt.Sprintf("raised by member %x", a.MemberID), Waits: true})
	}
	return diff, nil
}

// Describe returns the members.
func (e Healthy) Describe() plan.Description {
	return plan.Description{Kind: "quorate/etcd-health", Inputs: []quorate.Content{plan.InputText(etcd.ClientEndpoints(e.Members)...)}}
}
