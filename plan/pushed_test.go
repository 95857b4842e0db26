package plan_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// source is content that a test pushes; it knows how often it was opened and
// whether it was closed as often.
type source struct {
	text           string
	opened, closed atomic.Int32 // hosts are sent to side by side
}

func (s *source) open() (io.ReadCloser, error) {
	s.opened.Add(1)
	return struct {
		io.Reader
		io.Closer
	}{strings.NewReader(s.text), closer(func() error { s.closed.Add(1); return nil })}, nil
}

type closer func() error

func (c closer) Close() error { return c() }

func (s *source) payload(path string) plan.Payload {
	sum := sha256.Sum256([]byte(s.text))
	return plan.Payload{Path: path, SHA256: hex.EncodeToString(sum[:]), Open: s.open}
}

func TestPushedSendsOnlyWhatDiffers(t *testing.T) {
	paths := []string{"/usr/local/bin/same", "/usr/local/bin/new", "/usr/local/bin/old", "/etc/mode", "/etc/owner"}
	sources := map[string]*source{}
	var pushed plan.Pushed
	for _, path := range paths {
		sources[path] = &source{text: "content of " + path}
		f := sources[path].payload(path)
		if strings.HasPrefix(path, "/etc") {
			f.Mode = 0o644
		}
		f.SHA256 = strings.ToUpper(f.SHA256)
		pushed.Files = append(pushed.Files, f)
	}
	tr, h := fakeHost(t)
	h.AddUser("somebody", 1000)
	right := func(path string) transport.Data { return transport.Bytes([]byte(sources[path].text)) }
	require.NoError(t, h.Put(
		transport.File{Path: paths[0], Mode: 0o755, Data: right(paths[0])},
		transport.File{Path: paths[2], Mode: 0o755, Data: transport.Bytes([]byte("older"))},
		transport.File{Path: paths[3], Mode: 0o600, Data: right(paths[3])},
		transport.File{Path: paths[4], Mode: 0o644, Owner: "somebody", Group: "somebody", Data: right(paths[4])},
	))
	files := preparation(t, preparations(t, pushed, three()), "files")

	want := []string{
		"create /usr/local/bin/new", "update /usr/local/bin/old (content)", "update /etc/mode (mode 0600, want 0644)",
		"update /etc/owner (owner somebody, want root, group somebody, want root)",
	}
	diff, err := runOne(t, tr, files, true)
	require.NoError(t, err)
	require.Equal(t, want, changes(diff), "the dry run")
	require.Empty(t, did(h, 0))

	_, err = runOne(t, tr, files, false)
	require.NoError(t, err)
	require.Equal(t, []string{
		"upload /usr/local/bin/new (0755 root:root)", "upload /usr/local/bin/old (0755 root:root)",
		"upload /etc/mode (0644 root:root)", "upload /etc/owner (0644 root:root)",
	}, did(h, 0))
	for _, path := range paths {
		got, err := h.File(path)
		require.NoError(t, err)
		require.Equal(t, sources[path].text, string(got.Data.Bytes()))
		require.Equal(t, map[bool]fs.FileMode{true: 0o644, false: 0o755}[strings.HasPrefix(path, "/etc")], got.Mode)
		require.Equal(t, sources[path].opened.Load(), sources[path].closed.Load(), "%s is closed", path)
	}
	require.Zero(t, sources[paths[0]].opened.Load())

	before := len(h.Calls())
	diff, err = runOne(t, tr, files, false)
	require.NoError(t, err)
	require.Empty(t, diff)
	require.Empty(t, did(h, before), "the second run changes nothing")
}

// Content that is not what its hash says never replaces anything.
func TestPushedNeverPutsTheWrongContentInPlace(t *testing.T) {
	const path = "/usr/local/bin/kubeadm"
	right := &source{text: "the program"}
	wrong := right.payload(path)
	wrong.Open = (&source{text: "another program"}).open
	broken := right.payload(path)
	broken.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("the pro"), failing{})), nil
	}
	closed := right.payload(path)
	closed.Open = func() (io.ReadCloser, error) { return nil, errFailing }
	// Through commands too, as over SSH: the fake host's own Filer is hidden.
	for transportName, wrap := range map[string]func(transport.Transport) transport.Transport{
		"filer": func(t transport.Transport) transport.Transport { return t },
		"shell": func(t transport.Transport) transport.Transport { return withoutFiler{t} },
	} {
		for name, payload := range map[string]plan.Payload{"wrong": wrong, "broken": broken, "closed": closed} {
			t.Run(transportName+" "+name, func(t *testing.T) {
				tr, h := fakeHost(t)
				require.NoError(t, h.Put(transport.File{Path: path, Mode: 0o755, Data: transport.Bytes([]byte("what was there"))}))
				files := preparation(t, preparations(t, plan.Pushed{Files: []plan.Payload{payload}}, three()), "files")
				p, err := plan.New(plan.Step{ID: "push", Host: "cp-1", Action: files})
				require.NoError(t, err)
				_, err = (&plan.Runner{Transport: wrap(tr)}).Run(t.Context(), p)
				require.ErrorContains(t, err, path)
				if name == "wrong" {
					var hash *plan.HashError
					require.ErrorAs(t, err, &hash)
					sum := sha256.Sum256([]byte("another program"))
					require.Equal(t, plan.HashError{Path: path, Want: payload.SHA256, Got: hex.EncodeToString(sum[:])}, *hash)
				} else {
					require.ErrorIs(t, err, errFailing)
				}
				require.Equal(t, []string{path}, h.Files(), "nothing is left beside it")
				got, err := h.File(path)
				require.NoError(t, err)
				require.Equal(t, "what was there", string(got.Data.Bytes()))
			})
		}
	}
}

var errFailing = errors.New("the disk it comes from is gone")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }

// withoutFiler hides what a connection can do beside running commands.
type withoutFiler struct{ transport.Transport }

func (w withoutFiler) Dial(ctx context.Context, host string) (transport.Conn, error) {
	conn, err := w.Transport.Dial(ctx, host)
	return struct{ transport.Conn }{conn}, err
}

// containerd keeps images on a fake host, and imports what an archive names,
// a line each.
type containerd struct {
	images []string
	fail   bool
}

func (c *containerd) on(h *faketransport.Host) {
	const socket = "/var/run/containerd/containerd.sock"
	h.Handle(faketransport.Prefix("ctr", "images", "import", "--help"), faketransport.Reply("   --local  do not use the transfer service\n"))
	h.Handle(faketransport.Exact("ctr", "--address", socket, "--namespace", "k8s.io", "images", "ls", "--quiet"),
		func(_ context.Context, in faketransport.Invocation) error {
			return say(in, strings.Join(append(slices.Clone(c.images), ""), "\n"))
		})
	h.Handle(faketransport.Prefix("ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", "--local", "--digests=false"),
		func(ctx context.Context, in faketransport.Invocation) error {
			f, err := h.File(in.Argv[len(in.Argv)-1])
			if err != nil || c.fail {
				return faketransport.Fail(1, "ctr: unexpected EOF\n")(ctx, in)
			}
			c.images = append(c.images, strings.Fields(string(f.Data.Bytes()))...)
			return nil
		})
}

const archivePath = "/var/lib/quorate/images/node.tar"

func archive(names ...string) (*source, plan.ImageArchive) {
	s := &source{text: strings.Join(names, "\n")}
	return s, plan.ImageArchive{Payload: s.payload(archivePath), Names: names}
}

func TestPushedImportsOnlyMissingImages(t *testing.T) {
	begin := "run sh -c '# import an image archive...' sh /var/run/containerd/containerd.sock "
	imported := "exec ctr --address /var/run/containerd/containerd.sock --namespace k8s.io images import --local --digests=false "
	for name, tt := range map[string]struct {
		have   []string
		left   bool
		onHost bool
		diff   []string
		did    []string
	}{
		"all missing": {
			diff: []string{"import " + archivePath + " (registry.k8s.io/a:1)"},
			did: []string{"upload " + archivePath + " (0755 root:root)", begin + archivePath, imported + archivePath,
				"remove " + archivePath},
		},
		"one missing": {
			have: []string{"registry.k8s.io/a:1", "other:1"},
			diff: []string{"import " + archivePath + " (registry.k8s.io/b:1)"},
			did: []string{"upload " + archivePath + " (0755 root:root)", begin + archivePath, imported + archivePath,
				"remove " + archivePath},
		},
		"none missing": {have: []string{"registry.k8s.io/a:1", "registry.k8s.io/b:1"}},
		"none missing, and an interrupted run has left the archive": {
			have: []string{"registry.k8s.io/a:1", "registry.k8s.io/b:1"}, left: true,
			diff: []string{"remove " + archivePath + " (imported)"},
			did:  []string{"remove " + archivePath},
		},
		"on the host": {
			left: true, onHost: true,
			diff: []string{"import " + archivePath + " (registry.k8s.io/a:1)"},
			did:  []string{begin + archivePath, imported + archivePath},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr, h := fakeHost(t)
			c := &containerd{images: tt.have}
			c.on(h)
			s, a := archive("registry.k8s.io/a:1", "registry.k8s.io/b:1")
			if tt.left {
				require.NoError(t, h.Put(transport.File{Path: archivePath, Data: transport.Bytes([]byte(s.text))}))
			}
			if tt.onHost {
				a = plan.ImageArchive{Payload: plan.Payload{Path: archivePath}, OnHost: true, Names: a.Names}
			}
			action := preparation(t, preparations(t, plan.Pushed{Images: []plan.ImageArchive{a}}, three()), "images")
			diff, err := runOne(t, tr, action, true)
			require.NoError(t, err)
			require.Equal(t, tt.diff, changes(diff))
			require.Empty(t, did(h, 0), "the dry run")

			_, err = runOne(t, tr, action, false)
			require.NoError(t, err)
			require.Equal(t, tt.did, did(h, 0))
			require.Equal(t, tt.onHost, slices.Contains(h.Files(), archivePath), "what was sent is removed, what was there stays")
			require.Equal(t, s.opened.Load(), s.closed.Load())

			before := len(h.Calls())
			diff, err = runOne(t, tr, action, false)
			require.NoError(t, err)
			require.Empty(t, diff)
			require.Empty(t, did(h, before), "the second run changes nothing")
		})
	}
}

// The archive goes also when it was no use: when the import fails, and when
// the run is stopped while it lasts.
func TestPushedRemovesTheArchiveAfterAFailedImport(t *testing.T) {
	for name, tt := range map[string]struct {
		during func(stop func()) faketransport.Handler
		want   string
	}{
		"fails": {func(func()) faketransport.Handler { return faketransport.Fail(1, "ctr: unexpected EOF\n") }, "ctr: unexpected EOF"},
		"stopped": {func(stop func()) faketransport.Handler {
			return func(ctx context.Context, _ faketransport.Invocation) error {
				stop()
				<-ctx.Done()
				return ctx.Err()
			}
		}, context.Canceled.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			tr, h := fakeHost(t)
			(&containerd{}).on(h)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			h.Handle(faketransport.MatchFunc("an import", func(argv []string) bool {
				return slices.Contains(argv, "--digests=false") && argv[0] == "ctr"
			}), tt.during(stop))
			_, a := archive("registry.k8s.io/a:1")
			action := preparation(t, preparations(t, plan.Pushed{Images: []plan.ImageArchive{a}}, three()), "images")
			p, err := plan.New(plan.Step{ID: "images", Host: "cp-1", Action: action})
			require.NoError(t, err)
			_, err = (&plan.Runner{Transport: tr}).Run(ctx, p)
			require.ErrorContains(t, err, tt.want)
			require.Empty(t, h.Files())
		})
	}
}

// What an archive does not hold although it should is not believed.
func TestPushedFindsOutThatAnArchiveLacksAnImage(t *testing.T) {
	tr, h := fakeHost(t)
	(&containerd{}).on(h)
	_, a := archive("registry.k8s.io/a:1")
	a.Names = append(a.Names, "registry.k8s.io/missing:1")
	action := preparation(t, preparations(t, plan.Pushed{Images: []plan.ImageArchive{a}}, three()), "images")
	_, err := runOne(t, tr, action, false)
	var left *plan.NotConvergedError
	require.ErrorAs(t, err, &left)
	require.Equal(t, []string{"import " + archivePath + " (registry.k8s.io/missing:1)"}, changes(left.Left))
}

// What is for control planes goes to no worker, and the work is in its order:
// programs, their check, the runtime, images.
func TestPushedToControlPlanesOnly(t *testing.T) {
	s := &source{text: "x"}
	_, image := archive("registry.k8s.io/a:1")
	p := plan.Pushed{
		Files:              []plan.Payload{s.payload("/usr/local/bin/kubelet")},
		ControlPlaneFiles:  []plan.Payload{s.payload("/usr/local/bin/etcd")},
		ControlPlaneImages: []plan.ImageArchive{image},
	}
	c := three().WithDefaults()
	tr, h := fakeHost(t)
	for _, tt := range []struct {
		node  quorate.Node
		names []string
		files []string
	}{
		{c.Nodes[3], []string{"files", "binaries", "services"}, []string{"create /usr/local/bin/kubelet"}},
		{c.Nodes[0], []string{"files", "binaries", "services", "images"}, []string{"create /usr/local/bin/kubelet", "create /usr/local/bin/etcd"}},
	} {
		prepared, err := p.Prepare(c, tt.node)
		require.NoError(t, err)
		require.Equal(t, tt.names, preparationNames(prepared))
		diff, err := runOne(t, tr, preparation(t, prepared, "files"), true)
		require.NoError(t, err)
		require.Equal(t, tt.files, changes(diff))
	}
	require.Empty(t, h.Files())
	prepared := preparations(t, plan.Pushed{}, three())
	require.Equal(t, []string{"binaries", "services"}, preparationNames(prepared), "nothing to push, nothing to do")
}

func TestBadPayloadsAreRefusedAllAtOnce(t *testing.T) {
	s := &source{text: "x"}
	fine := s.payload("/usr/local/bin/fine")
	bad := plan.Payload{Path: "relative", Mode: fs.ModeSetuid | 0o755, SHA256: "abc"}
	unclean := s.payload("/a/../b")
	_, image := archive("registry.k8s.io/a:1")
	p := plan.Pushed{
		Files:              []plan.Payload{fine, bad},
		ControlPlaneFiles:  []plan.Payload{fine, unclean},
		Images:             []plan.ImageArchive{{}, {OnHost: true, Names: []string{"a"}, Payload: plan.Payload{Path: "x.tar"}}},
		ControlPlaneImages: []plan.ImageArchive{image, image},
	}
	c := three()
	c.Kubeadm.CRISocket = "unix:///run/crio/crio.sock"
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	cfg.Prerequisites = p
	_, err := plan.HA(cfg)
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
	require.Zero(t, s.opened.Load())

	d := c.WithDefaults()
	_, again := p.Prepare(d, d.Nodes[3])
	require.Equal(t, err.Error(), again.Error(), "whichever node is asked for")
}

// The air gap from bare hosts to a cluster, and again: over the fake cluster,
// with images that containerd lacks.
func TestPushedBringsUpACluster(t *testing.T) {
	c := three()
	hosts := fakeCluster(t, c)
	content := bytes.Repeat([]byte("layer"), 1<<16)
	s := &source{text: string(content)}
	image := plan.ImageArchive{Payload: s.payload(archivePath), Names: []string{"registry.k8s.io/pause:3.10"}}
	hosts.Archive(archivePath, image.Names...)
	cfg := config(t, c)
	cfg.Prerequisites = plan.Pushed{Files: []plan.Payload{s.payload("/opt/cni/bin/bridge")}, Images: []plan.ImageArchive{image}}
	p, err := plan.HA(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts, Parallel: 1}).Run(t.Context(), p)
	require.NoError(t, err)
	require.Len(t, hosts.Nodes(), 4)
	for _, n := range c.Nodes {
		require.NotContains(t, hosts.Host(n.Name).Files(), archivePath)
		require.Contains(t, hosts.Host(n.Name).Files(), "/opt/cni/bin/bridge")
	}
	require.EqualValues(t, 8, s.opened.Load(), "each of four hosts got the file and the archive once")
	again, err := (&plan.Runner{Transport: hosts, Parallel: 1}).Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, again.Changed())
	require.EqualValues(t, 8, s.opened.Load())
	require.EqualValues(t, 8, s.closed.Load())
}
