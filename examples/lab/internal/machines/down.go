package machines

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Down ends every host and removes everything that Up made.
func (l *Lab) Down(ctx context.Context) error { return Down(ctx, l.dir) }

// Down removes the lab in a state directory: processes, mounts, control
// groups, interfaces, changed limits of the machine, files. It does as much as
// it can and returns every error; what failed can be tried again. Without a lab
// in the directory it does nothing. Files of others in the directory stay.
func Down(ctx context.Context, dir string) error {
	dir, err := realPath(dir)
	if err != nil {
		return err
	}
	l, err := Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		// A process that ended before it wrote the state made files only.
		return removeFiles(ctx, dir)
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range l.state.Hosts {
		errs = append(errs, l.removeHost(ctx, h))
	}
	errs = append(errs, deleteFilters(ctx, l.state.Spec.Bridge))
	if checkBridgeFree(ctx, l.state.Spec.Bridge, dir) == nil {
		errs = append(errs, deleteLink(ctx, l.state.Spec.Bridge))
	}
	errs = append(errs, restoreSysctls(l.state.Sysctls))
	if err := errors.Join(errs...); err != nil {
		return err // the state stays, for the next try
	}
	return removeFiles(ctx, dir)
}

func (l *Lab) removeHost(ctx context.Context, h *hostState) error {
	if err := l.powerCut(ctx, h); err != nil {
		return err
	}
	err := errors.Join(deleteVeth(ctx, l.state.Spec.Bridge, h.Name), h.Cgroups.remove(ctx))
	h.Cgroups.removeLab() // hosts are removed one after another
	return err
}

func removeFiles(ctx context.Context, dir string) error {
	for _, name := range []string{"hosts", "common", keyFile, knownHostsFile} {
		if err := removeTree(ctx, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(statePath(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = os.Remove(dir) // if nothing else is in it
	return nil
}
