package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
)

// survivors only looks: it refuses, before anything is done to a host, what would
// leave those that stay unable to act. Its host is one of them.
type survivors struct {
	others
	// going are the members that leave, in their order.
	going []string
	// api is where the API server of this host tells its health.
	api string
	// vip says that keepalived has to run here.
	vip bool
}

// survivorScript asks the API server at $1 and keepalived of this host.
const survivorScript = `# could the cluster do with this host?
if curl --silent --insecure --connect-timeout 2 --max-time 10 "$1" 2>/dev/null | grep -q '^ok'; then echo api=ok; fi
echo "keepalived=$(systemctl is-active keepalived.service 2>/dev/null)"
`

// Check gives a *QuorumError or a *HostError, and no Diff.
func (s survivors) Check(ctx context.Context, h *Host) (Diff, error) {
	out, err := h.Script(ctx, survivorScript, s.api)
	if err != nil {
		return nil, err
	}
	var faults []HostFault
	f := fields(out)
	if f["api"] != "ok" {
		faults = append(faults, HostFault{
			Found: "the API server at " + s.api + " is not well, and it is to act for the cluster",
			Do:    "bring this control plane back, or choose another with Via",
		})
	}
	if s.vip && len(s.going) > 0 && f["keepalived"] != "active" {
		faults = append(faults, HostFault{
			Found: fmt.Sprintf("keepalived is %s here, and the VIP would have nowhere to go", f["keepalived"]),
			Do:    "run the HA recipe first, or choose another control plane with Via",
		})
	}
	if len(faults) > 0 {
		return nil, &HostError{Host: h.Name, Faults: faults}
	}
	if len(s.going) == 0 {
		return nil, nil
	}
	return nil, s.ask(h, true, func(client *etcdclient.Client) error {
		status, err := client.Status(ctx)
		if err != nil {
			return err
		}
		return s.judge(status)
	})
}

func (s survivors) judge(status etcdclient.Status) error {
	if !status.Quorum() {
		return &QuorumError{Member: s.going[0], Err: status.Err()}
	}
	var going []etcdclient.Member
	for _, name := range s.going {
		one := s.others
		one.self = etcdPeer{name: name}
		for _, p := range s.peers {
			if p.name == name {
				one.self = p
			}
		}
		if m, ok := one.find(status.Members); ok {
			going = append(going, m)
		}
	}
	return spares(status, going...)
}

// Apply is never called: Check finds either nothing or an error.
func (survivors) Apply(context.Context, *Host, Diff) error { return nil }

// Describe gives the members.
func (s survivors) Describe() Description {
	d := s.describe()
	d.Inputs = append(d.Inputs, input(s.going...), input(s.api, fmt.Sprint(s.vip)))
	return d
}

// cordonState asks for a node: "", or its name and whether it is cordoned.
func cordonState(ctx context.Context, h *Host, name string) ([]string, error) {
	out, err := h.Run(ctx, kubectl("get", "node", name, "--ignore-not-found", "-o", `jsonpath={.metadata.name}{" "}{.spec.unschedulable}`)...)
	return strings.Fields(string(out)), err
}

// cordon keeps new pods from a node, if there is one.
type cordon struct{ node string }

// Check asks the API server.
func (c cordon) Check(ctx context.Context, h *Host) (Diff, error) {
	state, err := cordonState(ctx, h, c.node)
	if err != nil || len(state) == 0 || len(state) == 2 && state[1] == "true" {
		return nil, err
	}
	return Diff{{Verb: "cordon", Subject: "node " + c.node}}, nil
}

func (c cordon) argv() []string { return kubectl("cordon", c.node) }

// Apply cordons it.
func (c cordon) Apply(ctx context.Context, h *Host, _ Diff) error {
	_, err := h.Run(ctx, c.argv()...)
	return err
}

// Describe gives the node.
func (c cordon) Describe() Description { return Description{Inputs: []quorate.Content{input(c.node)}} }

// Commands cordons it.
func (c cordon) Commands(context.Context, *Host, Diff) ([]Command, error) {
	return []Command{{Argv: c.argv()}}, nil
}

// forget deletes a node's object. Its kubelet, which would make it anew, has to
// be stopped before.
type forget struct{ node string }

// Check asks the API server.
func (f forget) Check(ctx context.Context, h *Host) (Diff, error) {
	state, err := cordonState(ctx, h, f.node)
	if err != nil || len(state) == 0 {
		return nil, err
	}
	return Diff{{Verb: "remove", Subject: "node " + f.node, Disruptive: true}}, nil
}

func (f forget) argv() []string { return kubectl("delete", "node", f.node, "--ignore-not-found") }

// Apply deletes it.
func (f forget) Apply(ctx context.Context, h *Host, _ Diff) error {
	_, err := h.Run(ctx, f.argv()...)
	return err
}

// Describe gives the node.
func (f forget) Describe() Description { return Description{Inputs: []quorate.Content{input(f.node)}} }

// Commands deletes it.
func (f forget) Commands(context.Context, *Host, Diff) ([]Command, error) {
	return []Command{{Argv: f.argv()}}, nil
}

// unbootstrap is kubeadm reset, and what it leaves of what the recipe gave it.
type unbootstrap struct {
	argv  []string
	files []string
	keep  bool
}

// resetState prints what there is for kubeadm reset to do. Its arguments are
// further paths to look at.
const resetState = `# is anything of kubeadm left here?
echo "mark=$(cat /var/lib/quorate/kubeadm.state 2>/dev/null)"
if grep -qx kubeadm /proc/[0-9]*/comm 2>/dev/null; then echo running=yes; fi
for f in /etc/kubernetes/*.conf /etc/kubernetes/manifests/*.yaml /etc/kubernetes/pki /var/lib/kubelet/config.yaml "$@"; do
	if [ -e "$f" ]; then
		echo "left=$f"
		exit 0
	fi
done
`

func (u unbootstrap) state(ctx context.Context, h *Host) (map[string]string, error) {
	out, err := h.Script(ctx, resetState, u.files...)
	return fields(out), err
}

// Check looks for files of kubeadm's and for the mark of a reset that was begun.
func (u unbootstrap) Check(ctx context.Context, h *Host) (Diff, error) {
	f, err := u.state(ctx, h)
	if err != nil {
		return nil, err
	}
	c := Change{Verb: "run", Subject: strings.Join(u.argv[:2], " "), Disruptive: true}
	switch {
	case f["mark"] == markReset:
		c.Detail = "an earlier run ended before it was complete"
	case f["left"] != "":
		c.Detail = "there is " + f["left"]
	case f["mark"] != "":
		c.Detail = "kubeadm was run here"
	default:
		return nil, nil
	}
	return Diff{c}, nil
}

const (
	// keepScript copies $1 to $2 as a whole, or leaves what is there.
	keepScript = `# keep the keys and certificates
set -e
if ! [ -d "$1" ]; then exit 0; fi
mkdir -p -m 0700 "${2%/*}"
rm -rf "$2.new"
cp -a "$1" "$2.new"
rm -rf "$2"
mv "$2.new" "$2"
`
	// afterReset takes away what kubeadm reset leaves of what it was given, and
	// last of all the mark. Its arguments are files.
	afterReset = `# remove what kubeadm was given
set -e
rm -rf /etc/kubernetes/pki /var/lib/kubelet/config.yaml /etc/kubernetes/tmp
rm -f "$@"
systemctl daemon-reload
rm -f /var/lib/quorate/kubeadm.state
`
)

// Apply waits for a kubeadm of an earlier run, keeps what is to be kept, says that
// it begins, and resets. What has been begun has kept everything already: now
// part of it may be gone.
func (u unbootstrap) Apply(ctx context.Context, h *Host, _ Diff) error {
	f, err := u.state(ctx, h)
	for err == nil && f["running"] == "yes" {
		h.Report("waiting for the kubeadm that an earlier run began")
		if !wait(ctx, bootstrapPoll) {
			return ctx.Err()
		}
		f, err = u.state(ctx, h)
	}
	if err != nil {
		return err
	}
	if f["mark"] != markReset {
		if u.keep {
			if _, err := h.Script(ctx, keepScript, "/etc/kubernetes/pki", KeptDir+"/kubernetes-pki"); err != nil {
				return err
			}
		}
		if err := h.Write(ctx, asTransport([]quorate.File{mark(markReset)})...); err != nil {
			return err
		}
	}
	if _, err := h.Run(ctx, u.argv...); err != nil {
		return err
	}
	_, err = h.Script(ctx, afterReset, u.files...)
	return err
}

// Describe gives the command and the files.
func (u unbootstrap) Describe() Description {
	return Description{Inputs: []quorate.Content{input(u.argv...), input(u.files...), input(fmt.Sprint(u.keep))}}
}

// Commands is kubeadm reset.
func (u unbootstrap) Commands(context.Context, *Host, Diff) ([]Command, error) {
	return []Command{{Argv: u.argv}}, nil
}

// removal stops units, keeps some files aside and removes others.
type removal struct {
	units []string
	// wait, if not empty, is a URL that must tell "ok" once the units have stopped.
	wait  string
	keep  []aside
	paths []string // files, and directories with all that is in them
	dirs  []string // directories that go if they are empty
}

// aside moves a file or a directory.
type aside struct{ from, to string }

// leftScript prints each of its arguments that is left, a pair of a kind and a
// name.
const leftScript = `# what is left here?
while [ $# -gt 0 ]; do
	case "$1" in
	unit)
		case "$(systemctl is-active "$2" 2>/dev/null)" in
		active | activating | reloading | deactivating) echo "unit $2" ;;
		*) case "$(systemctl is-enabled "$2" 2>/dev/null)" in enabled*) echo "unit $2" ;; esac ;;
		esac
		;;
	*) if [ -e "$2" ] || [ -L "$2" ]; then echo "path $2"; fi ;;
	esac
	shift 2
done
`

// removeScript does it, by triples of a verb and what it is done to.
const removeScript = `# stop units and remove files
set -e
while [ $# -gt 0 ]; do
	case "$1" in
	unit)
		if systemctl show --property=LoadState "$2" | grep -q '^LoadState=loaded'; then
			systemctl stop "$2"
			systemctl --quiet disable "$2"
		fi
		;;
	wait)
		tries=100
		until curl --silent --insecure --connect-timeout 1 --max-time 2 "$2" 2>/dev/null | grep -q '^ok'; do
			tries=$((tries - 1))
			if [ "$tries" -eq 0 ]; then
				echo "no other host answers at $2" >&2
				exit 1
			fi
			sleep 0.2
		done
		;;
	keep)
		if [ -e "$2" ]; then
			mkdir -p -m 0700 "${3%/*}"
			rm -rf "$3"
			mv "$2" "$3"
		fi
		;;
	path) rm -rf "$2" ;;
	dir) rmdir "$2" 2>/dev/null || : ;;
	esac
	shift 3
done
systemctl daemon-reload
`

func (r removal) leftArgs() []string {
	var args []string
	for _, u := range r.units {
		args = append(args, "unit", u)
	}
	for _, a := range r.keep {
		args = append(args, "path", a.from)
	}
	for _, p := range r.paths {
		args = append(args, "path", p)
	}
	return args
}

// Check says what is left.
func (r removal) Check(ctx context.Context, h *Host) (Diff, error) {
	out, err := h.Script(ctx, leftScript, r.leftArgs()...)
	if err != nil {
		return nil, err
	}
	var diff Diff
	for line := range strings.Lines(string(out)) {
		kind, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		i := slices.IndexFunc(r.keep, func(a aside) bool { return a.from == name })
		switch {
		case kind == "unit":
			diff = append(diff, Change{Verb: "stop", Subject: "unit " + name, Disruptive: true})
		case i >= 0:
			diff = append(diff, Change{Verb: "keep", Subject: name, Detail: "as " + r.keep[i].to})
		default:
			diff = append(diff, Change{Verb: "remove", Subject: name})
		}
	}
	return diff, nil
}

// Apply does all of it, in one round trip.
func (r removal) Apply(ctx context.Context, h *Host, _ Diff) error {
	var args []string
	for _, u := range r.units {
		args = append(args, "unit", u, "")
	}
	if r.wait != "" {
		args = append(args, "wait", r.wait, "")
	}
	for _, a := range r.keep {
		args = append(args, "keep", a.from, a.to)
	}
	for _, p := range r.paths {
		args = append(args, "path", p, "")
	}
	for _, d := range r.dirs {
		args = append(args, "dir", d, "")
	}
	_, err := h.Script(ctx, removeScript, args...)
	return err
}

// Describe gives the units and the paths.
func (r removal) Describe() Description {
	d := Description{Inputs: []quorate.Content{input(r.units...), input(r.paths...), input(r.dirs...), input(r.wait)}}
	for _, a := range r.keep {
		d.Inputs = append(d.Inputs, input(a.from, a.to))
	}
	return d
}

// Commands stops the units.
func (r removal) Commands(_ context.Context, _ *Host, d Diff) ([]Command, error) {
	var out []Command
	for _, u := range r.units {
		if d.changes("unit " + u) {
			out = append(out, command("systemctl", "stop", u), command("systemctl", "disable", u))
		}
	}
	return out, nil
}
