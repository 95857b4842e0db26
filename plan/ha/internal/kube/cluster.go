package kube

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
)

// ClusterState is what an API server says of its nodes, and what kubeadm keeps there.
type ClusterState struct {
	// Nodes in the order of the answer.
	Nodes []Node
	// ConfigMaps are kubeadm's texts by name and key.
	ConfigMaps map[string]map[string]string
}

// Node is one that the API has.
type Node struct {
	Name string
	// Kubelet is its version, Ready True, False or Unknown; both are empty before it has
	// reported.
	Kubelet, Ready string
	// ControlPlane says that it has the label of one.
	ControlPlane, Cordoned bool
	Labels                 map[string]string
	Taints                 []quorate.Taint
	// Addresses are its InternalIPs.
	Addresses []netip.Addr
}

// ReadCluster reads what ListNodes asks for, and leaves out what it does not understand.
func ReadCluster(out []byte) ClusterState {
	s := ClusterState{ConfigMaps: map[string]map[string]string{}}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "configmap "); ok && strings.HasPrefix(rest, `"`) {
			if w, ok := unquoteAll(rest); ok {
				if s.ConfigMaps[w[0]] == nil {
					s.ConfigMaps[w[0]] = map[string]string{}
				}
				s.ConfigMaps[w[0]][w[1]] = w[2]
			}
			continue
		}
		if n, ok := readNode(line); ok {
			s.Nodes = append(s.Nodes, n)
		}
	}
	return s
}

// unquoteAll reads three quoted words.
func unquoteAll(s string) (words [3]string, ok bool) {
	for i := range words {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return words, false
		}
		if words[i], err = strconv.Unquote(quoted); err != nil {
			return words, false
		}
		s = strings.TrimPrefix(s[len(quoted):], " ")
	}
	return words, s == ""
}

func readNode(line string) (Node, bool) {
	parts := strings.Split(line, "\t")
	const (
		labels, taints, addresses, cordoned, all = 1, 2, 3, 4, 5
		before                                   = 4 // the keys of taints
	)
	words := strings.Split(parts[0], " ")
	if len(parts) != all || len(words) < before {
		return Node{}, false
	}
	n := Node{Name: words[0], Kubelet: words[1], Ready: words[2], ControlPlane: words[3] == "role", Cordoned: parts[cordoned] == "cordoned", Labels: map[string]string{}}
	for word := range strings.FieldsSeq(parts[labels]) {
		key, value, _ := strings.Cut(word, "=")
		n.Labels[key] = value
	}
	for word := range strings.FieldsSeq(parts[taints]) {
		key, rest, _ := strings.Cut(word, "=")
		value, effect, _ := strings.Cut(rest, ":")
		n.Taints = append(n.Taints, quorate.Taint{Key: key, Value: value, Effect: effect})
	}
	for word := range strings.FieldsSeq(parts[addresses]) {
		if a, err := netip.ParseAddr(word); err == nil {
			n.Addresses = append(n.Addresses, a)
		}
	}
	return n, true
}
