package clusterfile_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/clusterfile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const examples = "../../examples/clusters"

func example(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestExamplesLoad proves that every example file is valid, warns only where it
// says so, and stays as it is through Marshal and Parse. The goldens are
// the canonical form.
func TestExamplesLoad(t *testing.T) {
	files, err := filepath.Glob(examples + "/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			c, err := clusterfile.Load(example(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if warnings := c.Problems(); len(warnings) != 0 && name != "single.yaml" {
				t.Error(warnings)
			}
			canonical, err := clusterfile.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, canonical)
			again, err := clusterfile.Parse(canonical)
			if err != nil || !reflect.DeepEqual(c, again) {
				t.Errorf("%v\n%+v\n%+v", err, c, again)
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

// TestProblemsOfForms returns one mistake each and wants exactly that problem.
func TestProblemsOfForms(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "the file is empty"},
		{"# only a comment\n", "the file is empty"},
		{"---\n...\n", "the file is empty"},
		{"a: [", "line 1: did not find expected node content"},
		{"- a\n", "line 1: want a mapping with the keys of a cluster, got a list"},
		{"three", `line 1: want a mapping with the keys of a cluster, got the string "three"`},
		{"name: a\n---\nname: b\n", "line 2: a second document starts: want one"},
		{"naem: a\n", "line 1: naem: unknown key; did you mean name?"},
		{"name: a\nNodes: []\n", "line 2: Nodes: unknown key; did you mean nodes?"},
		{"nodes:\n- name: a\n- adress: []\n", "line 3: nodes[1].adress: unknown key; did you mean addresses?"},
		{"nodes:\n- name: a\n- adresses: []\n", "line 3: nodes[1].adresses: unknown key; did you mean addresses?"},
		{"endpoint:\n  vip:\n    routerId: 5\n", "line 3: endpoint.vip.routerId: unknown key; did you mean routerID?"},
		{"endpoint: {virtualAddressOfTheCluster: x}\n", "line 1: endpoint.virtualAddressOfTheCluster: unknown key; known here: host, port, external, loadBalancer, vip"},
		{"name: a\nversion: v1.37.2\nname: b\n", "line 3: name: duplicate key: it is in line 1 already"},
		{"nodes:\n- labels:\n    a: x\n    a: y\n", `line 4: nodes[0].labels["a"]: duplicate key: it is in line 3 already`},
		{"kubeadm:\n  kubelet: {a: {b: 1, b: 2}}\n", `line 2: kubeadm.kubelet["a"]["b"]: duplicate key: it is in line 2 already`},
		{"<<: {name: a}\n", "line 1: a key is <<: want a string"},
		{"1: a\n", "line 1: a key is 1: want a string"},
		{"? [a]\n: b\n", "line 1: a key is a list: want a string"},
		{"name: &n a\ndnsDomain: *n\n", "line 2: dnsDomain: is an alias: write the value out"},
		{"kubeadm: {kubelet: {a: &n b, c: *n}}\n", `line 1: kubeadm.kubelet["c"]: is an alias: write the value out`},
		{"name: 123\n", "line 1: name: want a string, got 123: put it in quotes"},
		{"name: true\n", "line 1: name: want a string, got true: put it in quotes"},
		{"name: [a]\n", "line 1: name: want a string, got a list"},
		{"name:\n", "line 1: name: has no value: set one or remove the key"},
		{"name: ''\n", "line 1: name: is empty: set a value or remove the key"},
		{"name: !!binary aGk=\n", "line 1: name: want a string, got aGk=: put it in quotes"},
		{"name: {a: b}\n", "line 1: name: want a string, got a mapping"},
		{"version: 1.37\n", `line 1: version: "1.37": want a version with all three numbers, as in v1.37.2`},
		{"version: ''\n", `line 1: version: "": want a version with all three numbers, as in v1.37.2`},
		{"version: [1, 37]\n", "line 1: version: want text, got a list"},
		{"nodes: {}\n", "line 1: nodes: want a list, got a mapping"},
		{"nodes: [a]\n", `line 1: nodes[0]: want a mapping, got the string "a"`},
		{"nodes: [~]\n", "line 1: nodes[0]: has no value: set one or remove the key"},
		{"nodes:\n- addresses: 192.0.2.1\n", `line 2: nodes[0].addresses: want a list, got the string "192.0.2.1"`},
		{"nodes:\n- addresses: [192.0.2.999]\n", `line 2: nodes[0].addresses[0]: "192.0.2.999": want an IPv4 or IPv6 address`},
		{"nodes:\n- addresses: [192.0.2.1/24]\n", `line 2: nodes[0].addresses[0]: "192.0.2.1/24": want an IPv4 or IPv6 address`},
		{"nodes:\n- addresses: ['']\n", `line 2: nodes[0].addresses[0]: "": want an IPv4 or IPv6 address`},
		{"nodes:\n- labels: {a: 1}\n", `line 2: nodes[0].labels["a"]: want a string, got 1: put it in quotes`},
		{"pods: [10.244.0.0]\n", `line 1: pods[0]: "10.244.0.0": want an address and a prefix length, as in 10.244.0.0/16`},
		{"endpoint:\n  vip: {routerID: '51'}\n", `line 2: endpoint.vip.routerID: want a whole decimal number, got the string "51"`},
		{"endpoint:\n  vip: {routerID: 051}\n", "line 2: endpoint.vip.routerID: want a whole decimal number, got 051"},
		{"endpoint:\n  vip: {routerID: 0x33}\n", "line 2: endpoint.vip.routerID: want a whole decimal number, got 0x33"},
		{"endpoint:\n  vip: {routerID: 0}\n", "line 2: endpoint.vip.routerID: 0 is not a value here: leave the key out for the default"},
		{"endpoint:\n  vip: {routerID: 5.0}\n", "line 2: endpoint.vip.routerID: want a whole decimal number, got 5.0"},
		{"etcd: {quotaBytes: 99999999999999999999}\n", "line 1: etcd.quotaBytes: want a whole decimal number, got 99999999999999999999"},
		{"endpoint: {external: yes}\n", `line 1: endpoint.external: want true or false, got the string "yes"`},
		{"endpoint: {external: 1}\n", "line 1: endpoint.external: want true or false, got 1"},
		{"etcd: {heartbeat: 100}\n", `line 1: etcd.heartbeat: "100": want a duration with its unit, as in 1s or 100ms`},
		{"etcd: {heartbeat: 0s}\n", "line 1: etcd.heartbeat: 0s is not a value here: leave the key out for the default"},
		{"kubeadm: {kubelet: {a: .nan}}\n", `line 1: kubeadm.kubelet["a"]: want a string, number, true or false, got .nan: put it in quotes`},
		{"kubeadm: {kubelet: {a: 010}}\n", `line 1: kubeadm.kubelet["a"]: want a string, number, true or false, got 010: put it in quotes`},
		{"\"a\\nb\": x\n", `line 1: ["a\nb"]: unknown key; known here: name, version, endpoint, pods, services, dnsDomain, nodes, allowEvenControlPlanes, etcd, kubeadm`},
		{"kubeadm: {kubelet: {a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}}\n", `nested deeper than 32 levels`},
		{strings.Repeat("#", clusterfile.MaxSize+1), "1048577 bytes: a cluster file has at most 1048576"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			_, err := clusterfile.Parse([]byte(tt.text))
			var invalid *quorate.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("%T %v", err, err)
			}
			got := err.Error()
			if len(invalid.Problems) != 1 || !strings.Contains(got, tt.want) || !strings.HasPrefix(got, "cluster file: 1 problem\n  ") {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

const manyMistakes = `name: Prod
version: 1.37
endpoint:
  host: 192.0.2.11
  vip:
    interface: eth0
    routerID: 300
    prority: 100
nodes:
  - name: cp-1
    role: control-plane
    adresses: [192.0.2.11]
    addresses: [192.0.2.11]
  - name: cp-1
    role: leader
    addresses: [192.0.2.300]
    role: worker
`

// TestEverythingAtOnce proves that mistakes of form and of meaning come
// together, each with its line, and that one that follows from another does not.
func TestEverythingAtOnce(t *testing.T) {
	_, err := clusterfile.Load([]byte(manyMistakes))
	want := `cluster file: 9 problems
  line 1: name: "Prod" is no RFC 1123 label: want at most 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit
  line 2: version: "1.37": want a version with all three numbers, as in v1.37.2
  line 4: endpoint.host: 192.0.2.11 is nodes[0].addresses[0]: a VIP is nobody's own address
  line 7: endpoint.vip.routerID: 300 is no VRID: want 1 to 255, unique on the network segment
  line 8: endpoint.vip.prority: unknown key; known here: interface, subnet, routerID, multicast, advertInterval, checkInterval, checkTimeout, weight, fall, rise
  line 12: nodes[0].adresses: unknown key; did you mean addresses?
  line 14: nodes[1].name: "cp-1" is also nodes[0].name
  line 16: nodes[1].addresses[0]: "192.0.2.300": want an IPv4 or IPv6 address
  line 17: nodes[1].role: duplicate key: it is in line 15 already`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v", err)
	}
}

// TestLoadValidates proves that Load refuses what Parse leaves to Validate.
func TestLoadValidates(t *testing.T) {
	text := []byte("version: v1.9.11\nendpoint: {host: 192.0.2.10, vip: {interface: eth0}}\nnodes: [{name: a, role: control-plane, addresses: [192.0.2.11]}]\n")
	if _, err := clusterfile.Parse(text); err != nil {
		t.Error(err)
	}
	if c, err := clusterfile.Load(text); err == nil || !strings.Contains(err.Error(), "line 1: version: Kubernetes v1.9.11 is not supported") || !reflect.ValueOf(c).IsZero() {
		t.Error(c, err)
	}
}

// TestFindingsBesideAWarning proves that a problem below one that only warns is
// reported: one control plane is a warning at nodes.
func TestFindingsBesideAWarning(t *testing.T) {
	_, err := clusterfile.Load([]byte("version: v1.37.2\nendpoint: {host: 192.0.2.10, vip: {interface: eth0}}\nnodes:\n- name: A\n  role: control-plane\n"))
	for _, want := range []string{"2 problems", "line 4: nodes[0].name: ", "line 4: nodes[0].addresses: is required"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}

func ExampleLoad() {
	_, err := clusterfile.Load([]byte(`
version: v1.37.2
endpoint:
  host: 192.0.2.10
  vip:
    interface: eth0
    routerId: 52
nodes:
  - {name: cp-1, role: control-plane, addresses: [192.0.2.10]}
`))
	fmt.Println(err)
	// Output:
	// cluster file: 2 problems
	//   line 4: endpoint.host: 192.0.2.10 is nodes[0].addresses[0]: a VIP is nobody's own address
	//   line 7: endpoint.vip.routerId: unknown key; did you mean routerID?
}

func ExampleMarshal() {
	c, err := clusterfile.Parse([]byte(`{version: 1.37.2, endpoint: {host: api.example.com, external: true}, nodes: []}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := clusterfile.Marshal(c)
	fmt.Print(string(text), err)
	// Output:
	// version: v1.37.2
	// endpoint:
	//   host: api.example.com
	//   external: true
	// nodes: []
	// <nil>
}
