package kubeadm

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

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
		checkArgs(&p, "", Args{{"a", s}}, knownArgs{}, quorate.Version{})
		return len(p) == 0
	})
}

// env draws a variable with a value, or with a source of it.
func env() *rapid.Generator[EnvVar] {
	return rapid.Custom(func(t *rapid.T) EnvVar {
		e := EnvVar{Name: nasty().Draw(t, "name")}
		if rapid.Bool().Draw(t, "from") {
			e.ValueFrom = map[string]any{"fieldRef": map[string]any{"fieldPath": nasty().Draw(t, "path")}}
		} else {
			e.Value = nasty().Draw(t, "value")
		}
		return e
	})
}

func args(names ...string) *rapid.Generator[Args] {
	return rapid.Map(rapid.MapOfN(rapid.SampledFrom(names), argValue(), 0, len(names)), ArgsOf)
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

// drawer draws what one version of the API can express.
type drawer struct {
	*rapid.T
	api   api
	minor int
	roles docSet
}

// can reports whether the version has a place in the file for a field.
func (d drawer) can(field string) bool {
	for _, l := range fieldMappings {
		if l.field != field {
			continue
		}
		for _, p := range l.at {
			if p.holds(d.api) && p.docs&d.roles != 0 && d.minor >= p.minor && !p.readOnly {
				return true
			}
		}
	}
	return false
}

// maybe draws a field that the version has.
func maybe[T any](d drawer, field string, g *rapid.Generator[T]) (out T) {
	if d.can(field) && rapid.Bool().Draw(d.T, field+" set") {
		out = g.Draw(d.T, field)
	}
	return out
}

func (d drawer) registration() Registration {
	r := Registration{
		Name:            "cp-1",
		CRISocket:       "unix:///run/" + nasty().Draw(d.T, "socket"),
		Taints:          maybe(d, "registration.taints", rapid.SampledFrom([][]Taint{nil, {}, {{Key: "a/b", Value: "true", Effect: "NoExecute"}}})),
		ImagePullPolicy: maybe(d, "registration.imagePullPolicy", rapid.SampledFrom([]string{"Always", "Never"})),
		ImagePullSerial: maybe(d, "registration.imagePullSerial", rapid.Ptr(rapid.Bool(), false)),
	}
	if d.api == v1alpha1 && len(r.Taints) > 0 {
		r.Taints = []Taint{}
	}
	if d.can("registration.kubeletArgs") {
		r.NodeIPs = rapid.SampledFrom([][]netip.Addr{nil, {netip.MustParseAddr("fd00::1")}, {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}}).Draw(d.T, "node IPs")
		r.Labels = rapid.SampledFrom([]map[string]string{nil, {"a/b": "c", "d": ""}}).Draw(d.T, "labels")
		r.KubeletArgs = args("v", "root-dir").Draw(d.T, "kubelet args")
	}
	r.IgnorePreflightErrors = maybe(d, "registration.ignorePreflightErrors",
		rapid.SliceOfN(rapid.SampledFrom([]string{"NumCPU", "port-6443", "FileContent--proc-sys-net-ipv4-ip_forward"}), 0, 3))
	return r
}

func (d drawer) component(name string) Component {
	c := Component{
		Args: args("v", "feature-gates").Draw(d.T, name),
		Volumes: maybe(d, "init."+name+".volumes", rapid.SampledFrom([][]quorate.Volume{
			{{Name: "audit", HostPath: "/a b: c", MountPath: "/etc/audit", ReadOnly: true, PathType: "File"}},
			{{Name: "x", HostPath: "/x", MountPath: "/y"}, {Name: "z", HostPath: "/x", MountPath: "/z", ReadOnly: true}},
		})),
		Env: maybe(d, "init."+name+".env", rapid.SliceOfN(env(), 0, 2)),
	}
	if d.api == v1alpha1 {
		for i := range c.Volumes {
			c.Volumes[i].ReadOnly, c.Volumes[i].PathType = true, ""
		}
	}
	return c
}

func (d drawer) timeouts() Timeouts {
	duration := rapid.Map(rapid.Int64Range(0, 1<<40), func(n int64) *quorate.Duration { return new(quorate.Duration(n)) })
	return Timeouts{
		ControlPlane: maybe(d, "timeouts.controlPlane", duration), Kubelet: maybe(d, "timeouts.kubelet", duration),
		APICall: maybe(d, "timeouts.apiCall", duration), EtcdCall: maybe(d, "timeouts.etcdCall", duration),
		UpgradeManifests: maybe(d, "timeouts.upgradeManifests", rapid.Just(new(quorate.Duration(time.Minute)))),
		TLSBootstrap:     maybe(d, "timeouts.tlsBootstrap", duration), Discovery: maybe(d, "timeouts.discovery", duration),
	}
}

// list draws lists of nasty texts, never empty ones, which are none.
func list() *rapid.Generator[[]string] { return rapid.SliceOfN(nasty(), 1, 3) }

func (d drawer) init() *Init {
	i := &Init{
		TokenTTL:         rapid.SampledFrom([]quorate.Duration{0, -1, quorate.Duration(90 * time.Minute)}).Draw(d.T, "TTL"),
		TokenUsages:      rapid.SampledFrom([][]string{nil, {"signing"}}).Draw(d.T, "usages"),
		TokenGroups:      rapid.SampledFrom([][]string{nil, {"system:bootstrappers:x"}}).Draw(d.T, "groups"),
		ClusterName:      nasty().Draw(d.T, "name"),
		Endpoint:         "api.example.org:6443",
		Pods:             rapid.SampledFrom([][]netip.Prefix{nil, {netip.MustParsePrefix("10.0.0.0/8")}}).Draw(d.T, "pods"),
		Services:         []netip.Prefix{netip.MustParsePrefix("fd02::/112"), netip.MustParsePrefix("10.96.0.0/12")},
		DNSDomain:        nasty().Draw(d.T, "domain"),
		CertSANs:         maybe(d, "init.certSANs", list()),
		ImageRepository:  nasty().Draw(d.T, "repository"),
		CertificatesDir:  maybe(d, "init.certificatesDir", nasty()),
		APIServer:        d.component("apiServer"),
		Scheduler:        d.component("scheduler"),
		TokenDescription: "",
		DNS: DNS{
			ImageRepository: maybe(d, "init.dns.imageRepository", nasty()), ImageTag: maybe(d, "init.dns.imageTag", nasty()),
			Disabled: maybe(d, "init.dns.disabled", rapid.Bool()),
		},
		ProxyDisabled:         maybe(d, "init.proxyDisabled", rapid.Bool()),
		EncryptionAlgorithm:   maybe(d, "init.encryptionAlgorithm", nasty()),
		CertificateValidity:   maybe(d, "init.certificateValidity", rapid.Just(new(quorate.Duration(time.Hour)))),
		CACertificateValidity: maybe(d, "init.caCertificateValidity", rapid.Just(new(quorate.Duration(time.Hour)))),
		Kubelet:               maybe(d, "init.kubelet", rapid.SampledFrom([]map[string]any{{"cgroupDriver": "systemd"}})),
		KubeProxy:             maybe(d, "init.kubeProxy", rapid.SampledFrom([]map[string]any{{"mode": "iptables", "clientConnection": map[string]any{"qps": json.Number("1.5")}}})),
	}
	if d.api == v1alpha1 {
		i.ClusterName = "" // its own, and so not written
	} else {
		i.Endpoint = nasty().Draw(d.T, "endpoint")
		i.TokenDescription = rapid.SampledFrom([]string{"", "x: y"}).Draw(d.T, "description")
	}
	if rapid.Bool().Draw(d.T, "external etcd") {
		i.Etcd = &ExternalEtcd{
			Endpoints: list().Draw(d.T, "etcd"), CAFile: nasty().Draw(d.T, "ca"), CertFile: nasty().Draw(d.T, "cert"), KeyFile: nasty().Draw(d.T, "key"),
			HTTPEndpoints: maybe(d, "init.etcd.httpEndpoints", list()),
		}
	} else {
		i.LocalEtcd = LocalEtcd{
			DataDir: nasty().Draw(d.T, "data"), Args: args("quota-backend-bytes").Draw(d.T, "etcd args"),
			ImageRepository: maybe(d, "init.localEtcd.imageRepository", nasty()), ImageTag: maybe(d, "init.localEtcd.imageTag", nasty()),
			Image: maybe(d, "init.localEtcd.image", nasty()), Env: maybe(d, "init.localEtcd.env", rapid.SliceOfN(env(), 0, 2)),
			ServerCertSANs: maybe(d, "init.localEtcd.serverCertSANs", list()), PeerCertSANs: maybe(d, "init.localEtcd.peerCertSANs", list()),
		}
	}
	return i
}

// drawConfig draws a Config of any version of Kubernetes and of the API.
func drawConfig(t *rapid.T, join bool) Config {
	a := rapid.SampledFrom([]api{v1alpha1, v1alpha2, v1alpha3, v1beta1, v1beta2, v1beta3, v1beta4}).Draw(t, "API")
	d := drawer{T: t, api: a, minor: rapid.IntRange(apis[a].first, apis[a].last).Draw(t, "minor"), roles: Config{}.roles()}
	if join {
		d.roles = inJoin
	}
	c := Config{
		Version:      quorate.Version{Major: 1, Minor: d.minor},
		Registration: d.registration(),
		APIServer:    &APIServer{Address: netip.MustParseAddr("fd00::1"), Port: 6443},
		Token:        quorate.Sensitive([]byte("abcdef.0123456789abcdef")),
		SkipPhases:   maybe(d, "skipPhases", list()),
		Patches:      maybe(d, "patches.directory", rapid.SampledFrom([]*Patches{{}, {Directory: "/etc/kubernetes/patches"}})),
		Timeouts:     d.timeouts(),
	}
	if own := apiFor(c.Version); own != a {
		c.APIVersion = a.String()
	}
	if d.can("certificateKey") && rapid.Bool().Draw(t, "certificate key") {
		c.CertificateKey = quorate.Sensitive(bytes.Repeat([]byte("0a"), 32))
	}
	if !join {
		c.Init = d.init()
		return c
	}
	c.Join = &Join{Endpoint: nasty().Draw(t, "endpoint"), CAHashes: []string{"sha256:" + string(bytes.Repeat([]byte("0"), 64))}}
	if a <= v1alpha2 || rapid.Bool().Draw(t, "worker") {
		c.APIServer, c.CertificateKey = nil, quorate.Content{}
	}
	return c
}

// Whatever text a program puts into a Config, reading what was rendered returns
// that Config and nothing else, for every version of the API: no string
// becomes another type, field or document, and nothing is lost.
func TestParseRoundTrip(t *testing.T) {
	for _, join := range []bool{false, true} {
		rapid.Check(t, func(t *rapid.T) {
			c := drawConfig(t, join)
			content := written(t, c)
			back, left, err := Parse(content.Bytes(), c.Version)
			if err != nil || len(left) > 0 {
				t.Fatalf("%v, left %v, of\n%s", err, left, content.Bytes())
			}
			opts := []cmp.Option{
				cmp.Comparer(quorate.Content.Equal), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
				cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty(),
			}
			if diff := cmp.Diff(c, back, opts...); diff != "" {
				t.Fatalf("(-written +read)\n%s\n%s", diff, content.Bytes())
			}
			if (back.Registration.Taints == nil) != (c.Registration.Taints == nil) {
				t.Fatal("no taints and default taints were mixed up")
			}
			if !written(t, back).Equal(content) {
				t.Fatal("same Config, other bytes")
			}
		})
	}
}

// written is what YAML writes of a Config, whether or not kubeadm would take the
// text in it.
func written(t *rapid.T, c Config) quorate.Content {
	var problems quorate.Problems
	docs, a := c.place(&problems, false)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	content, err := docs.yaml(a)
	if err != nil {
		t.Fatal(err)
	}
	return content
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
