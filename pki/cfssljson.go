package pki

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
)

// CFSSL returns what the cfssl command needs to issue etcd's certificates itself,
// as files of its own JSON ordered by path:
//
//	ca-config.json   the signing policy, every profile of the configuration
//	ca-csr.json      the request for etcd's authority
//	client.json      the request for the API servers' client certificate
//	nodes/NODE.json  the request for a control plane's server and peer certificates
//
// to be used as in
//
//	cfssl gencert -initca ca-csr.json | cfssljson -bare ca -
//	cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=server nodes/NODE.json | cfssljson -bare server
//
// For stacked members, whose certificates kubeadm issues, the first two are all.
//
// Nothing in them is secret. Errors are the *quorate.InvalidError of New.
// ca-csr.json requests the authority that would be made here, also when
// Config.EtcdCA brings one.
func CFSSL(cluster quorate.Cluster, cfg Config) ([]quorate.File, error) {
	cfg = cfg.withDefaults(cluster)
	if err := problems(cluster, cfg).Err("certificates"); err != nil {
		return nil, err
	}
	leafKey := jsonKey(cfg.Keys.Leaf)
	ca := jsonRequest{CN: authorities[0].commonName, Key: jsonKey(cfg.Keys.EtcdCA)}
	if cfg.CAValidity != cfsslCAValidity {
		ca.CA = &jsonCA{Expiry: hours(cfg.CAValidity)}
	}
	files := []quorate.File{
		jsonFile("ca-config.json", jsonPolicy(cfg)),
		jsonFile("ca-csr.json", ca),
	}
	if cluster.Etcd.Stacked {
		return files, nil
	}
	files = append(files, jsonFile("client.json", jsonRequest{CN: cfg.APIServerClientName, Key: leafKey}))
	for _, n := range cluster.ControlPlanes() {
		files = append(files, jsonFile("nodes/"+n.Name+".json", jsonRequest{CN: commonName(n.Name), Hosts: nodeHosts(n), Key: leafKey}))
	}
	return byPath(files...), nil
}

// CFSSLDefaultRequest returns config.json: what `cfssl print-defaults csr` prints,
// with a node's name and first address in the place of its examples, as
// walk-throughs make it on each host with sed. It requests the node's server and
// peer certificates, which do not answer to loopback and say that the node is in
// San Francisco: CFSSL's own nodes/NODE.json is the better one. The error is a
// *quorate.InvalidError for all but a control plane with a name and an address.
func CFSSLDefaultRequest(n quorate.Node) (quorate.File, error) {
	if err := problems(quorate.Cluster{Nodes: []quorate.Node{n}}, Config{}.withDefaults(quorate.Cluster{})).Err("certificate request"); err != nil {
		return quorate.File{}, err
	}
	return jsonFile("config.json", jsonRequest{
		CN:    commonName(n.Name),
		Hosts: []string{n.Name, n.Address().String()},
		Key:   jsonKey(ECDSAP256),
		Names: []jsonName{{C: "US", ST: "CA", L: "San Francisco"}},
	}), nil
}

// cfsslCAValidity is how long cfssl makes an authority whose request does not
// say.
const cfsslCAValidity = 43800 * time.Hour

// The forms of cfssl's config.Config and csr.CertificateRequest, without the
// many fields that these files leave out.
type (
	jsonConfig struct {
		Signing jsonSigning `json:"signing"`
	}
	jsonSigning struct {
		Default  jsonProfile            `json:"default"`
		Profiles map[string]jsonProfile `json:"profiles"`
	}
	jsonProfile struct {
		Expiry string   `json:"expiry"`
		Usages []string `json:"usages,omitempty"`
	}
	jsonRequest struct {
		CN    string      `json:"CN"`
		Hosts []string    `json:"hosts,omitempty"`
		Key   jsonKeyKind `json:"key"`
		Names []jsonName  `json:"names,omitempty"`
		CA    *jsonCA     `json:"ca,omitempty"`
	}
	jsonName struct {
		C  string `json:"C"`
		ST string `json:"ST"`
		L  string `json:"L"`
	}
	jsonKeyKind struct {
		Algo string `json:"algo"`
		Size int    `json:"size"`
	}
	jsonCA struct {
		Expiry string `json:"expiry"`
	}
)

func jsonPolicy(cfg Config) jsonConfig {
	c := jsonConfig{jsonSigning{Default: jsonProfile{Expiry: hours(DefaultExpiry)}, Profiles: map[string]jsonProfile{}}}
	for name, p := range cfg.Profiles {
		c.Signing.Profiles[name] = jsonProfile{hours(p.Expiry), p.Usages}
	}
	return c
}

func jsonKey(alg KeyAlgorithm) jsonKeyKind {
	return jsonKeyKind{keyRequests[alg].A, keyRequests[alg].S}
}

// hours writes a duration as cfssl's files do, "43800h" for 43800h0m0s.
func hours(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func jsonFile(path string, v any) quorate.File {
	// Strings, numbers and maps of them always marshal.
	text, _ := json.MarshalIndent(v, "", "    ")
	return quorate.File{Path: path, Mode: 0o644, Content: quorate.Public(append(text, '\n'))}
}
