package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/filejournal"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
)

// noJournal is what -journal says for none.
const noJournal = "none"

// openJournal returns the journal that the command line selects, nil for none.
func (o options) openJournal() *filejournal.Journal {
	switch o.journal {
	case noJournal:
		return nil
	case "":
		return statedir.Journal(o.state)
	}
	return &filejournal.Journal{Path: o.journal}
}

// who describes this program in the journal, and to others who wait for it.
func who() plan.Operator {
	o := plan.Operator{Process: strconv.Itoa(os.Getpid())}
	if name, err := os.Hostname(); err == nil {
		o.Machine = name
	}
	if u, err := user.Current(); err == nil {
		o.Name = u.Username
	}
	return o
}

// preparing replaces a run's ID while the state is made.
const preparing = "preparing"

const (
	// preparePatience bounds the wait for somebody else who prepares, which takes a
	// second at most.
	preparePatience = 10 * time.Second
	preparePoll     = 50 * time.Millisecond
)

// alone has the journal while the state directory is read and completed, so that
// nothing is reissued while somebody else runs. A dry run of another goes on
// then. Before the first run there is no journal, and the state directory's own
// lock is enough.
func (o options) alone(ctx context.Context, j *filejournal.Journal, f func() error) error {
	if j == nil {
		return f()
	}
	if _, err := os.Stat(j.Path); errors.Is(err, fs.ErrNotExist) {
		return f()
	}
	for deadline := time.Now().Add(preparePatience); ; {
		s, err := j.Begin(ctx, plan.Holder{Operator: who(), Run: preparing, Since: time.Now()})
		if err == nil {
			return errors.Join(f(), s.End(context.WithoutCancel(ctx)))
		}
		var locked *plan.LockedError
		switch {
		case !errors.As(err, &locked):
			return err
		case locked.Holder.Run != preparing && o.dryRun:
			return f()
		case locked.Holder.Run != preparing || time.Now().After(deadline):
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(preparePoll):
		}
	}
}

// tellUnfinished says what earlier runs have left so: a dry run does not take
// the journal, and has no events of it.
func tellUnfinished(ctx context.Context, j *filejournal.Journal, out io.Writer) error {
	if j == nil {
		return nil
	}
	left, err := plan.UnfinishedOf(j.Records(ctx))
	for _, u := range left {
		_, printed := io.WriteString(out, termsafe.Text(fmt.Sprintf("left unfinished: %s on %s: %s\n", u.Step, u.Host, u)))
		err = errors.Join(err, printed)
	}
	return err
}

// eventFile takes a run's events; a nil one does not.
type eventFile struct {
	file   *os.File
	events *events.Writer
}

func openEvents(path string) (*eventFile, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // nobody wants them
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, err
	}
	return &eventFile{file: f, events: events.NewWriter(f)}, nil
}

func (e *eventFile) observe(ev plan.Event) {
	if e != nil {
		e.events.Observe(ev)
	}
}

// close says whether all of them are there.
func (e *eventFile) close() error {
	if e == nil {
		return nil
	}
	err := errors.Join(e.events.Err(), e.file.Close())
	if err != nil {
		err = fmt.Errorf("%s: %w", e.file.Name(), err)
	}
	return err
}
