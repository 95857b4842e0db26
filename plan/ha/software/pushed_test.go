package software_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

func TestPushedSendsOnlyWhatDiffers(t *testing.T) {
	paths := []string{"/usr/local/bin/same", "/usr/local/bin/new", "/usr/local/bin/old", "/etc/mode", "/etc/owner"}
	sources := map[string]*hafixture.Source{}
	var pushed software.Pushed
	for _, path := range paths {
		sources[path] = &hafixture.Source{Text: "content of " + path}
		f := sources[path].Payload(path)
		if strings.HasPrefix(path, "/etc") {
			f.Mode = 0o644
		}
		f.SHA256 = strings.ToUpper(f.SHA256)
		pushed.Files = append(pushed.Files, f)
	}
	tr, h := fixture.FakeHost(t)
	h.AddUser("somebody", 1000)
	right := func(path string) transport.Data { return transport.Bytes([]byte(sources[path].Text)) }
	require.NoError(t, h.Put(
		transport.File{Path: paths[0], Mode: 0o755, Data: right(paths[0])},
		transport.File{Path: paths[2], Mode: 0o755, Data: transport.Bytes([]byte("older"))},
		transport.File{Path: paths[3], Mode: 0o600, Data: right(paths[3])},
		transport.File{Path: paths[4], Mode: 0o644, Owner: "somebody", Group: "somebody", Data: right(paths[4])},
	))
	files := hafixture.Preparation(t, hafixture.Preparations(t, pushed, hafixture.Three()), "files")

	want := []string{
		"create /usr/local/bin/new", "update /usr/local/bin/old (content)", "update /etc/mode (mode 0600, want 0644)",
		"update /etc/owner (owner somebody, want root, group somebody, want root)",
	}
	diff, err := hafixture.RunOne(t, tr, files, true)
	require.NoError(t, err)
	require.Equal(t, want, hafixture.Changes(diff), "the dry run")
	require.Empty(t, did(h, 0))

	_, err = hafixture.RunOne(t, tr, files, false)
	require.NoError(t, err)
	require.Equal(t, []string{
		"upload /usr/local/bin/new (0755 root:root)", "upload /usr/local/bin/old (0755 root:root)",
		"upload /etc/mode (0644 root:root)", "upload /etc/owner (0644 root:root)",
	}, did(h, 0))
	for _, path := range paths {
		got, err := h.File(path)
		require.NoError(t, err)
		require.Equal(t, sources[path].Text, string(got.Data.Bytes()))
		require.Equal(t, map[bool]fs.FileMode{true: 0o644, false: 0o755}[strings.HasPrefix(path, "/etc")], got.Mode)
		require.Equal(t, sources[path].Opened.Load(), sources[path].Closed.Load(), "%s is closed", path)
	}
	require.Zero(t, sources[paths[0]].Opened.Load())

	before := len(h.Calls())
	diff, err = hafixture.RunOne(t, tr, files, false)
	require.NoError(t, err)
	require.Empty(t, diff)
	require.Empty(t, did(h, before), "the second run changes nothing")
}

// Content that is not what its hash says never replaces anything.
func TestPushedWrongContent(t *testing.T) {
	const path = "/usr/local/bin/kubeadm"
	right := &hafixture.Source{Text: "the program"}
	wrong := right.Payload(path)
	wrong.Open = (&hafixture.Source{Text: "another program"}).Open
	broken := right.Payload(path)
	broken.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("the pro"), failing{})), nil
	}
	closed := right.Payload(path)
	closed.Open = func() (io.ReadCloser, error) { return nil, errFailing }
	// Through commands too, as over SSH: the fake host's own Filer is hidden.
	for transportName, wrap := range map[string]func(transport.Transport) transport.Transport{
		"filer": func(t transport.Transport) transport.Transport { return t },
		"shell": func(t transport.Transport) transport.Transport { return withoutFiler{t} },
	} {
		for name, payload := range map[string]software.Payload{"wrong": wrong, "broken": broken, "closed": closed} {
			t.Run(transportName+" "+name, func(t *testing.T) {
				tr, h := fixture.FakeHost(t)
				require.NoError(t, h.Put(transport.File{Path: path, Mode: 0o755, Data: transport.Bytes([]byte("what was there"))}))
				files := hafixture.Preparation(t, hafixture.Preparations(t, software.Pushed{Files: []software.Payload{payload}}, hafixture.Three()), "files")
				p, err := plan.New(plan.Step{ID: "push", Host: "cp-1", Action: files})
				require.NoError(t, err)
				_, err = (&plan.Runner{Transport: wrap(tr)}).Run(t.Context(), p)
				require.ErrorContains(t, err, path)
				if name == "wrong" {
					var hash *software.HashError
					require.ErrorAs(t, err, &hash)
					sum := sha256.Sum256([]byte("another program"))
					require.Equal(t, software.HashError{Path: path, Want: payload.SHA256, Got: hex.EncodeToString(sum[:])}, *hash)
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

func TestPushedImportsOnlyMissingImages(t *testing.T) {
	begin := "run sh -c '# import an image archive...' sh " + hafixture.ArchivePath + " /var/run/containerd/containerd.sock"
	imported := "exec ctr --address /var/run/containerd/containerd.sock --namespace k8s.io images import --local --digests=false "
	for name, tt := range map[string]struct {
		have   []string
		left   bool
		onHost bool
		diff   []string
		did    []string
	}{
		"all missing": {
			diff: []string{"import " + hafixture.ArchivePath + " (registry.k8s.io/a:1)"},
			did: []string{"upload " + hafixture.ArchivePath + " (0755 root:root)", begin, imported + hafixture.ArchivePath,
				"remove " + hafixture.ArchivePath},
		},
		"one missing": {
			have: []string{"registry.k8s.io/a:1", "other:1"},
			diff: []string{"import " + hafixture.ArchivePath + " (registry.k8s.io/b:1)"},
			did: []string{"upload " + hafixture.ArchivePath + " (0755 root:root)", begin, imported + hafixture.ArchivePath,
				"remove " + hafixture.ArchivePath},
		},
		"none missing": {have: []string{"registry.k8s.io/a:1", "registry.k8s.io/b:1"}},
		"none missing, and an interrupted run has left the archive": {
			have: []string{"registry.k8s.io/a:1", "registry.k8s.io/b:1"}, left: true,
			diff: []string{"remove " + hafixture.ArchivePath + " (imported)"},
			did:  []string{"remove " + hafixture.ArchivePath},
		},
		"on the host": {
			left: true, onHost: true,
			diff: []string{"import " + hafixture.ArchivePath + " (registry.k8s.io/a:1)"},
			did:  []string{begin, imported + hafixture.ArchivePath},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr, h := fixture.FakeHost(t)
			c := &containerd{images: tt.have}
			c.on(h)
			s, a := hafixture.Archive("registry.k8s.io/a:1", "registry.k8s.io/b:1")
			if tt.left {
				require.NoError(t, h.Put(transport.File{Path: hafixture.ArchivePath, Data: transport.Bytes([]byte(s.Text))}))
			}
			if tt.onHost {
				a = software.ImageArchive{Payload: software.Payload{Path: hafixture.ArchivePath}, OnHost: true, Names: a.Names}
			}
			action := hafixture.Preparation(t, hafixture.Preparations(t, software.Pushed{Images: []software.ImageArchive{a}}, hafixture.Three()), "images")
			diff, err := hafixture.RunOne(t, tr, action, true)
			require.NoError(t, err)
			require.Equal(t, tt.diff, hafixture.Changes(diff))
			require.Empty(t, did(h, 0), "the dry run")

			_, err = hafixture.RunOne(t, tr, action, false)
			require.NoError(t, err)
			require.Equal(t, tt.did, did(h, 0))
			require.Equal(t, tt.onHost, slices.Contains(h.Files(), hafixture.ArchivePath), "what was sent is removed, what was there stays")
			require.Equal(t, s.Opened.Load(), s.Closed.Load())

			before := len(h.Calls())
			diff, err = hafixture.RunOne(t, tr, action, false)
			require.NoError(t, err)
			require.Empty(t, diff)
			require.Empty(t, did(h, before), "the second run changes nothing")
		})
	}
}

// The archive goes also when it was no use: when the import fails, and when
// the run is stopped while it lasts.
func TestPushedFailedImport(t *testing.T) {
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
			tr, h := fixture.FakeHost(t)
			(&containerd{}).on(h)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			h.Handle(faketransport.MatchFunc("an import", func(argv []string) bool {
				return slices.Contains(argv, "--digests=false") && argv[0] == "ctr"
			}), tt.during(stop))
			_, a := hafixture.Archive("registry.k8s.io/a:1")
			action := hafixture.Preparation(t, hafixture.Preparations(t, software.Pushed{Images: []software.ImageArchive{a}}, hafixture.Three()), "images")
			p, err := plan.New(plan.Step{ID: "images", Host: "cp-1", Action: action})
			require.NoError(t, err)
			_, err = (&plan.Runner{Transport: tr}).Run(ctx, p)
			require.ErrorContains(t, err, tt.want)
			require.Empty(t, h.Files())
		})
	}
}

// What an archive does not hold although it should is not believed.
func TestPushedArchiveWithoutAnImage(t *testing.T) {
	tr, h := fixture.FakeHost(t)
	(&containerd{}).on(h)
	_, a := hafixture.Archive("registry.k8s.io/a:1")
	a.Names = append(a.Names, "registry.k8s.io/missing:1")
	action := hafixture.Preparation(t, hafixture.Preparations(t, software.Pushed{Images: []software.ImageArchive{a}}, hafixture.Three()), "images")
	_, err := hafixture.RunOne(t, tr, action, false)
	var left *plan.NotConvergedError
	require.ErrorAs(t, err, &left)
	require.Equal(t, []string{"import " + hafixture.ArchivePath + " (registry.k8s.io/missing:1)"}, hafixture.Changes(left.Left))
}

// What is for control planes goes to no worker, and the work is in its order:
// programs, their check, the runtime, images.
func TestPushedToControlPlanesOnly(t *testing.T) {
	s := &hafixture.Source{Text: "x"}
	_, image := hafixture.Archive("registry.k8s.io/a:1")
	p := software.Pushed{
		Files:              []software.Payload{s.Payload("/usr/local/bin/kubelet")},
		ControlPlaneFiles:  []software.Payload{s.Payload("/usr/local/bin/etcd")},
		ControlPlaneImages: []software.ImageArchive{image},
	}
	c := hafixture.Three().WithDefaults()
	tr, h := fixture.FakeHost(t)
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
		diff, err := hafixture.RunOne(t, tr, hafixture.Preparation(t, prepared, "files"), true)
		require.NoError(t, err)
		require.Equal(t, tt.files, hafixture.Changes(diff))
	}
	require.Empty(t, h.Files())
	prepared := hafixture.Preparations(t, software.Pushed{}, hafixture.Three())
	require.Equal(t, []string{"binaries", "services"}, preparationNames(prepared), "nothing to push, nothing to do")
}
