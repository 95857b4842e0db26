package settings

import (
	"bytes"
	"context"
	"slices"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
)

// unfinished is the reason to do what an earlier run has begun.
const unfinished = "an earlier run has not come to its end"

// stdin is where kubeadm finds its configuration: a token is in it, and no host need keep it.
const stdin = "/dev/stdin"

// phase is a command of kubeadm that reads a configuration.
func phase(argv []string) plan.Command {
	return plan.Command{Argv: append(slices.Clone(argv), "--config", stdin), Stdin: "kubeadm's configuration, in the form of init"}
}

// runPhase runs one.
func runPhase(ctx context.Context, h *plan.Host, argv []string, config quorate.Content) error {
	_, err := h.RunInput(ctx, bytes.NewReader(config.Bytes()), phase(argv).Argv...)
	return err
}

func kubectl(url string, args ...string) []string {
	return kube.Kubectl(append([]string{"--server", url}, args...)...)
}
