package ha

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/members"
	"github.com/quorate-dev/quorate/plan/ha/internal/roll"
	"github.com/quorate-dev/quorate/plan/ha/internal/settings"
	"github.com/quorate-dev/quorate/plan/ha/survey"
)

// ReconfigureConfig says how a running cluster is brought to other settings.
type ReconfigureConfig struct {
	// ReadyTimeout is how long a component, a kubelet or a certificate may take to be there
	// after a change, before its old file is put back. Default 2 minutes; at least one: the
	// kubelet lets a pod stop for 30 seconds, which a real API server takes, before it starts the next.
	ReadyTimeout time.Duration
}

const (
	defaultReadyTimeout = 2 * time.Minute
	minReadyTimeout     = time.Minute
)

// PlanReconfigure makes the plan that brings a running cluster to the described settings, those
// that survey.Fields has for the verb survey.Reconfigure: arguments, volumes and environment of
// API server, controller manager and scheduler; names in the API servers' certificates; fields of
// the kubelets and of kube-proxy; labels and taints (docs/settings.md).
//
//	facts, preflight, running, settings  as in Plan
//	drift               refuses, with a *survey.DriftError, what differs and is not brought about
//	                    by this plan
//	node-objects        labels and taints
//	serving-cert/NODE   kubeadm issues the certificate with new names; the API server reads it
//	                    without a restart
//	control-plane/NODE  the running programs parse their new arguments; kubeadm writes the
//	                    manifests that differ, one after another, and each is waited for
//	control-plane-last/NODE  the same for the VIP's holder, which is left out before
//	kubelet/NODE        the kubelet's file, and its restart; control planes first
//	kubelet-last/NODE   the same for the VIP's holder
//	kube-proxy          its ConfigMap and DaemonSet, by kubeadm, and its pods one after another
//	upload              kubeadm's ConfigMaps, last of all
//	ready, vip-look, vip-holder  as in Plan
//
// Control planes are taken one at a time, each only while every other API server is ready and every
// member of etcd answers. The first is the canary: what does not come back with its new settings
// has its old file again, no other host is touched, and the error is a *ComponentError with the
// last lines of its log. Like every plan it goes on from wherever an earlier run ended, and a second
// run changes nothing.
//
// Kubernetes 1.17 and later. The error names every problem of the ReconfigureConfig, and what of
// the description this plan cannot do.
func (c *Cluster) PlanReconfigure(o ReconfigureConfig) (*plan.Plan, error) {
	r, err := c.rendered()
	if err != nil {
		return nil, err
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = defaultReadyTimeout
	}
	if err := o.problems(r.c).Err("reconfigure"); err != nil {
		return nil, err
	}
	rc := &reconfiguration{recipe: r, ReconfigureConfig: o, described: r.described(), configs: map[string]quorate.Content{}}
	for _, n := range r.c.ControlPlanes() {
		if rc.configs[n.Name], err = r.initForm(n); err != nil {
			return nil, err
		}
	}
	p, err := plan.New(rc.steps()...)
	if err != nil {
		return nil, err
	}
	return p.WithSecrets(r.secrets()...), nil
}

func (o ReconfigureConfig) problems(c quorate.Cluster) quorate.Problems {
	var problems quorate.Problems
	if o.ReadyTimeout < minReadyTimeout {
		problems.Refuse("readyTimeout", "%v: want %v at least, or 0 for %v", o.ReadyTimeout, minReadyTimeout, defaultReadyTimeout)
	}
	if !c.Version.Has(quorate.ServingCertReload) {
		problems.Refuse("version", "%s: settings are changed from Kubernetes 1.17 on, whose API servers read their certificate again by themselves: "+
			"follow kubeadm's own procedure for this version", c.Version)
	}
	if c.Kubeadm.PatchesDir != "" {
		problems.Refuse("kubeadm.patchesDir", "what patches change cannot be compared with the description: follow kubeadm's own procedure (kubeadm-reconfigure)")
	}
	return problems
}

// reconfiguration is a change of settings.
type reconfiguration struct {
	*recipe
	ReconfigureConfig
	described survey.Described
	// configs are kubeadm's in the form of init, by control plane.
	configs map[string]quorate.Content
}

// initForm is kubeadm's configuration of a control plane as if it were the first.
func (r *recipe) initForm(n quorate.Node) (quorate.Content, error) {
	node := r.kubeadm[n.Name]
	if node.Config.Init == nil {
		c, secrets := r.c, r.Kubeadm
		secrets.CAHashes = r.certs.CAHashes
		c.Nodes = slices.DeleteFunc(slices.Clone(c.Nodes), func(o quorate.Node) bool { return o.Name == n.Name })
		c.Nodes = append([]quorate.Node{n}, c.Nodes...)
		nodes, err := kubeadm.Nodes(c, secrets)
		if err != nil {
			return quorate.Content{}, err
		}
		node = nodes[0]
		node.Config.Init.CertSANs = r.kubeadm[r.first.Name].Config.Init.CertSANs // in one order
	}
	return node.Config.YAML()
}

func (rc *reconfiguration) steps() []plan.Step {
	j := rc.judge()
	steps := slices.Concat(j.Steps(rc.c.Nodes), rc.driftSteps())
	drift := &steps[len(steps)-1]
	drift.After = append(drift.After, StepPreflight)
	drift.Action = rc.described.Verdict(survey.Reconfigure)
	api := settings.API{Described: rc.described, URL: rc.localURL(rc.first), List: rc.listNodes(rc.first)}
	steps = append(steps, plan.Step{
		ID: StepNodeObjects, Title: "set labels and taints", Host: rc.first.Name, After: []plan.ID{StepDrift}, Action: settings.NodeObjects{API: api},
	})
	last := StepNodeObjects
	add := func(s plan.Step) {
		s.After, last = append(s.After, last), s.ID
		steps = append(steps, s)
	}
	for _, n := range rc.c.ControlPlanes() {
		add(plan.Step{
			ID: StepServingCert.On(n.Name), Title: "issue the API server's certificate", Host: n.Name, Timeout: rc.ReadyTimeout + 5*time.Minute, Locks: []string{rolling},
			Action: settings.ServingCertificate{
				Described: rc.described, Node: n, Config: rc.configs[n.Name], Phase: initPhase("certs", "apiserver"),
				URL: rc.localURL(n) + quorate.ReadyPath(rc.c.Version), Patience: rc.ReadyTimeout,
			},
		})
	}
	turns := func(first, second NodeStep, title string, timeout time.Duration, work func(quorate.Node) roll.Work) {
		for _, pass := range []struct {
			step NodeStep
			last bool
		}{{first, false}, {second, true}} {
			for _, n := range rc.c.ControlPlanes() {
				add(plan.Step{
					ID: pass.step.On(n.Name), Title: title, Host: n.Name, Timeout: timeout, Locks: []string{rolling},
					Action: rc.turn(n, work(n), pass.last),
				})
			}
		}
	}
	const others = 5 * time.Minute // for what is not waited for by ReadyTimeout
	turns(StepControlPlane, StepControlPlaneLast, "run the control plane's components", 6*rc.ReadyTimeout+others, rc.staticPods)
	turns(StepKubelet, StepKubeletLast, "run the kubelet", 2*rc.ReadyTimeout+others, rc.kubelet)
	for _, n := range rc.c.Nodes {
		if n.Role == quorate.Worker {
			add(plan.Step{
				ID: StepKubelet.On(n.Name), Title: "run the kubelet", Host: n.Name, Alone: true, Timeout: 2*rc.ReadyTimeout + others,
				After: []plan.ID{StepRunning.On(n.Name)}, Action: rc.kubelet(n),
			})
		}
	}
	config := rc.configs[rc.first.Name]
	add(plan.Step{
		ID: StepKubeProxy, Title: "run kube-proxy", Host: rc.first.Name, Timeout: 10 * time.Minute,
		Action: settings.Proxy{API: api, Config: config, Phase: initPhase("addon", "kube-proxy")},
	})
	add(plan.Step{
		ID: StepUpload, Title: "keep the settings in the cluster", Host: rc.first.Name,
		Action: settings.Upload{API: api, Config: config, Phases: []settings.Phase{
			{ConfigMap: "kubeadm-config", Argv: initPhase("upload-config", "kubeadm"), Fields: []string{
				"kubeadm.apiServer", "kubeadm.controllerManager", "kubeadm.scheduler", "kubeadm.certSANs", "endpoint.vip.",
			}},
			{ConfigMap: kubeletConfigMap(rc.c.Version), Argv: initPhase("upload-config", "kubelet"), Fields: []string{"kubeadm.kubelet["}},
		}},
	})
	add(rc.readyStep(nil))
	return append(steps, rc.holderSteps()...)
}

// kubeletConfigMap is where kubeadm keeps the kubelets' configuration
// (cmd/kubeadm/app/constants: without the minor from 1.24 on).
func kubeletConfigMap(v quorate.Version) string {
	if v.Has(quorate.ControlPlaneTaint) { // both are of 1.24
		return "kubelet-config"
	}
	return fmt.Sprintf("kubelet-config-%d.%d", v.Major, v.Minor)
}

// rolling is held by whatever takes an API server away for a moment.
const rolling = "rolling"

func initPhase(words ...string) []string {
	return append([]string{"kubeadm", "init", "phase"}, words...)
}

// turn is a control plane's in a roll.
func (rc *reconfiguration) turn(n quorate.Node, work roll.Work, last bool) roll.Turn {
	t := roll.Turn{Work: work, Last: last}
	if !rc.c.Endpoint.External {
		t.VIP = rc.c.Endpoint.Address()
	}
	for _, o := range rc.c.ControlPlanes() {
		if o.Name != n.Name {
			t.Others = append(t.Others, rc.localURL(o)+quorate.ReadyPath(rc.c.Version))
		}
	}
	if !rc.c.Etcd.Stacked {
		t.Etcd = members.Healthy{TLS: rc.etcdTLS, Members: rc.members}
	}
	return t
}

func (rc *reconfiguration) kubelet(n quorate.Node) roll.Work {
	return settings.Kubelet{Described: rc.described, Node: n, Patience: rc.ReadyTimeout}
}

// The ports where the controller manager and the scheduler say that they are well, as they have
// them by themselves (cmd/kube-controller-manager/app/options, pkg/scheduler/apis/config).
const (
	controllerManagerPort = 10257
	schedulerPort         = 10259
)

func (rc *reconfiguration) staticPods(n quorate.Node) roll.Work {
	i := rc.described.Init
	return settings.StaticPods{
		Described: rc.described, Node: n, Config: rc.configs[n.Name], Patience: rc.ReadyTimeout,
		Pods: []settings.StaticPod{
			{
				Name: "kube-apiserver", Fields: []string{"kubeadm.apiServer", "endpoint.vip."}, Phase: initPhase("control-plane", "apiserver"),
				Args: flags(i.APIServer.Args), Health: rc.localURL(n) + quorate.ReadyPath(rc.c.Version),
			},
			{
				Name: "kube-controller-manager", Fields: []string{"kubeadm.controllerManager"}, Phase: initPhase("control-plane", "controller-manager"),
				Args: flags(i.ControllerManager.Args), Health: health(i.ControllerManager.Args, controllerManagerPort),
			},
			{
				Name: "kube-scheduler", Fields: []string{"kubeadm.scheduler"}, Phase: initPhase("control-plane", "scheduler"),
				Args: flags(i.Scheduler.Args), Health: health(i.Scheduler.Args, schedulerPort),
			},
		},
	}
}

func flags(args kubeadm.Args) []string {
	var out []string
	for _, a := range args {
		out = append(out, "--"+a.Name+"="+a.Value)
	}
	return out
}

// health is where a component answers on its own host: kubeadm has it listen on loopback.
func health(args kubeadm.Args, port int) string {
	host, at := "127.0.0.1", strconv.Itoa(port)
	if set, ok := args.Value("bind-address"); ok && set != "0.0.0.0" && set != "::" {
		host = set
	}
	if set, ok := args.Value("secure-port"); ok {
		at = set
	}
	return "https://" + net.JoinHostPort(host, at) + "/healthz"
}
