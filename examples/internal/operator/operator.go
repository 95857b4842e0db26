// Package operator is what the example programs share: reading files of an
// operator's, and making a recipe's input of them.
package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan/clusterfile"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
)

// maxFile is far above every file that an operator hands in, manifests included.
const maxFile = 64 << 20

// ReadFile reads a regular file of an operator's, and not one without end.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: has more than %d bytes", path, maxFile)
	}
	return b, nil
}

// ReadCluster reads a description and refuses it with every problem at once.
func ReadCluster(path string) (quorate.Cluster, error) {
	data, err := ReadFile(path)
	if err != nil {
		return quorate.Cluster{}, err
	}
	c, err := clusterfile.Load(data)
	if err != nil {
		return quorate.Cluster{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Config makes a recipe's input from a description and its state directory. An
// empty dir keeps nothing.
func Config(ctx context.Context, c quorate.Cluster, dir string) (ha.Config, error) {
	var state *statedir.State
	var err error
	if dir == "" {
		state, err = statedir.New(c, statedir.Config{})
	} else {
		state, err = statedir.Load(ctx, dir, c, statedir.Config{})
	}
	if err != nil {
		return ha.Config{}, err
	}
	return ha.Config{
		Cluster: c, Certs: state.Certs, Kubeadm: kubeadm.Secrets{Token: state.Token}, VIPAuth: state.VIPAuth,
	}, nil
}
