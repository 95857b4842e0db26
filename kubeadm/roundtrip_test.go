package kubeadm

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
)

// nasty is text that YAML may take for something else: markers, quotes, types.
// Control characters and the like, which YAML cannot hold, are refused elsewhere.
func nasty() *rapid.Generator[string] {
	return anyText().Filter(func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' || r&0xfffe == 0xfffe })
	})
}

func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"---", "...", "- a", "a: b", "#x", "a #b", "'", `"`, `\`, "yes", "no", "on", "~", "null", "true", "0x1F",
			"0777", "1e3", ".inf", "1_000", "2001-01-01", "12:30:45", "!!int 1", "&a", "*a", "{}", "[]", "|", ">", "%",
			"@", "`", "=", "<<", " a ", "é", "\u2028", "a\nb: c", "\n---\n", "\t", "\ufeff", "a,b", "10.0", "::1", "🐹",
		}),
		rapid.String(),
		rapid.StringOf(rapid.RuneFrom([]rune("-:#'\"\\{}[],&*!|>%@` \t=~.0aeé\u2028"))),
	)
}

// argValue is nasty text that an argument may have.
func argValue() *rapid.Generator[string] {
	return nasty().Filter(func(s string) bool {
		var p quorate.Problems
		checkArgs(&p, "", map[string]string{"a": s}, knownArgs{}, quorate.Version{})
		return len(p) == 0
	})
}

func args(names ...string) *rapid.Generator[map[string]string] {
	return rapid.MapOfN(rapid.SampledFrom(names), argValue(), 0, len(names))
}

// tree is a value as YAML carries it, maps and lists to a small depth.
func tree(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		nasty().AsAny(), rapid.Bool().AsAny(),
		rapid.Map(rapid.Int64(), func(n int64) any { return n }),
	}
	if depth > 0 {
		leaves = append(leaves,
			rapid.SliceOfN(tree(depth-1), 0, 3).AsAny(),
			rapid.MapOfN(nasty(), tree(depth-1), 0, 3).AsAny())
	}
	return rapid.OneOf(leaves...)
}

func registration(t *rapid.T) Registration {
	return Registration{
		Name:                  "cp-1",
		CRISocket:             "unix://" + nasty().Draw(t, "socket"),
		NodeIPs:               []netip.Addr{netip.MustParseAddr("fd00::1")},
		Labels:                rapid.MapOfN(nasty(), nasty(), 0, 3).Draw(t, "labels"),
		Taints:                rapid.SampledFrom([][]Taint{nil, {}, {{Key: "a/b", Value: "true", Effect: "NoExecute"}}}).Draw(t, "taints"),
		KubeletArgs:           args("v", "root-dir", "image-credential-provider-config").Draw(t, "kubelet args"),
		IgnorePreflightErrors: rapid.SliceOfN(rapid.SampledFrom([]string{"NumCPU", "port-6443", "FileContent--proc-sys-net-ipv4-ip_forward"}), 0, 3).Draw(t, "ignored"),
	}
}

func volumes(t *rapid.T) []Volume {
	return rapid.SampledFrom([][]Volume{nil, {{Name: "audit", HostPath: "/a b: c", MountPath: "/etc/audit", ReadOnly: true, PathType: "File"}}}).Draw(t, "volumes")
}

func timeouts(t *rapid.T) Timeouts {
	d := rapid.Map(rapid.Int64Range(0, 1<<40), func(n int64) quorate.Duration { return quorate.Duration(n) })
	return Timeouts{
		ControlPlane: d.Draw(t, "controlPlane"), Kubelet: d.Draw(t, "kubelet"), APICall: d.Draw(t, "api"),
		EtcdCall: d.Draw(t, "etcd"), TLSBootstrap: d.Draw(t, "bootstrap"), Discovery: d.Draw(t, "discovery"),
	}
}

func config(t *rapid.T) Config {
	return Config{
		Version:      quorate.Version{Major: 1, Minor: rapid.IntRange(quorate.MinMinor, quorate.MaxMinor).Draw(t, "minor")},
		Registration: registration(t),
		APIServer:    &APIServer{Address: netip.MustParseAddr("fd00::1"), Port: 6443},
		Token:        quorate.Sensitive([]byte("abcdef.0123456789abcdef")),
		SkipPhases:   rapid.SliceOfN(nasty(), 0, 2).Draw(t, "phases"),
		PatchesDir:   rapid.SampledFrom([]string{"", "/etc/kubernetes/patches"}).Draw(t, "patches"),
		Timeouts:     timeouts(t),
	}
}

// split gives the documents of a file; a document that its content could break
// in two shows up as one too many.
func split(text []byte) [][]byte { return bytes.Split(text, []byte("\n---\n")) }

func decode[T any](t *rapid.T, doc []byte) T {
	var out T
	if err := yaml.UnmarshalStrict(doc, &out); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
	return out
}

func assertSame(t *rapid.T, want, got any) {
	t.Helper()
	opts := []cmp.Option{
		cmp.AllowUnexported(v1beta4Init{}, v1beta4Cluster{}, v1beta4Join{}, v1beta4APIServer{}),
		cmpopts.EquateEmpty(),
	}
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Fatalf("(-told +read)\n%s", diff)
	}
}

// Whatever text a program puts into a Config, strict reading gives it back and
// nothing else: no string becomes another type, field or document.
func TestInitRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := config(t)
		c.Init = &Init{
			ClusterName:       nasty().Draw(t, "name"),
			Endpoint:          nasty().Draw(t, "endpoint"),
			DNSDomain:         nasty().Draw(t, "domain"),
			Pods:              []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			Services:          []netip.Prefix{netip.MustParsePrefix("fd02::/112"), netip.MustParsePrefix("10.96.0.0/12")},
			CertSANs:          rapid.SliceOfN(nasty(), 0, 3).Draw(t, "sans"),
			Etcd:              ExternalEtcd{Endpoints: []string{nasty().Draw(t, "etcd")}, CAFile: nasty().Draw(t, "ca")},
			ImageRepository:   nasty().Draw(t, "repository"),
			APIServer:         Component{Args: args("v", "audit-policy-file", "runtime-config", "event-ttl").Draw(t, "apiserver"), Volumes: volumes(t)},
			ControllerManager: Component{Args: args("controllers", "bind-address").Draw(t, "controller")},
			Scheduler:         Component{Volumes: volumes(t)},
			KubeProxy:         map[string]any{"featureGates": rapid.MapOfN(nasty().Filter(func(s string) bool { return s != "<<" }), rapid.Bool().AsAny(), 1, 2).Draw(t, "gates")},
		}
		content, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		docs := split(content.Bytes())
		if len(docs) != 3 {
			t.Fatalf("%d documents, want Init, Cluster and KubeProxy:\n%s", len(docs), content.Bytes())
		}
		assertSame(t, v1beta4InitOf(c), decode[v1beta4Init](t, docs[0]))
		assertSame(t, v1beta4ClusterOf(c), decode[v1beta4Cluster](t, docs[1]))
		want := maps.Clone(c.Init.KubeProxy)
		want["apiVersion"], want["kind"] = kubeProxyAPI, "KubeProxyConfiguration"
		assertSame(t, want, decode[map[string]any](t, docs[2]))

		again, err := c.YAML()
		if err != nil || !again.Equal(content) {
			t.Fatalf("same Config, other bytes (%v)", err)
		}
	})
}

func TestJoinRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := config(t)
		if rapid.Bool().Draw(t, "worker") {
			c.APIServer = nil
		}
		c.Join = &Join{Endpoint: nasty().Draw(t, "endpoint"), CAHashes: []string{"sha256:" + string(bytes.Repeat([]byte("0"), 64))}}
		content, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		docs := split(content.Bytes())
		if len(docs) != 1 {
			t.Fatalf("%d documents", len(docs))
		}
		got := decode[v1beta4Join](t, docs[0])
		assertSame(t, v1beta4JoinOf(c), got)
		if (got.NodeRegistration.Taints == nil) != (c.Registration.Taints == nil) {
			t.Fatal("no taints and default taints were mixed up")
		}
	})
}

// A laid-over document reads back as the overlay wherever the overlay speaks,
// as the base elsewhere, and leaves both as they were.
func TestOverlay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"a", "b", "c"})
		fields := rapid.MapOfN(names, rapid.OneOf(tree(2), rapid.MapOfN(names, tree(1), 0, 3).AsAny(), rapid.Just[any](nil)), 0, 3)
		base, over := fields.Draw(t, "base"), fields.Draw(t, "over")
		baseBefore, overBefore := jsonOf(base), jsonOf(over)
		got := overlay(base, over)
		if jsonOf(base) != baseBefore || jsonOf(over) != overBefore {
			t.Fatal("an input changed")
		}
		assertLaidOver(t, base, over, got)
	})
}

func assertLaidOver(t *rapid.T, base, over, got map[string]any) {
	for k := range merged(base, over) {
		b, inBase := base[k]
		o, inOver := over[k]
		g, inGot := got[k]
		overMap, isMap := o.(map[string]any)
		switch {
		case !inOver && (inGot != inBase || jsonOf(g) != jsonOf(b)):
			t.Fatalf("%s: base lost", k)
		case inOver && o == nil && inGot:
			t.Fatalf("%s: null did not take it back", k)
		case inOver && o != nil && !isMap && jsonOf(g) != jsonOf(o):
			t.Fatalf("%s: overlay lost", k)
		case isMap:
			baseMap, _ := b.(map[string]any)
			assertLaidOver(t, baseMap, overMap, g.(map[string]any))
		}
	}
}

func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(b)
	if out == nil {
		out = map[string]any{}
	}
	maps.Copy(out, a)
	return out
}

func jsonOf(v any) string { b, _ := json.Marshal(v); return string(b) }
