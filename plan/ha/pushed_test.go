package ha_test

import (
	"bytes"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
)

func TestPayloadProblems(t *testing.T) {
	s := &hafixture.Source{Text: "x"}
	fine := s.Payload("/usr/local/bin/fine")
	bad := software.Payload{Path: "relative", Mode: fs.ModeSetuid | 0o755, SHA256: "abc"}
	unclean := s.Payload("/a/../b")
	_, image := hafixture.Archive("registry.k8s.io/a:1")
	p := software.Pushed{
		Files:              []software.Payload{fine, bad},
		ControlPlaneFiles:  []software.Payload{fine, unclean},
		Images:             []software.ImageArchive{{}, {OnHost: true, Names: []string{"a"}, Payload: software.Payload{Path: "x.tar"}}},
		ControlPlaneImages: []software.ImageArchive{image, image},
	}
	c := hafixture.Three()
	c.Kubeadm.CRISocket = "unix:///run/crio/crio.sock"
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	cfg.Prerequisites = p
	_, err := planFor(cfg)
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, problem := range invalid.Problems {
		paths = append(paths, problem.Path)
	}
	require.Equal(t, []string{
		"files[1].path", "files[1].mode", "files[1].sha256", "files[1].open",
		"controlPlaneFiles[0].path", "controlPlaneFiles[1].path",
		"images[0].path", "images[0].sha256", "images[0].open", "images[0].names", "images[1].path", "images",
		"controlPlaneImages[1].path", "controlPlaneImages",
	}, paths)
	require.ErrorContains(t, err, "/usr/local/bin/fine is that of files[0] too")
	require.ErrorContains(t, err, "put them into the runtime's own store yourself")
	require.Empty(t, hosts.Calls(), "no host is contacted")
	require.Zero(t, s.Opened.Load())

	d := c.WithDefaults()
	_, again := p.Prepare(d, d.Nodes[3])
	require.Equal(t, err.Error(), again.Error(), "whichever node it is for")
}

// The air gap from bare hosts to a cluster, and again: over the fake cluster,
// with images that containerd lacks.
func TestPushedBringsUpACluster(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	content := bytes.Repeat([]byte("layer"), 1<<16)
	s := &hafixture.Source{Text: string(content)}
	image := software.ImageArchive{Payload: s.Payload(hafixture.ArchivePath), Names: []string{"registry.k8s.io/pause:3.10"}}
	hosts.Archive(hafixture.ArchivePath, image.Names...)
	cfg := config(t, c)
	cfg.Prerequisites = software.Pushed{Files: []software.Payload{s.Payload("/opt/cni/bin/bridge")}, Images: []software.ImageArchive{image}}
	p, err := planFor(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts, Parallel: 1}).Run(t.Context(), p)
	require.NoError(t, err)
	require.Len(t, hosts.Nodes(), 4)
	for _, n := range c.Nodes {
		require.NotContains(t, hosts.Host(n.Name).Files(), hafixture.ArchivePath)
		require.Contains(t, hosts.Host(n.Name).Files(), "/opt/cni/bin/bridge")
	}
	require.EqualValues(t, 8, s.Opened.Load(), "each of four hosts got the file and the archive once")
	again, err := (&plan.Runner{Transport: hosts, Parallel: 1}).Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, again.Changed())
	require.EqualValues(t, 8, s.Opened.Load())
	require.EqualValues(t, 8, s.Closed.Load())
}
