package kube

import (
	"context"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/plan/internal/poll"
)

// Reset is kubeadm reset, and what it leaves of what the recipe gave it.
type Reset struct {
	Argv  []string
	Files []string
	// keep is where keys and certificates are kept, empty if they are not.
	KeepAt string
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

func (u Reset) state(ctx context.Context, h *plan.Host) (map[string]string, error) {
	out, err := h.Script(ctx, resetState, u.Files...)
	return keyval.Parse(out), err
}

// Check looks for files of kubeadm's and for the mark of a reset that was begun.
func (u Reset) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	f, err := u.state(ctx, h)
	if err != nil {
		return nil, err
	}
	c := plan.Change{Verb: "run", Subject: strings.Join(u.Argv[:2], " "), Disruptive: true}
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
	return plan.Diff{c}, nil
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
func (u Reset) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	f, err := u.state(ctx, h)
	for err == nil && f["running"] == "yes" {
		h.Report("waiting for the kubeadm that an earlier run began")
		if !poll.Wait(ctx, bootstrapPoll) {
			return ctx.Err()
		}
		f, err = u.state(ctx, h)
	}
	if err != nil {
		return err
	}
	if f["mark"] != markReset {
		if u.KeepAt != "" {
			if _, err := h.Script(ctx, keepScript, "/etc/kubernetes/pki", u.KeepAt); err != nil {
				return err
			}
		}
		if err := h.WriteFiles(ctx, mark(markReset)); err != nil {
			return err
		}
	}
	if _, err := h.Run(ctx, u.Argv...); err != nil {
		return err
	}
	_, err = h.Script(ctx, afterReset, u.Files...)
	return err
}

// Describe gives the command and the files.
func (u Reset) Describe() plan.Description {
	return plan.Description{Inputs: []quorate.Content{plan.InputText(u.Argv...), plan.InputText(u.Files...), plan.InputText(u.KeepAt)}}
}

// Commands is kubeadm reset.
func (u Reset) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: u.Argv}}, nil
}

// Reads gives the script.
func (u Reset) Reads() plan.Reads { return plan.ReadsOf(plan.Script(resetState, u.Files...)) }
