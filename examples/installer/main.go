// Command installer brings up a highly available cluster on the hosts of a
// cluster description, over SSH, and shows how it gets on. Running it again
// changes nothing, or whatever has come to differ.
//
//	go run ./examples/installer -cluster cluster.yaml -preflight
//	go run ./examples/installer -cluster cluster.yaml -status
//	go run ./examples/installer -cluster cluster.yaml -dry-run
//	go run ./examples/installer -cluster cluster.yaml -ssh-key ~/.ssh/id_ed25519
//
// What a dry run shows can be saved, as JSON or as a graph, and the JSON be
// applied for as long as it holds:
//
//	go run ./examples/installer -cluster cluster.yaml -dry-run -save plan.json -save plan.dot
//	go run ./examples/installer -cluster cluster.yaml -apply plan.json
//
// What runs did, and who ran them, is kept in a journal in the state directory,
// -journal another file or none: the next run reports what this one has left
// unfinished, and while one runs, another on this machine learns by whom, and
// does nothing. With -events other programs can follow a run (docs/events.md).
//
// Nodes are taken out of the cluster again, or all of it is taken down; both go
// with -dry-run, -save and -apply. Without -reset, run again, they come back:
//
//	go run ./examples/installer -cluster cluster.yaml -reset cp-2
//	go run ./examples/installer -cluster cluster.yaml -reset-cluster
//
// Settings of a cluster that runs are changed in the description, and brought about one control
// plane after another (docs/settings.md):
//
//	go run ./examples/installer -cluster cluster.yaml -reconfigure
//
// Nodes whose hosts are gone for good, and that the description no longer has, are taken out of the
// cluster, and others may be in their place (docs/members.md). With -fenced you state that a host is
// powered off:
//
//	go run ./examples/installer -cluster cluster.yaml -replace cp-2=cp-4 -fenced cp-2
//	go run ./examples/installer -cluster cluster.yaml -remove worker-3 -fenced worker-3
//
// What a run does is undone if it had a name:
//
//	go run ./examples/installer -cluster cluster.yaml -keep monday
//	go run ./examples/installer -cluster cluster.yaml -rollback monday
//
// Exit codes: 0 the hosts are as described (or, dry, would be), 1 the run
// failed, or what it should write could not be written, 2 the input is wrong and
// no host was touched, 3 the saved plan no longer holds and nothing was changed,
// 4 somebody else runs and nothing was changed, 130 interrupted.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/examples/internal/progress"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/filejournal"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/ha/sshtargets"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/sudo"
)

const (
	exitFailed      = 1
	exitInvalid     = 2
	exitStale       = 3
	exitLocked      = 4
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the command line.
type options struct {
	cluster, state, kubeconfig string
	preflight, status          bool
	dryRun, untaint, sudo      bool
	install, images, apply     string
	journal, events            string
	reset                      list
	replace, remove, fenced    list
	reconfigure                bool
	resetCluster, removeData   bool
	keep, rollback             string
	save                       list
	manifests                  list
	keys, knownHosts           list
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("installer", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.cluster, "cluster", "", "cluster description, a YAML `file` (docs/cluster.md)")
	f.StringVar(&o.state, "state", "", "`directory` for keys and certificates between runs (default: the description's name and .state)")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "write the administrator's kubeconfig to this `file`")
	f.BoolVar(&o.preflight, "preflight", false, "say what is wrong with the hosts, etcd's disks included, and do nothing else (docs/preflight.md)")
	f.BoolVar(&o.status, "status", false, "say how the cluster runs, what differs from the description and what to do next, and change nothing (docs/survey.md)")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.Var(&o.save, "save", "with -dry-run, write what it shows to this `file` too: .json for -apply, .txt, .dot or .mmd (Mermaid); with -status: .json, .txt or .html; may be repeated")
	f.StringVar(&o.apply, "apply", "", "do what this `file` of -save says, or nothing if that no longer holds")
	f.StringVar(&o.journal, "journal", "", "keep what was done in this `file`, or \"none\" (default: journal.jsonl in the state directory)")
	f.StringVar(&o.events, "events", "", "write what happens to this `file`, as JSON Lines (docs/events.md)")
	f.BoolVar(&o.reconfigure, "reconfigure", false, "bring a cluster that runs to the described settings: arguments of components, kubelets, kube-proxy, certificates' names, labels and taints (docs/settings.md)")
	f.Var(&o.reset, "reset", "take this `node` out of the cluster, back to a clean host; may be repeated")
	f.BoolVar(&o.resetCluster, "reset-cluster", false, "take the whole cluster down, back to clean hosts")
	f.BoolVar(&o.removeData, "remove-data", false, "with -reset or -reset-cluster, remove etcd's data and the hosts' keys too, which are kept aside otherwise")
	f.Var(&o.replace, "replace", "take a node whose host is gone for good out of the cluster, and have another come in its place: `OLD=NEW`, and only NEW is described (docs/members.md); may be repeated")
	f.Var(&o.remove, "remove", "take this `node`, whose host is gone for good and which is not described, out of the cluster; may be repeated")
	f.Var(&o.fenced, "fenced", "with -replace and -remove: the host of this `node` is powered off, or cut off from every other host, and stays so; may be repeated")
	f.StringVar(&o.keep, "keep", "", "keep on the hosts, under this `name`, what it takes to undo this run")
	f.StringVar(&o.rollback, "rollback", "", "undo what the run of this `name` did; repeat its other flags")
	f.BoolVar(&o.untaint, "untaint", false, "let ordinary pods run on the control planes")
	f.BoolVar(&o.sudo, "sudo", false, "become root with sudo, which must not ask for a password")
	f.StringVar(&o.install, "install", "present", "where programs come from: `present` (check only) or packages")
	f.StringVar(&o.images, "images", "", "import image archives that the hosts have, as this JSON `file` lists them")
	f.Var(&o.manifests, "manifest", "YAML `file` to apply, the pod network first; may be repeated")
	f.Var(&o.keys, "ssh-key", "private key `file`, used alone (default: the agent of $SSH_AUTH_SOCK and the keys in ~/.ssh); may be repeated")
	f.Var(&o.knownHosts, "known-hosts", "known_hosts `file` that must have the hosts' keys (default ~/.ssh/known_hosts); may be repeated")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.cluster == "" {
		return o, errors.New("-cluster is missing")
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.preflight && (o.dryRun || o.apply != "") {
		return o, errors.New("-preflight excludes -dry-run and -apply")
	}
	if o.reconfigure && (o.preflight || o.resets()) {
		return o, errors.New("-reconfigure goes with neither -preflight nor -reset nor -reset-cluster")
	}
	if o.replaces() && (o.preflight || o.resets() || o.reconfigure || o.rollback != "" || o.keep != "") {
		return o, errors.New("-replace and -remove go with none of -preflight, -reset, -reset-cluster, -reconfigure, -keep and -rollback")
	}
	if len(o.fenced) > 0 && !o.replaces() {
		return o, errors.New("-fenced goes with -replace or -remove")
	}
	for _, pair := range o.replace {
		if old, with, ok := strings.Cut(pair, "="); !ok || old == "" || with == "" {
			return o, fmt.Errorf("-replace %s: want OLD=NEW", pair)
		}
	}
	if o.status && (o.replaces() || o.reconfigure || o.preflight || o.dryRun || o.apply != "" || o.resets() || o.rollback != "" || o.keep != "") {
		return o, errors.New("-status goes with no flag that changes anything, nor with -preflight or -dry-run")
	}
	if o.dryRun && o.apply != "" {
		return o, errors.New("-apply and -dry-run exclude each other")
	}
	if o.rollback != "" && (o.resets() || o.keep != "") {
		return o, errors.New("-rollback goes with neither -reset, -reset-cluster nor -keep")
	}
	if o.removeData && !o.resets() {
		return o, errors.New("-remove-data goes with -reset or -reset-cluster")
	}
	if o.kubeconfig != "" && o.resetCluster {
		return o, errors.New("-kubeconfig: no cluster is left after -reset-cluster")
	}
	for _, path := range o.save {
		_, previewed := rendering(path)
		_, surveyed := surveyRendering(path)
		if !(o.dryRun && previewed) && !(o.status && surveyed) {
			return o, fmt.Errorf("-save %s: want -dry-run, and a name that ends in .json, .txt, .dot or .mmd, or -status and .json, .txt or .html", path)
		}
	}
	if o.state == "" {
		o.state = strings.TrimSuffix(o.cluster, filepath.Ext(o.cluster)) + ".state"
	}
	return o, nil
}

func (o options) replaces() bool { return len(o.replace)+len(o.remove) > 0 }

// replacement is what -replace, -remove and -fenced say.
func (o options) replacement() ha.ReplaceConfig {
	var r ha.ReplaceConfig
	for _, pair := range slices.Concat(o.replace, o.remove) {
		old, with, _ := strings.Cut(pair, "=")
		r.Nodes = append(r.Nodes, ha.Replacement{Old: old, New: with, Fenced: slices.Contains(o.fenced, old)})
	}
	return r
}

func (o options) resets() bool { return len(o.reset) > 0 || o.resetCluster }

// plan is what the options ask for.
func (o options) plan(ctx context.Context, cfg ha.Config) (*plan.Plan, error) {
	cluster, err := ha.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if o.replaces() {
		return cluster.PlanReplace(o.replacement())
	}
	if !o.resets() {
		verb := cluster.Plan
		if o.reconfigure {
			verb = func() (*plan.Plan, error) { return cluster.PlanReconfigure(ha.ReconfigureConfig{}) }
		}
		made, err := verb()
		if err != nil || o.rollback == "" {
			return made, err
		}
		return plan.Rollback(made, o.rollback)
	}
	reset := ha.ResetConfig{Nodes: o.reset, WholeCluster: o.resetCluster}
	if o.removeData {
		reset.Data = ha.RemoveData
	}
	return cluster.PlanReset(reset)
}

// run is main without the process: the exit code is its result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	complain := func(err error) { complainTo(stderr, err) }
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		complain(err)
		return exitInvalid
	}
	job, err := prepare(ctx, o)
	if err != nil {
		complain(err)
		return exitCode(ctx, err, exitInvalid)
	}
	defer func() { _ = job.ssh.Close() }() // every connection has been used up
	for _, p := range warnings(job.config.Cluster) {
		complain(errors.New(p.String()))
	}
	events, err := openEvents(o.events)
	if err != nil {
		complain(err)
		return exitInvalid
	}
	switch {
	case o.preflight:
		err = showPreflight(ctx, job, stdout)
	case o.status:
		err = showStatus(ctx, o, job, stdout)
	case o.dryRun:
		err = dryRun(ctx, o, job, stdout, events.observe)
	default:
		view := progress.New(stdout, job.plan)
		err = job.run(ctx, func(e plan.Event) {
			view.Observe(e)
			events.observe(e)
		})
		view.Close()
	}
	if err = errors.Join(err, events.close()); err != nil {
		complain(err)
		return exitCode(ctx, err, exitFailed)
	}
	if o.kubeconfig != "" && !o.dryRun && !o.preflight && !o.status {
		if err := saveKubeconfig(ctx, job, o.kubeconfig); err != nil {
			complain(err)
			return exitFailed
		}
	}
	return 0
}

// complainTo shows an error, whose further lines are not at the margin: hosts may have
// sent them.
func complainTo(w io.Writer, err error) {
	_, _ = fmt.Fprintln(w, "installer:", termsafe.Indented(err.Error()))
}

// exitCode is otherwise unless the error has one of its own.
func exitCode(ctx context.Context, err error, otherwise int) int {
	var stale *plan.StaleError
	var locked *plan.LockedError
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &stale):
		return exitStale
	case errors.As(err, &locked):
		return exitLocked
	}
	return otherwise
}

// rendering is the form in which a preview is saved, by the file's name.
func rendering(path string) (func(*plan.Preview) string, bool) {
	form, ok := map[string]func(*plan.Preview) string{
		".json": func(p *plan.Preview) string { return string(p.JSON()) },
		".txt":  (*plan.Preview).Text, ".dot": (*plan.Preview).DOT, ".mmd": (*plan.Preview).Mermaid,
	}[filepath.Ext(path)]
	return form, ok
}

// showPreflight shows what is wrong with the hosts; an error fails.
func showPreflight(ctx context.Context, j job, stdout io.Writer) error {
	cluster, err := ha.New(ctx, j.config)
	if err != nil {
		return err
	}
	report, err := cluster.Preflight(ctx, preflight.Config{Transport: j.transport, Disk: true})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, report.Text()); err != nil {
		return err
	}
	if n := len(report.Of(quorate.Refused)); n > 0 {
		return fmt.Errorf("preflight: errors: %d", n)
	}
	return nil
}

// surveyRendering is the form in which a survey is saved, by the file's name.
func surveyRendering(path string) (func(*survey.Survey) []byte, bool) {
	form, ok := map[string]func(*survey.Survey) []byte{
		".json": (*survey.Survey).JSON,
		".txt":  func(s *survey.Survey) []byte { return []byte(s.Text()) },
		".html": func(s *survey.Survey) []byte {
			var b bytes.Buffer
			_ = s.HTML(&b) // into memory: only its own template could fail
			return b.Bytes()
		},
	}[filepath.Ext(path)]
	return form, ok
}

// showStatus shows and saves how the cluster runs; an error among the findings fails.
func showStatus(ctx context.Context, o options, j job, stdout io.Writer) error {
	cluster, err := ha.New(ctx, j.config)
	if err != nil {
		return err
	}
	found, err := cluster.Survey(ctx, survey.Config{Transport: j.transport})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, found.Text()); err != nil {
		return err
	}
	for _, path := range o.save {
		form, _ := surveyRendering(path) // checked by parse
		if err := statedir.WriteFile(ctx, path, quorate.Public(form(found)), 0o600); err != nil {
			return err
		}
	}
	if !found.Sound() {
		return errors.New("status: the cluster is not as it should be, see the findings")
	}
	return nil
}

// dryRun shows and saves what a run would do; if some host fails, what is known
// of the others.
func dryRun(ctx context.Context, o options, j job, stdout io.Writer, observe func(plan.Event)) error {
	if err := tellUnfinished(ctx, j.journal, stdout); err != nil {
		return err
	}
	runner := plan.Runner{Transport: j.transport, Observe: observe}
	preview, err := runner.Preview(ctx, j.plan)
	_, printed := io.WriteString(stdout, preview.Text())
	if err = errors.Join(err, printed); err != nil {
		return err
	}
	for _, path := range o.save {
		form, _ := rendering(path) // checked by parse
		if err := statedir.WriteFile(ctx, path, quorate.Public([]byte(form(preview))), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// job is everything that is known before a host is touched.
type job struct {
	config    ha.Config
	plan      *plan.Plan
	ssh       *ssh.Transport
	transport transport.Transport
	// journal is nil if none is kept.
	journal *filejournal.Journal
	// keep names the run, if it can be undone.
	keep string
	// seen is the preview to apply, nil to do what is needed whatever it is.
	seen *plan.Preview
}

func (j job) run(ctx context.Context, observe func(plan.Event)) error {
	runner := plan.Runner{Transport: j.transport, Observe: observe, Operator: who(), BackupAs: j.keep}
	if j.journal != nil {
		runner.Journal = j.journal
	}
	if j.seen != nil {
		_, err := runner.Apply(ctx, j.plan, j.seen)
		return err
	}
	_, err := runner.Run(ctx, j.plan)
	return err
}

func prepare(ctx context.Context, o options) (job, error) {
	cluster, err := operator.ReadCluster(o.cluster)
	if err != nil {
		return job{}, err
	}
	j := job{keep: o.keep}
	if o.apply != "" {
		if j.seen, err = readPreview(o.apply); err != nil {
			return job{}, err
		}
	}
	if j.ssh, err = sshtargets.New(cluster, ssh.Config{
		Auth:     o.auth(),
		HostKeys: ssh.HostKeys{KnownHostsFiles: o.hostKeys()},
	}); err != nil {
		return job{}, err
	}
	j.transport = j.ssh
	if o.sudo {
		j.transport = sudo.New(j.ssh, sudo.Config{})
	}
	j.journal = o.openJournal()
	if err = o.alone(ctx, j.journal, func() (err error) {
		j.config, err = operator.Config(ctx, cluster, o.state)
		return err
	}); err != nil {
		return job{}, err
	}
	j.config.Untaint = o.untaint
	if j.config.Prerequisites, err = o.prerequisites(); err != nil {
		return job{}, err
	}
	for _, path := range o.manifests {
		yaml, err := operator.ReadFile(path)
		if err != nil {
			return job{}, err
		}
		j.config.Manifests = append(j.config.Manifests, ha.Manifest{
			Name: filepath.Base(path), Content: quorate.Sensitive(yaml), // a manifest may hold Secrets
		})
	}
	j.plan, err = o.plan(ctx, j.config)
	return j, err
}

func readPreview(path string) (*plan.Preview, error) {
	b, err := operator.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := plan.ParsePreview(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// warnings are what works and is unlikely to be wanted.
func warnings(c quorate.Cluster) quorate.Problems {
	return slices.Concat(c.Problems(), kubeadm.Problems(c)).Only(quorate.Warned)
}

func (o options) prerequisites() (software.Source, error) {
	switch {
	case o.images != "" && o.install == "present":
		images, err := operator.ReadImages(o.images)
		return images.Prerequisites(), err
	case o.images != "":
		return nil, errors.New("-images goes with -install present")
	case o.install == "present":
		return software.Present{}, nil
	case o.install == "packages":
		return software.Packages{}, nil
	}
	return nil, fmt.Errorf("-install %s: want present or packages", o.install)
}

// auth is what the user named, or else what ssh itself would try first.
func (o options) auth() ssh.Auth {
	if len(o.keys) > 0 {
		return ssh.Auth{KeyFiles: o.keys}
	}
	return ssh.Auth{AgentSocket: os.Getenv("SSH_AUTH_SOCK"), KeyFiles: inHome(".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa")}
}

func (o options) hostKeys() []string {
	if len(o.knownHosts) > 0 {
		return o.knownHosts
	}
	return inHome(".ssh/known_hosts")
}

// inHome returns those of the names that are in the home directory.
func inHome(names ...string) []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var found []string
	for _, name := range names {
		path := filepath.Join(home, name)
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}

func saveKubeconfig(ctx context.Context, j job, path string) error {
	config, err := ha.Kubeconfig(ctx, ha.KubeconfigConfig{Transport: j.transport, Cluster: j.config.Cluster})
	if err != nil {
		return err
	}
	return statedir.WriteFile(ctx, path, config, 0o600)
}
