package machines

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cgroups are a host's own control groups: one directory in every hierarchy of
// the machine, so exactly one with cgroup v2. Without them all kubelets of a v1
// machine would share one /kubepods and kill each other's pods. They also show
// which processes belong to a host, whatever else is known of it.
type cgroups []string

// hostCgroups returns the directories for a host below the groups this process
// is in. Nothing is made yet.
func hostCgroups(lab, host string) (cgroups, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = mounts.Close() }()
	own, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	defer func() { _ = own.Close() }()
	parents, err := parseCgroups(mounts, own)
	if err != nil {
		return nil, err
	}
	for i := range parents {
		parents[i] = filepath.Join(parents[i], lab, host)
	}
	return parents, nil
}

// parseCgroups joins /proc/self/mountinfo and /proc/self/cgroup, see cgroups(7),
// to the directories of the groups a process is in. On a pure v2 machine the
// root is used instead: a group with processes of its own cannot hand
// controllers to a child.
func parseCgroups(mountinfo, own io.Reader) (cgroups, error) {
	points := map[string]string{} // by controllers, "" is v2
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		left, right, ok := strings.Cut(lines.Text(), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 3 {
			continue
		}
		switch r[0] {
		case "cgroup":
			points[controllersOf(r[2])] = l[4]
		case "cgroup2":
			points[""] = l[4]
		}
	}
	if lines.Err() != nil {
		return nil, lines.Err()
	}
	var dirs cgroups
	lines = bufio.NewScanner(own)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), ":", 3)
		if len(fields) != 3 {
			continue
		}
		point, mounted := points[sortedList(fields[1])]
		switch {
		case !mounted:
		case fields[1] == "" && len(points) == 1:
			dirs = append(dirs, point)
		default:
			dirs = append(dirs, filepath.Join(point, fields[2]))
		}
	}
	if len(dirs) == 0 {
		return nil, errors.New("no cgroup hierarchy is mounted on this machine")
	}
	return dirs, lines.Err()
}

// controllersOf picks the controllers out of a mount's super options and returns
// them as /proc/self/cgroup does.
func controllersOf(options string) string {
	var out []string
	for o := range strings.SplitSeq(options, ",") {
		switch {
		case o == "rw", o == "ro", o == "clone_children", o == "xattr", o == "none":
		case strings.HasPrefix(o, "release_agent="):
		default:
			out = append(out, o)
		}
	}
	return sortedList(strings.Join(out, ","))
}

func sortedList(s string) string {
	fields := strings.Split(s, ",")
	slices.Sort(fields)
	return strings.Join(fields, ",")
}

// create makes the groups ready for processes.
func (c cgroups) create() error {
	for _, dir := range c {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		// A cpuset without processors and memory takes no process.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := inheritCpuset(dir, name); err != nil {
				return err
			}
		}
		if err := delegate(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// inheritCpuset fills a v1 cpuset from its parents.
func inheritCpuset(dir, name string) error {
	file := filepath.Join(dir, name)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || isV2(dir) || strings.TrimSpace(string(b)) != "" {
		return nil
	}
	if err != nil {
		return err
	}
	if err := inheritCpuset(filepath.Dir(dir), name); err != nil {
		return err
	}
	b, err = os.ReadFile(filepath.Join(filepath.Dir(dir), name))
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

func isV2(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cgroup.controllers"))
	return err == nil
}

// delegate hands every v2 controller of a group to its children, parents first.
func delegate(dir string) error {
	if !isV2(dir) {
		return nil // v1, or above the mount
	}
	if err := delegate(filepath.Dir(dir)); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	var enable []string
	for _, controller := range strings.Fields(string(b)) {
		enable = append(enable, "+"+controller)
	}
	if len(enable) == 0 {
		return nil
	}
	err = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(strings.Join(enable, " ")), 0o644)
	if err != nil {
		return fmt.Errorf("hand cgroup controllers to the hosts: %w", err)
	}
	return nil
}

// processes returns every process in the groups and below them.
func (c cgroups) processes() ([]process, error) {
	seen := map[int]bool{}
	var out []process
	for _, dir := range c {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return ignoreMissing(err)
			}
			// None to read: removed meanwhile, or a group of threads.
			b, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			for _, field := range strings.Fields(string(b)) {
				pid, err := strconv.Atoi(field)
				if err != nil || seen[pid] || pid == 0 {
					continue
				}
				seen[pid] = true
				if p, err := findProcess(pid); err == nil {
					out = append(out, p)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// killAll ends every process in the groups and waits until none is left.
func (c cgroups) killAll(ctx context.Context) error {
	return poll(ctx, 20*time.Millisecond, func() (bool, error) {
		left, err := c.processes()
		if err != nil {
			return false, err
		}
		alive := false
		for _, p := range left {
			if p.alive() {
				alive = true
				if err := p.kill(); err != nil {
					return false, err
				}
			}
		}
		return !alive, nil
	})
}

// remove removes the groups and everything below them; they must hold no process.
// The lab's own group, which holds those of all hosts, stays: another host may be
// making its own below it at this moment.
func (c cgroups) remove(ctx context.Context) error {
	for _, dir := range c {
		err := poll(ctx, 20*time.Millisecond, func() (bool, error) {
			// The kernel lets go of a dead process's group a little later.
			return removeGroups(dir), nil
		})
		if err != nil {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// removeLab removes the lab's own groups once its last host is gone.
func (c cgroups) removeLab() {
	for _, dir := range c {
		_ = os.Remove(filepath.Dir(dir)) // refused while it holds a host's
	}
}

// removeGroups reports whether a directory of groups is gone.
func removeGroups(dir string) bool {
	var dirs []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, d := range slices.Backward(dirs) {
		_ = os.Remove(d)
	}
	_, err := os.Stat(dir)
	return errors.Is(err, fs.ErrNotExist)
}
