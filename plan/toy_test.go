package plan_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journaltest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// board is a recipe: a message board on some hosts, and an index of them on the
// first, which has to know all others before it is announced.
type board struct {
	hosts   []string
	message string
}

func (b board) plan(t *testing.T) *plan.Plan {
	t.Helper()
	steps := make([]plan.Step, 0, len(b.hosts)+1)
	var boards []plan.ID
	for _, h := range b.hosts {
		id := plan.ID("board/" + h)
		boards = append(boards, id)
		steps = append(steps, plan.Step{ID: id, Title: "run the board", Host: h, Locks: []string{"boards"}, Action: plan.Deploy{
			Name: "board",
			Files: []quorate.File{
				{Path: "/etc/board/message", Mode: 0o644, Content: quorate.Public([]byte(b.message + "\n"))},
				{Path: "/etc/board/password", Content: quorate.Sensitive([]byte("correct horse battery staple"))},
			},
			Units: []plan.Unit{{Name: "board.service"}},
		}})
	}
	return newPlan(t, append(steps, plan.Step{ID: "index", Title: "announce", Host: b.hosts[0], After: boards, Action: index{b.hosts}})...)
}

// index is an Action with every ability there is.
type index struct{ hosts []string }

const indexPath = "/var/www/index"

func (i index) text() string { return strings.Join(i.hosts, "\n") + "\n" }

func (i index) query() transport.Query {
	return plan.Script("# read the index\ncat \"$INDEX\" 2>/dev/null || :\n", map[string]string{"INDEX": indexPath})
}

// entry is a host that the index lacks.
type entry string

func (i index) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Ask(ctx, i.query())
	if err != nil {
		return nil, err
	}
	var d plan.Diff
	for _, name := range i.hosts {
		if !strings.Contains("\n"+string(out), "\n"+name+"\n") {
			d = append(d, plan.Change{Verb: "list", Subject: name, Data: entry(name)})
		}
	}
	return d, nil
}

func (i index) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	for _, name := range plan.DataOf[entry](d) {
		h.Report("listing %s", name)
	}
	return h.Write(ctx, transport.File{Path: indexPath, Mode: 0o644, Owner: "root", Group: "root", Data: transport.Bytes([]byte(i.text()))})
}

func (i index) Prefetch() plan.Prefetch { return plan.Prefetch{Queries: []transport.Query{i.query()}} }

func (i index) Describe() plan.Description {
	return plan.Description{Kind: "example.com/index", Inputs: []quorate.Content{plan.InputText(i.hosts...)}}
}

func (i index) Commands(_ context.Context, _ *plan.Host, d plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: []string{"announce", fmt.Sprint(len(plan.DataOf[entry](d)))}}}, nil
}

func (i index) file() plan.Deploy {
	return plan.Deploy{Files: []quorate.File{{Path: indexPath, Mode: 0o644, Content: quorate.Public([]byte(i.text()))}}}
}

func (i index) Backup(ctx context.Context, h *plan.Host, d plan.Diff, dir string) error {
	return i.file().Backup(ctx, h, d, dir)
}

func (i index) Undo(ctx context.Context, h *plan.Host, dir string) error {
	return i.file().Undo(ctx, h, dir)
}

// boardHosts are hosts in memory whose systemd knows one unit.
func boardHosts(names ...string) *faketransport.Transport {
	hosts := fakeHosts(names...)
	for _, name := range names {
		var mu sync.Mutex
		active, enabled := false, false
		hosts.Host(name).Handle(faketransport.Prefix("systemctl"), func(_ context.Context, in faketransport.Invocation) error {
			mu.Lock()
			defer mu.Unlock()
			word := func(is bool, yes, no string) string {
				if is {
					return yes
				}
				return no
			}
			say, code := "", 0
			switch args := strings.Join(in.Argv[1:], " "); {
			case strings.HasPrefix(args, "show"):
				say = fmt.Sprintf("Id=board.service\nLoadState=loaded\nActiveState=%s\nUnitFileState=%s\n", word(active, "active", "inactive"), word(enabled, "enabled", "disabled"))
			case strings.HasPrefix(args, "is-active"):
				say = word(active, "active", "inactive") + "\n"
				code = map[bool]int{false: 3}[active]
			case strings.HasPrefix(args, "is-enabled"):
				say = word(enabled, "enabled", "disabled") + "\n"
				code = map[bool]int{false: 1}[enabled]
			case strings.Contains(args, "enable ") && !strings.Contains(args, "disable"):
				enabled = true
			case strings.Contains(args, "disable"):
				enabled = false
			case strings.HasPrefix(args, "start"), strings.HasPrefix(args, "restart"):
				active = true
			case strings.HasPrefix(args, "stop"):
				active = false
			}
			if _, err := in.Stdout.Write([]byte(say)); err != nil || code == 0 {
				return err
			}
			return faketransport.Exit(code)
		})
	}
	return hosts
}

// A recipe from nothing to its end: shown, applied as shown, kept in a journal, at
// rest in one round trip a host, changed, rolled back, and removed.
func TestToyRecipe(t *testing.T) {
	b := board{hosts: []string{"a", "b", "c"}, message: "welcome"}
	hosts := boardHosts(b.hosts...)
	var journal journaltest.Memory
	runner := plan.Runner{Transport: hosts, Journal: &journal, Operator: plan.Operator{Name: "alice"}}
	first := b.plan(t)

	preview, err := runner.Preview(t.Context(), first)
	require.NoError(t, err)
	text := preview.Text()
	require.Contains(t, text, "+welcome")
	require.Contains(t, text, "announce 3")
	require.NotContains(t, text, "correct horse")
	seen, err := plan.ParsePreview(preview.JSON())
	require.NoError(t, err)
	sum, err := runner.Apply(t.Context(), first, seen)
	require.NoError(t, err)
	require.Equal(t, map[plan.Outcome]int{plan.Changed: 4}, sum.Outcomes)
	_, err = runner.Apply(t.Context(), first, seen)
	var stale *plan.StaleError
	require.ErrorAs(t, err, &stale)

	sum, err = runner.Run(t.Context(), first)
	require.NoError(t, err)
	require.False(t, sum.Changed())
	require.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1}, sum.RoundTrips)

	b.message = "closed"
	second := b.plan(t)
	require.NotEqual(t, first.Fingerprint(), second.Fingerprint())
	backup := runner
	backup.BackupAs = "change"
	sum, err = backup.Run(t.Context(), second)
	require.NoError(t, err)
	require.Equal(t, map[plan.Outcome]int{plan.Changed: 3, plan.Unchanged: 1}, sum.Outcomes)
	back, err := plan.Rollback(second, "change")
	require.NoError(t, err)
	_, err = runner.Run(t.Context(), back)
	require.NoError(t, err)
	sum, err = runner.Run(t.Context(), first)
	require.NoError(t, err)
	require.False(t, sum.Changed(), "the rollback has left something")

	var steps []plan.Step
	for _, h := range b.hosts {
		deploy, ok := first.Step(plan.ID("board/" + h))
		require.True(t, ok)
		steps = append(steps, plan.Step{ID: plan.ID("remove/" + h), Host: h, Action: deploy.Action.(plan.Deploy).Removal()})
	}
	remove := newPlan(t, steps...)
	for _, want := range []plan.Outcome{plan.Changed, plan.Unchanged} {
		sum, err = runner.Run(t.Context(), remove)
		require.NoError(t, err)
		require.Equal(t, map[plan.Outcome]int{want: 3}, sum.Outcomes)
	}
	require.NotContains(t, hosts.Host("b").Files(), "/etc/board/password")
	left, err := plan.UnfinishedOf(journal.Records(t.Context()))
	require.NoError(t, err)
	require.Empty(t, left)
}

// Files without a unit are written, put back and removed on a host without systemd; a
// file of systemd's has it reload.
func TestFilesNeedNoSystemd(t *testing.T) {
	for path, reloads := range map[string]bool{"/etc/example/a": false, "/etc/systemd/system/example.service.d/a.conf": true} {
		hosts := faketransport.New()
		host, calls := hosts.Host("a"), 0
		if reloads {
			host.Handle(faketransport.Exact("systemctl", "daemon-reload"), func(context.Context, faketransport.Invocation) error {
				calls++
				return nil
			})
		}
		deploy := plan.Deploy{Name: "files", Files: []quorate.File{{Path: path, Mode: 0o644, Content: quorate.Public([]byte("new"))}}}
		require.NoError(t, host.Put(transport.File{Path: path, Mode: 0o644, Data: transport.Bytes([]byte("old"))}))
		put, err := plan.New(plan.Step{ID: "files", Host: "a", Action: deploy})
		require.NoError(t, err)
		_, err = (&plan.Runner{Transport: hosts, BackupAs: "run"}).Run(t.Context(), put)
		require.NoError(t, err)
		back, err := plan.Rollback(put, "run")
		require.NoError(t, err)
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), back)
		require.NoError(t, err)
		found, err := host.File(path)
		require.NoError(t, err)
		require.Equal(t, "old", string(found.Data.Bytes()))
		remove, err := plan.New(plan.Step{ID: "remove", Host: "a", Action: deploy.Removal()})
		require.NoError(t, err)
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), remove)
		require.NoError(t, err)
		_, err = host.File(path)
		require.Error(t, err)
		if reloads {
			require.Equal(t, 2, calls)
		}
	}
}
