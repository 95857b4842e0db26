package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/vip"
)

// Where the walk-through keeps etcd's certificates and runs kubeadm.
const (
	guidePKI  = "/etc/kubernetes/pki/etcd"
	guideHome = "/root"
)

//go:embed guide
var guideTemplates embed.FS

// guide is a description in the walk-through's own form: what it says of etcd
// and keepalived laid over it, and the artifacts made of that.
type guide struct {
	cfg       ha.Config
	members   []etcd.Member
	instances []vip.Instance
	nodes     []kubeadm.Node
	requests  []quorate.File
}

// guideExact returns the walk-through's files and commands with its paths and
// values. What could not work is as docs/guide.md says. The renderers check the
// description and compute every value; only the texts that they would write
// otherwise (the unit, keepalived's configuration and check) are written here.
func guideExact(ctx context.Context, cfg ha.Config) (files, error) {
	g, err := newGuide(ctx, cfg)
	if err != nil {
		return nil, err
	}
	out := files{}
	for i, n := range g.cfg.Cluster.ControlPlanes() {
		authorities := func(i int) ([]quorate.File, error) { return g.authorities(ctx, i) }
		for _, part := range []func(i int) ([]quorate.File, error){g.cfssl, g.etcd, g.keepalived, authorities, g.kubeadm} {
			made, err := part(i)
			if err != nil {
				return nil, err
			}
			out[n.Name] = append(out[n.Name], made...)
		}
		out[n.Name] = append(out[n.Name], g.masterCommands(i))
	}
	for _, n := range g.nodes {
		if n.Config.Join == nil {
			continue
		}
		made, err := g.worker(n)
		if err != nil {
			return nil, err
		}
		out[n.Name] = made
	}
	return out, nil
}

func newGuide(ctx context.Context, cfg ha.Config) (g guide, err error) {
	c := cfg.Cluster.WithDefaults()
	c.Etcd.PlainHTTP, c.Etcd.Binary, c.Etcd.DataDir = true, "/bin/etcd", "/var/lib/etcd"
	v := &c.Endpoint.VIP
	v.Weight, v.CheckInterval, v.Fall, v.Rise = -2, quorate.Duration(3*time.Second), 10, 2
	var p quorate.Problems
	if c.Endpoint.External || !c.Endpoint.Address().Is4() {
		p.Refuse("endpoint", "the guide has a VIP, and that an IPv4 address")
	}
	if err := p.Err("guide-exact"); err != nil {
		return g, err
	}
	g.cfg = cfg
	g.cfg.Cluster = c
	if g.members, err = etcd.Members(c); err != nil {
		return g, err
	}
	if g.instances, err = vip.Instances(c, cfg.VIPAuth); err != nil {
		return g, err
	}
	if g.cfg.Kubeadm.CAHashes, err = cfg.Certs.CAHashes(ctx); err != nil {
		return g, err
	}
	if g.nodes, err = kubeadm.Nodes(c, g.cfg.Kubeadm); err != nil {
		return g, err
	}
	g.requests, err = pki.CFSSL(c, pki.Config{
		Keys: pki.Keys{EtcdCA: pki.RSA2048}, CAValidity: pki.DefaultExpiry, APIServerClientName: "client",
	})
	return g, err
}

// cfssl returns the policy and the requests. The policy is on every master, since
// each signs its own certificates.
func (g guide) cfssl(i int) ([]quorate.File, error) {
	var out []quorate.File
	for _, f := range g.requests {
		if f.Path == "ca-config.json" || i == 0 && path.Dir(f.Path) == "." {
			f.Path = path.Join(guidePKI, f.Path)
			out = append(out, f)
		}
	}
	request, err := pki.CFSSLDefaultRequest(g.cfg.Cluster.ControlPlanes()[i])
	request.Path = path.Join(guidePKI, request.Path)
	return append(out, request), err
}

func (g guide) etcd(i int) ([]quorate.File, error) {
	m := g.members[i]
	m.Token = "my-etcd-token"
	// etcd names each of them in a warning, that it ignores it for an http URL.
	m.ExtraFlags = map[string]string{}
	for name, file := range map[string]string{
		"cert-file": "server", "key-file": "server-key", "trusted-ca-file": "ca",
		"peer-cert-file": "peer", "peer-key-file": "peer-key", "peer-trusted-ca-file": "ca",
	} {
		m.ExtraFlags[name] = path.Join(guidePKI, file+".pem")
	}
	argv, err := m.Argv()
	if err != nil {
		return nil, err
	}
	service, err := io.ReadAll(unit.Serialize([]*unit.UnitOption{
		unit.NewUnitOption("Unit", "Description", "etcd"),
		unit.NewUnitOption("Unit", "Documentation", "https://github.com/coreos/etcd"),
		unit.NewUnitOption("Unit", "Conflicts", "etcd2.service"),
		unit.NewUnitOption("Service", "EnvironmentFile", etcd.EnvPath),
		unit.NewUnitOption("Service", "Type", "notify"),
		unit.NewUnitOption("Service", "Restart", "always"),
		unit.NewUnitOption("Service", "RestartSec", "5s"),
		unit.NewUnitOption("Service", "LimitNOFILE", "40000"),
		unit.NewUnitOption("Service", "TimeoutStartSec", "0"),
		// Nothing in these flags means anything to systemd: Argv has checked them.
		unit.NewUnitOption("Service", "ExecStart", strings.Join(argv, " \\\n  ")),
		unit.NewUnitOption("Install", "WantedBy", "multi-user.target"),
	}))
	if err != nil {
		return nil, fmt.Errorf("etcd's unit on %s: %w", m.Name, err)
	}
	env := fmt.Sprintf("PEER_NAME=%s\nPRIVATE_IP=%s\n", m.Name, m.Addresses[0])
	return []quorate.File{
		{Path: etcd.EnvPath, Mode: 0o644, Content: quorate.Public([]byte(env))},
		{Path: etcd.UnitPath, Mode: 0o644, Content: quorate.Public(service)},
	}, nil
}

func (g guide) keepalived(i int) ([]quorate.File, error) {
	in := g.instances[i]
	// What in holds and Quorate's own template would not take is found here.
	if err := in.Validate(); err != nil {
		return nil, err
	}
	state := "BACKUP"
	if i == 0 {
		state = "MASTER"
	}
	v := in.Endpoint.VIP
	values := map[string]any{
		"Check": vip.CheckPath, "Interval": int(v.CheckInterval.Std() / time.Second), "Weight": v.Weight, "Fall": v.Fall, "Rise": v.Rise,
		"State": state, "Interface": in.Interface, "RouterID": v.RouterID, "Priority": in.Priority,
		"Auth": string(in.Auth.Bytes()), "VIP": in.Endpoint.Host, "Port": in.Endpoint.Port,
	}
	config, err := fill("keepalived.conf.tmpl", values)
	if err != nil {
		return nil, err
	}
	check, err := fill("check_apiserver.sh.tmpl", values)
	return []quorate.File{
		{Path: vip.CheckPath, Mode: 0o755, Content: quorate.Public(check)},
		{Path: vip.ConfigPath, Mode: 0o600, Content: quorate.Sensitive(config)},
	}, err
}

func fill(name string, values map[string]any) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(guideTemplates, "guide/"+name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, values)
	return b.Bytes(), err
}

// authorities returns the four files that kubeadm must find alike on all masters.
// The walk-through has the first master make them; here they are there before,
// since what the workers' command says of them is.
func (g guide) authorities(ctx context.Context, i int) ([]quorate.File, error) {
	all, err := g.cfg.Certs.ControlPlane(ctx, g.cfg.Cluster.ControlPlanes()[i].Name)
	return slices.DeleteFunc(all, func(f quorate.File) bool {
		return !slices.Contains([]string{"ca.crt", "ca.key", "sa.key", "sa.pub"}, strings.TrimPrefix(f.Path, "/etc/kubernetes/pki/"))
	}), err
}

// kubeadm returns a master's config.yaml and the kubelet's drop-in.
func (g guide) kubeadm(i int) ([]quorate.File, error) {
	at := slices.IndexFunc(g.nodes, func(n kubeadm.Node) bool { return n.Name == g.members[i].Name })
	n := g.nodes[at]
	config := n.Config
	config.Registration = kubeadm.Registration{}
	config.Init = &kubeadm.Init{
		Endpoint: config.Init.Endpoint,
		Etcd: &kubeadm.ExternalEtcd{
			Endpoints: etcd.ClientEndpoints(g.members),
			CAFile:    path.Join(guidePKI, "ca.pem"), CertFile: path.Join(guidePKI, "client.pem"), KeyFile: path.Join(guidePKI, "client-key.pem"),
		},
		Pods:      config.Init.Pods,
		CertSANs:  []string{g.cfg.Cluster.Endpoint.Host},
		APIServer: config.Init.APIServer,
	}
	text, err := config.YAML()
	if err != nil {
		return nil, err
	}
	dropIn, err := n.Config.DropIn()
	return []quorate.File{
		{Path: path.Join(guideHome, "config.yaml"), Mode: 0o600, Content: text},
		{Path: kubeadm.KubeletDropInPath, Mode: 0o644, Content: dropIn},
	}, err
}

func (g guide) masterCommands(i int) quorate.File {
	const gencert = "cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json"
	lines := []string{"cd " + guidePKI}
	if i == 0 {
		lines = append(lines,
			"cfssl gencert -initca ca-csr.json | cfssljson -bare ca -",
			gencert+" -profile=client client.json | cfssljson -bare client",
		)
		for _, m := range g.members[1:] {
			lines = append(lines, fmt.Sprintf("scp ca.pem ca-key.pem client.pem client-key.pem %s:%s/", m.Addresses[0], guidePKI))
		}
	}
	lines = append(lines,
		gencert+" -profile=server config.json | cfssljson -bare server",
		gencert+" -profile=peer config.json | cfssljson -bare peer",
		"systemctl daemon-reload",
		"systemctl enable etcd",
		"systemctl start etcd",
		"etcdctl cluster-health",
		"systemctl restart keepalived",
		"cd "+guideHome,
		"kubeadm init --config=config.yaml",
	)
	if i == 0 {
		lines = append(lines,
			"# Then a pod network, and if pods are to run on the masters too:",
			"# kubectl taint nodes --all node-role.kubernetes.io/master-",
		)
	}
	return commands(lines...)
}

// worker returns the drop-in and the command that joins. The token in it is why
// nobody else may read it.
func (g guide) worker(n kubeadm.Node) ([]quorate.File, error) {
	dropIn, err := n.Config.DropIn()
	join := fmt.Sprintf("kubeadm join %s --token %s", n.Config.Join.Endpoint, n.Config.Token.Bytes())
	for _, hash := range n.Config.Join.CAHashes {
		join += " --discovery-token-ca-cert-hash " + hash
	}
	command := commands(join)
	command.Mode, command.Content = 0o600, quorate.Sensitive(command.Content.Bytes())
	return []quorate.File{{Path: kubeadm.KubeletDropInPath, Mode: 0o644, Content: dropIn}, command}, err
}
