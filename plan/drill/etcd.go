package drill

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/transport"
)

// Etcd says how the members are reached, one on each control plane.
type Etcd struct {
	// TLS is a client's certificate and the members' authority. Where it is nil
	// they are read from the first control plane that has them.
	TLS *tls.Config
	// CAFiles, CertFile and KeyFile are paths on the hosts. Of the
	// CAFiles the first that is there is taken. Default: where the HA recipe, or
	// kubeadm with stacked members, puts what the API server uses.
	CAFiles           []string
	CertFile, KeyFile string
	// Port that members serve clients on. Default 2379.
	Port int
	// Ask reads from the member of a host and no other. Default: with an
	// etcdclient.Client, through a tunnel from the host itself, so that a member
	// that is cut off from the others can still be read.
	Ask func(ctx context.Context, h Host) (etcdclient.Status, error)
}

const (
	// etcdPause is the time between two questions to one member.
	etcdPause = 250 * time.Millisecond
	// etcdPatience is how long a member may take to answer: an election takes a
	// second with etcd's own settings.
	etcdPatience = 2 * time.Second
)

func (e Etcd) withDefaults() Etcd {
	if len(e.CAFiles) == 0 {
		e.CAFiles = []string{hostpath.EtcdCA, hostpath.EtcdCAOfAPIServer}
	}
	e.CertFile = cmp.Or(e.CertFile, hostpath.APIServerEtcdClientCert)
	e.KeyFile = cmp.Or(e.KeyFile, hostpath.APIServerEtcdClientKey)
	e.Port = cmp.Or(e.Port, 2379)
	return e
}

// readTLS reads the client's certificate from a host.
func (e Etcd) readTLS(ctx context.Context, conn transport.Conn) (*tls.Config, error) {
	const limit = 1 << 20
	files := transport.FilesOf(conn)
	var ca []byte
	var errs []error
	for _, path := range e.CAFiles {
		var err error
		if ca, err = files.Read(ctx, path, limit); err == nil {
			break
		}
		errs = append(errs, err)
	}
	if ca == nil {
		return nil, errors.Join(errs...)
	}
	cert, err := files.Read(ctx, e.CertFile, limit)
	if err != nil {
		return nil, err
	}
	key, err := files.Read(ctx, e.KeyFile, limit)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%v: no certificate in it", e.CAFiles)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s does not go with %s: %w", e.CertFile, e.KeyFile, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

type askFunc = func(ctx context.Context, h Host) (etcdclient.Status, error)

// members reads every host's member by a client of its own. A client whose member
// failed is not used again: its connection would wait longer and longer before
// tried again.
type members struct {
	config Etcd
	tls    *tls.Config
	tunnel func(Host) dialFunc

	mu      sync.Mutex
	clients map[string]*etcdclient.Client
}

func (m *members) ask(ctx context.Context, h Host) (etcdclient.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	client := m.clients[h.Name]
	if client == nil {
		var err error
		client, err = etcdclient.New(etcdclient.Config{
			Endpoints: []string{"https://" + net.JoinHostPort(h.Address, strconv.Itoa(m.config.Port))},
			TLS:       m.tls, Dial: m.tunnel(h), Timeout: etcdPatience,
		})
		if err != nil {
			return etcdclient.Status{}, err
		}
		m.clients[h.Name] = client
	}
	m.mu.Unlock()
	status, err := client.Status(ctx)
	m.mu.Lock()
	if err == nil {
		err = status.Err()
	}
	if err != nil && m.clients[h.Name] == client {
		_ = client.Close() // nothing runs on it
		delete(m.clients, h.Name)
	}
	return status, err
}

func (m *members) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.clients {
		_ = c.Close() // nothing runs on it
	}
}

// watchEtcd reads one member until ctx ends.
func watchEtcd(ctx context.Context, h Host, hosts []Host, ask askFunc, now func() time.Time, r *record) {
	for {
		a := answer{host: h.Name}
		a.began = now()
		status, err := ask(ctx, h)
		a.ended = now()
		if ctx.Err() != nil {
			return
		}
		a.take(status, err, hosts)
		r.note(func(r *record) { r.answers = append(r.answers, a) })
		if !wait(ctx, etcdPause) {
			return
		}
	}
}

// take reads what a member said.
func (a *answer) take(status etcdclient.Status, err error, hosts []Host) {
	if err == nil {
		err = status.Err()
	}
	if err == nil && len(status.Endpoints) != 1 {
		err = fmt.Errorf("%d members answered for one", len(status.Endpoints))
	}
	if err != nil {
		a.err = said(err)
	}
	if len(status.Endpoints) != 1 {
		return
	}
	said := status.Endpoints[0]
	a.term, a.index, a.members = said.Term, said.Index, len(status.Members)
	if leader, ok := status.Leader(); ok {
		a.leader = hostOf(leader, hosts)
	}
}

// hostOf returns the host that a member is on, by name or by address, or the
// member's own name.
func hostOf(m etcdclient.Member, hosts []Host) string {
	for _, h := range hosts {
		if h.Name == m.Name {
			return h.Name
		}
		for _, u := range m.ClientURLs {
			if parsed, err := url.Parse(u); err == nil && parsed.Hostname() == h.Address {
				return h.Name
			}
		}
	}
	return cut(visible(m.Name), maxHostText, "...")
}
