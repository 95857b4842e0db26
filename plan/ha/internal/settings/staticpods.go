package settings

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/boundedyaml"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// StaticPods brings the API server, the controller manager and the scheduler of one control plane
// to the described settings: kubeadm writes their manifests again, one after another, and each is
// waited for.
type StaticPods struct {
	Described survey.Described
	Node      quorate.Node
	// Config is kubeadm's configuration of this node in the form of init. kubeadm reads it from
	// its standard input.
	Config quorate.Content
	Pods   []StaticPod
	// Patience is how long a component may take to be ready.
	Patience time.Duration
}

// StaticPod is one of the three.
type StaticPod struct {
	// Name of its program and manifest, "kube-apiserver".
	Name string
	// Fields are what the paths of its fields begin with.
	Fields []string
	// Phase is kubeadm's that writes the manifest, without its configuration.
	Phase []string
	// Args are the described arguments, "--v=4".
	Args []string
	// Health is the URL where it says that it is well, on its own host.
	Health string
}

// ComponentError reports that a component did not come back with its new settings on the first
// host where it was tried. No other host was touched after it.
type ComponentError struct {
	// Component is its program, "kube-apiserver", Host where it was tried.
	Component, Host string
	// Log are the last lines that it has printed, at most 20, with no secret of the plan in
	// them.
	Log []string
	// Err is why, and Back why its old settings could not be put back; nil if it runs with
	// them again, or was never stopped.
	Err, Back error
}

// Error has the log's lines after the reason.
func (e *ComponentError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s does not run with its new settings: %v\n", e.Component, e.Host, e.Err)
	for _, line := range e.Log {
		b.WriteString("  " + termsafe.Line(line) + "\n")
	}
	if e.Back != nil {
		fmt.Fprintf(&b, "its old settings do not bring it back either: %v: look at its log, and at journalctl -u kubelet, on this host", e.Back)
	} else {
		b.WriteString("it runs with its old settings again; hosts after this one were not touched: correct the description, and run again")
	}
	return termsafe.Indented(b.String())
}

// DescribeEvent returns what was tried, and what to do.
func (e *ComponentError) DescribeEvent() events.Error {
	do := "correct the description, and run again"
	if e.Back != nil {
		do = "look at its log, and at journalctl -u kubelet, on its host"
	}
	return events.Error{Kind: events.KindRestart, Tried: "run " + e.Component + " on " + e.Host + " with its new settings", Do: do}
}

// Unwrap returns what failed.
func (e *ComponentError) Unwrap() []error { return []error{e.Err, e.Back} }

// The bounds of a log in an error.
const (
	maxLogLines = 20
	maxLogLine  = 400
)

// logLines are a component's last, as its runtime keeps them, "TIME stderr F TEXT".
func logLines(out []byte) []string {
	var lines []string
	for line := range strings.Lines(string(out)) {
		if words := strings.SplitN(line, " ", 4); len(words) == 4 && (words[1] == "stderr" || words[1] == "stdout") {
			line = words[3]
		}
		if line = termsafe.Cut(termsafe.Line(strings.TrimSpace(line)), maxLogLine, "..."); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-maxLogLines):]
}

// podChange is what there is to do about a component.
type podChange struct {
	pod StaticPod
	// begun says that an earlier run has begun it.
	begun bool
}

// Check compares manifests and processes with the description, and looks for what an earlier run
// has begun.
func (s StaticPods) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Ask(ctx, survey.RunningQuery())
	if err != nil {
		return nil, err
	}
	report := s.Described.HostDifferences(h, s.Node, out)
	var diff plan.Diff
	for _, pod := range s.Pods {
		change := plan.Change{Verb: "update", Subject: pod.manifest(), Disruptive: true, Data: podChange{pod, slices.Contains(report.Unfinished, pod.aside())}}
		why := starting(pathsOf(report.Differences), pod.Fields...)
		switch {
		case slices.Contains(report.Unfinished, pod.aside()):
			change.Verb, change.Detail = "repair", unfinished
		case why == "":
			continue
		default:
			change.Detail = why
		}
		diff = append(diff, change)
	}
	return diff, nil
}

func pathsOf(all []survey.Difference) []string {
	var paths []string
	for _, d := range all {
		paths = append(paths, d.Path)
	}
	return paths
}

func (p StaticPod) manifest() string { return hostpath.Manifests + "/" + p.Name + ".yaml" }
func (p StaticPod) aside() string    { return hostpath.Aside + "/" + p.Name + ".yaml" }

// parseScript has the program that runs parse arguments that it is to run with. It prints
// "parsed=yes" if it takes them, "parsed=unknown" if it cannot be run, and its complaint.
//
//go:embed scripts/parse.sh
var parseScript string

// keepScript keeps a manifest, and which processes run with it.
//
//go:embed scripts/keep.sh
var keepScript string

// processScript prints the processes of a component, whether it is well, and what was kept.
//
//go:embed scripts/process.sh
var processScript string

// backScript puts the kept manifest in place.
//
//go:embed scripts/back.sh
var backScript string

// logScript prints the end of a component's newest log.
//
//go:embed scripts/podlog.sh
var logScript string

// Apply returns a *ComponentError for one that does not come to be ready. All arguments are
// parsed before any manifest is written.
func (s StaticPods) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	changes := plan.DataOf[podChange](d)
	for _, c := range changes {
		if err := s.parse(ctx, h, c.pod); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if err := s.one(ctx, h, c.pod); err != nil {
			return err
		}
	}
	return nil
}

func (s StaticPods) parse(ctx context.Context, h *plan.Host, pod StaticPod) error {
	if len(pod.Args) == 0 {
		return nil
	}
	out, err := h.Script(ctx, parseScript, map[string]string{"NAME": pod.Name[:min(len(pod.Name), commLen)]}, pod.Args...)
	if err != nil {
		return err
	}
	first, said, _ := strings.Cut(string(out), "\n")
	switch first {
	case "parsed=yes":
		return nil
	case "parsed=unknown":
		h.Report("the arguments of %s are not tried beforehand: it does not run on %s, or cannot be started outside its container", pod.Name, h.Name)
		return nil
	}
	return &ComponentError{Component: pod.Name, Host: h.Name, Log: logLines([]byte(said)), Err: errors.New("it does not take these arguments")}
}

func (s StaticPods) one(ctx context.Context, h *plan.Host, pod StaticPod) error {
	before, err := s.look(ctx, h, pod)
	if err != nil {
		return err
	}
	if !before.kept {
		if _, err := h.Script(ctx, keepScript, pod.vars(before.ids())); err != nil {
			return err
		}
		before.was = before.ids()
	}
	h.Report("%s: kubeadm writes its manifest, and it starts again", pod.Name)
	if err := runPhase(ctx, h, pod.Phase, s.Config); err != nil {
		return s.failed(ctx, h, pod, err)
	}
	if err := s.await(ctx, h, pod, before.was, true); err != nil {
		return s.failed(ctx, h, pod, err)
	}
	survey.Regenerated(h, s.Node.Name, pod.Name)
	return h.Remove(ctx, pod.process(), pod.aside())
}

// process is the file that says which processes ran with the manifest that is kept.
func (p StaticPod) process() string { return hostpath.Aside + "/" + p.Name + ".process" }

func (p StaticPod) vars(processes string) map[string]string {
	return map[string]string{"MANIFEST": p.manifest(), "ASIDE": p.aside(), "PROCESS": p.process(), "PROCESSES": processes}
}

// podState is what a host says of a component.
type podState struct {
	// kept says that an earlier run has kept its manifest, and was which processes ran then.
	kept bool
	was  string
	// processes run now, by what no two of them since the boot share, with their arguments.
	processes []podProcess
	// fault is why it is not well; empty if it is.
	fault string
}

type podProcess struct {
	id   string
	argv []string
}

func (s podState) ids() string {
	var ids []string
	for _, p := range s.processes {
		ids = append(ids, p.id)
	}
	return strings.Join(ids, " ")
}

const (
	commLen      = 15 // of /proc/PID/comm
	maxProcesses = 64
)

func (s StaticPods) look(ctx context.Context, h *plan.Host, pod StaticPod) (podState, error) {
	return look(ctx, h, pod.Name, pod.aside(), pod.process(), pod.Health)
}

// look reads how a program runs.
func look(ctx context.Context, h *plan.Host, program, aside, process, health string) (podState, error) {
	out, err := h.Script(ctx, processScript, map[string]string{
		"NAME": program[:min(len(program), commLen)], "ASIDE": aside, "PROCESS": process, "HEALTH": health,
	})
	if err != nil {
		return podState{}, err
	}
	return parsePod(out), nil
}

// parsePod reads what process.sh prints.
func parsePod(out []byte) podState {
	state := podState{fault: "it does not say how it is"}
	id := ""
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "kept":
			state.kept, state.was = true, value
		case "process":
			id = value
		case "cmdline":
			if id != "" && len(state.processes) < maxProcesses {
				state.processes = append(state.processes, podProcess{id, strings.Split(strings.TrimRight(value, "\x00"), "\x00")})
			}
			id = ""
		case "well":
			state.fault = ""
		case "fault":
			state.fault = termsafe.Line(value)
		}
	}
	return state
}

// looks is how often a process must be found well, a second apart: one that ends by what it
// reads at its start may answer before.
const looks = 3

// await waits until a process runs with the manifest that is in place, and is well: another
// than ran before if the manifest has changed.
func (s StaticPods) await(ctx context.Context, h *plan.Host, pod StaticPod, was string, unlessSame bool) error {
	texts, err := h.ReadAll(ctx, maxManifest, pod.manifest(), pod.aside())
	if err != nil {
		return err
	}
	command, err := commandOf(texts[0].Bytes())
	if err != nil {
		return fmt.Errorf("%s: %w", pod.manifest(), err)
	}
	another := !unlessSame || !bytes.Equal(texts[0].Bytes(), texts[1].Bytes())
	before := strings.Fields(was)
	return settle(ctx, s.Patience, func() (podState, error) { return s.look(ctx, h, pod) }, func(p podProcess) bool {
		return slices.Equal(p.argv, command) && (!another || !slices.Contains(before, p.id))
	})
}

// settle waits until a process that counts is there and well.
func settle(ctx context.Context, patience time.Duration, look func() (podState, error), counts func(podProcess) bool) error {
	last, found := "", 0
	for began := time.Now(); ; {
		state, err := look()
		if err != nil {
			return err
		}
		now, fault := "", cmp.Or(state.fault, "it has not started again")
		for _, p := range state.processes {
			if counts(p) {
				now = p.id
			}
		}
		switch {
		case now == "" || state.fault != "":
			last, found = "", 0
		case now != last:
			last, found = now, 1
		default:
			found++
		}
		if found >= looks {
			return nil
		}
		if time.Since(began) >= patience {
			return fmt.Errorf("it was not ready within %v: %s", patience, fault)
		}
		if !poll.Wait(ctx, pollPause) {
			return context.Cause(ctx)
		}
	}
}

// pollPause is the time between two looks at what has been asked for.
const pollPause = time.Second

const maxManifest = 256 << 10

// commandOf returns the command line of a static pod.
func commandOf(manifest []byte) ([]string, error) {
	var doc struct {
		Spec struct {
			Containers []struct{ Command, Args []string }
		}
	}
	if err := boundedyaml.Unmarshal(manifest, &doc); err != nil {
		return nil, err
	}
	if len(doc.Spec.Containers) == 0 {
		return nil, errors.New("it has no container")
	}
	return slices.Concat(doc.Spec.Containers[0].Command, doc.Spec.Containers[0].Args), nil
}

// failed puts the old manifest in place again, once the log has been read: that goes with the pod.
func (s StaticPods) failed(ctx context.Context, h *plan.Host, pod StaticPod, why error) error {
	if ctx.Err() != nil || plan.Transient(why) {
		return why
	}
	e := &ComponentError{Component: pod.Name, Host: h.Name, Err: why}
	if out, err := h.Script(ctx, logScript, map[string]string{"PROGRAM": pod.Name}); err == nil {
		e.Log = logLines(out)
	}
	h.Report("%s does not come back: putting its old manifest in place", pod.Name)
	e.Back = s.back(ctx, h, pod)
	return e
}

func (s StaticPods) back(ctx context.Context, h *plan.Host, pod StaticPod) error {
	bad, err := s.look(ctx, h, pod)
	if err != nil {
		return err
	}
	if _, err := h.Script(ctx, backScript, pod.vars(bad.ids())); err != nil {
		return err
	}
	if err := s.await(ctx, h, pod, bad.was, false); err != nil {
		return err
	}
	return h.Remove(ctx, pod.process(), pod.aside())
}

// Describe returns the configuration and the components.
func (s StaticPods) Describe() plan.Description {
	d := plan.Description{Kind: "quorate/static-pods", Inputs: []quorate.Content{s.Config}}
	for _, p := range s.Pods {
		d.Inputs = append(d.Inputs, plan.InputText(slices.Concat([]string{p.Name, p.Health}, p.Phase, p.Args)...))
	}
	return d
}

// Commands are kubeadm's phases.
func (s StaticPods) Commands(_ context.Context, _ *plan.Host, d plan.Diff) ([]plan.Command, error) {
	var out []plan.Command
	for _, c := range plan.DataOf[podChange](d) {
		out = append(out, phase(c.pod.Phase))
	}
	return out, nil
}

// Prefetch returns what Check asks.
func (StaticPods) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{survey.RunningQuery()}}
}

// Backup keeps the manifests that are about to change; of one that an earlier run has begun, that
// which it has kept.
func (s StaticPods) Backup(ctx context.Context, h *plan.Host, d plan.Diff, dir string) error {
	for _, c := range plan.DataOf[podChange](d) {
		from := c.pod.manifest()
		if c.begun {
			from = c.pod.aside()
		}
		text, err := h.Read(ctx, from)
		if err != nil {
			return err
		}
		if err := h.Write(ctx, kept(dir+"/"+c.pod.Name+".yaml", text)); err != nil {
			return err
		}
	}
	return nil
}

// Undo puts the kept manifests in place, one after another, and waits for each.
func (s StaticPods) Undo(ctx context.Context, h *plan.Host, dir string) error {
	for _, pod := range s.Pods {
		info, err := h.Stat(ctx, dir+"/"+pod.Name+".yaml")
		if err != nil {
			return err
		}
		if !info[0].Exists {
			continue
		}
		text, err := h.Read(ctx, dir+"/"+pod.Name+".yaml")
		if err != nil {
			return err
		}
		if err := h.Write(ctx, kept(pod.aside(), text)); err != nil {
			return err
		}
		if err := s.back(ctx, h, pod); err != nil {
			return err
		}
	}
	return nil
}
