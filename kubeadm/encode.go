package kubeadm

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
)

const (
	// defaultTokenTTL is kubeadm's, from k8s.io/kubernetes
	// cmd/kubeadm/app/constants.DefaultTokenDuration.
	defaultTokenTTL = quorate.Duration(24 * time.Hour)
	// defaultUpgradeManifests is kubeadm's, from constants.UpgradeManifestsTimeout.
	defaultUpgradeManifests = quorate.Duration(5 * time.Minute)
	// tokenDescription is what `kubeadm token list` shows of a token that Nodes
	// puts into a cluster.
	tokenDescription = "nodes of the cluster, added by Quorate"
)

// The documents of the node components are the same for every version of
// kubeadm's own API.
const (
	kubeletAPI   = "kubelet.config.k8s.io/v1beta1"
	kubeProxyAPI = "kubeproxy.config.k8s.io/v1alpha1"
)

// YAML writes the documents that kubeadm of the Config's version reads, each
// with its keys in alphabetical order. The content is sensitive: the token is
// in it. What kubeadm takes elsewhere is not in it, see Flags and DropIn. The
// error is a *quorate.InvalidError with everything that kubeadm of the version
// would refuse or could not work with, and every field that the version cannot
// express. What Quorate
// itself wants of a node beyond that, the Node's Files check.
func (c Config) YAML() (quorate.Content, error) {
	docs, a, err := c.documents()
	if err != nil {
		return quorate.Content{}, err
	}
	return docs.yaml(a)
}

// yaml writes the documents of a version.
func (d documents) yaml(a api) (quorate.Content, error) {
	var out bytes.Buffer
	for _, in := range fileOrder {
		doc := d[in]
		if doc == nil {
			continue
		}
		doc["apiVersion"], doc["kind"] = in.groupVersion(a), in.kind(a)
		text, err := yaml.Marshal(doc)
		if err != nil {
			return quorate.Content{}, fmt.Errorf("kubeadm configuration, %s: %w", in.kind(a), err)
		}
		if out.Len() > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return quorate.Sensitive(out.Bytes()), nil
}

// Flags are the arguments that kubeadm of the Config's version takes on its
// command line because its configuration has no field for them, each one
// "--name=value". The error is that of YAML.
func (c Config) Flags() ([]string, error) {
	docs, _, err := c.documents()
	if err != nil {
		return nil, err
	}
	var flags []string
	for _, name := range slices.Sorted(maps.Keys(docs[inFlag])) {
		values, err := listOf(docs[inFlag][name])
		if err != nil {
			return nil, fmt.Errorf("kubeadm's argument %s: %w", name, err)
		}
		flags = append(flags, "--"+name+"="+strings.Join(values, ","))
	}
	return flags, nil
}

// KubeletDropInPath is where DropIn is on the host.
const KubeletDropInPath = hostpath.SystemdUnits + "/kubelet.service.d/20-quorate.conf"

// kubeletArgsPath is the place of the drop-in's one variable.
const kubeletArgsPath = "args"

// DropIn is the arguments of the kubelet of Kubernetes 1.10, for which kubeadm's
// configuration had no field yet: a drop-in of its unit, for KubeletDropInPath.
// systemd must read it again (daemon-reload) before kubeadm runs. Empty for later
// versions, and when there are none. The error is that of YAML.
func (c Config) DropIn() (quorate.Content, error) {
	docs, _, err := c.documents()
	if err != nil || docs[inDropIn] == nil {
		return quorate.Content{}, err
	}
	args, err := argsCodec.dec(docs[inDropIn][kubeletArgsPath])
	if err != nil {
		return quorate.Content{}, fmt.Errorf("the kubelet's arguments: %w", err)
	}
	parts := make([]string, len(args))
	for i, arg := range args {
		parts[i] = "--" + arg.Name + "=" + arg.Value
	}
	return quorate.Public(fmt.Appendf(nil, "[Service]\nEnvironment=\"KUBELET_EXTRA_ARGS=%s\"\n", strings.Join(parts, " "))), nil
}

// documents checks the Config as kubeadm would, and puts every part of it into its
// place.
func (c Config) documents() (documents, api, error) {
	var problems quorate.Problems
	docs, a := c.encode(&problems, false)
	return docs, a, problems.Err(c.what())
}

func (c Config) what() string { return "kubeadm configuration of node " + c.Registration.Name }

// encode adds what kubeadm would refuse and what the version cannot express to the
// problems. The latter refuses a Config, and is a warning for a foreign one, of a
// file that somebody else wrote.
func (c Config) encode(problems *quorate.Problems, foreign bool) (documents, api) {
	*problems = append(*problems, c.faults()...)
	if !foreign {
		*problems = append(*problems, unreported(*problems, c.unworkable())...)
	}
	return c.place(problems, foreign)
}

// place puts every part of the Config into its place.
func (c Config) place(problems *quorate.Problems, foreign bool) (documents, api) {
	a, why := chooseAPI(c.APIVersion, c.Version)
	if why != "" {
		problems.Refuse("apiVersion", "%s", why)
	}
	docs := documents{}
	if a == 0 || (c.Init == nil) == (c.Join == nil) {
		return docs, a
	}
	if a == v1alpha1 && c.Init != nil {
		c = c.asV1alpha1(problems)
	}
	encoding{config: &c, api: a, out: docs, problems: problems, foreign: foreign}.encode()
	checkDropIn(problems, docs)
	return docs, a
}

// asV1alpha1 takes the port off the endpoint, which v1alpha1 takes to be that of
// every API server, and off the token the description that Nodes sets, which
// says nothing that would be missed.
func (c Config) asV1alpha1(p *quorate.Problems) Config {
	host, why := splitEndpoint(c)
	if why != "" {
		p.Refuse("init.endpoint", "kubeadm of Kubernetes %s (%s) cannot express it: %s", c.Version, v1alpha1, why)
	}
	init := *c.Init
	init.Endpoint, c.Init = host, &init
	if init.TokenDescription == tokenDescription {
		init.TokenDescription = ""
	}
	return c
}

// checkDropIn refuses what systemd would take apart or expand.
func checkDropIn(p *quorate.Problems, docs documents) {
	args, err := argsCodec.dec(docs[inDropIn][kubeletArgsPath])
	if err != nil {
		return // there is none
	}
	for _, arg := range args {
		if strings.ContainsAny(arg.Value, " \t\n\"'\\%$") {
			p.Refuse(key("registration.kubeletArgs", arg.Name), "it is in the kubelet's unit, which takes no spaces, quotes, backslashes, %% or $ in it")
		}
	}
}

// overlay lays over upon base: maps merge to any depth, everything else
// replaces, and null takes a field back so that its own default counts. Neither
// input changes.
func overlay(base, over map[string]any) map[string]any {
	out := make(map[string]any, len(base)+len(over))
	maps.Copy(out, base)
	for k, v := range over {
		below, isMap := v.(map[string]any)
		switch under, _ := out[k].(map[string]any); {
		case v == nil:
			delete(out, k)
		case isMap:
			out[k] = overlay(under, below)
		default:
			out[k] = v
		}
	}
	return out
}

// kubeletArgs are the arguments that a registration needs: node-ip and node-labels
// have no field in KubeletConfiguration. What is among the arguments already and
// says the same stays as it is; with what is not, they are in the order of their
// names.
func (r Registration) kubeletArgs() Args {
	args, added := slices.Clone(r.KubeletArgs), false
	if len(r.NodeIPs) > 0 && !slices.Equal(nodeIPsOf(args.Values(nodeIPArg)), r.NodeIPs) {
		args = append(args.Without(nodeIPArg), Arg{nodeIPArg, joinAddrs(r.NodeIPs)})
		added = true
	}
	if len(r.Labels) > 0 && !maps.Equal(labelsOf(args.Values(nodeLabelsArg)), r.Labels) {
		args = append(args.Without(nodeLabelsArg), Arg{nodeLabelsArg, joinLabels(r.Labels)})
		added = true
	}
	if !added {
		return args
	}
	slices.SortStableFunc(args, func(a, b Arg) int { return strings.Compare(a.Name, b.Name) })
	return args
}

func joinAddrs(addrs []netip.Addr) string {
	parts := make([]string, len(addrs))
	for i, a := range addrs {
		parts[i] = a.String()
	}
	return strings.Join(parts, ",")
}

func joinLabels(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k+"="+labels[k])
	}
	return strings.Join(parts, ",")
}
