package drill

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/boundedyaml"
)

// API says how the Kubernetes API is reached and as whom. Whoever it is must be
// able to create and delete a namespace and config maps in it.
type API struct {
	// Endpoint is where clients go: host and port of the VIP or the load
	// balancer. Required.
	Endpoint string
	// ServerPort is where each host's own API server answers, another than the
	// endpoint's where a load balancer on the same hosts has that. Default: the
	// endpoint's.
	ServerPort int
	// CA is the PEM of the authorities that verify API servers. Required.
	CA quorate.Content
	// Certificate and Key of the client, in PEM; or Token, a bearer's.
	Certificate, Key, Token quorate.Content
	// ServerName verifies servers' certificates in place of the host dialled.
	ServerName string
	// Dial makes connections, several at once. Default: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout of one request. Default 1 s: shorter than any take-over, so that
	// a request which hangs does not hide the moment service is back.
	Timeout time.Duration
}

// FromKubeconfig reads the current context of a kubeconfig, with its data in
// place as kubeadm writes it; a file that it names is an error, since nothing
// here reads files.
func FromKubeconfig(kubeconfig quorate.Content) (API, error) {
	var k struct {
		CurrentContext string `json:"current-context"`
		Contexts       []struct {
			Name    string                         `json:"name"`
			Context struct{ Cluster, User string } `json:"context"`
		} `json:"contexts"`
		Clusters []struct {
			Name    string `json:"name"`
			Cluster struct {
				Server        string `json:"server"`
				CA            []byte `json:"certificate-authority-data"`
				TLSServerName string `json:"tls-server-name"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			Name string `json:"name"`
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Key         []byte `json:"client-key-data"`
				Token       string `json:"token"`
			} `json:"user"`
		} `json:"users"`
	}
	if kubeconfig.Len() > maxKubeconfig {
		return API{}, fmt.Errorf("kubeconfig: %d bytes, more than %d", kubeconfig.Len(), maxKubeconfig)
	}
	if err := boundedyaml.Unmarshal(kubeconfig.Bytes(), &k); err != nil {
		// The decoder's own message may quote the file, which holds a key.
		return API{}, errors.New("kubeconfig: not the YAML of one")
	}
	for _, c := range k.Contexts {
		if c.Name != k.CurrentContext {
			continue
		}
		var api API
		for _, cluster := range k.Clusters {
			if cluster.Name != c.Context.Cluster {
				continue
			}
			server, err := url.Parse(cluster.Cluster.Server)
			if err != nil || server.Scheme != "https" || server.Host == "" {
				return API{}, fmt.Errorf("kubeconfig: server %q is no https address", cluster.Cluster.Server)
			}
			api.Endpoint = net.JoinHostPort(server.Hostname(), cmp.Or(server.Port(), "443"))
			api.CA, api.ServerName = quorate.Public(cluster.Cluster.CA), cluster.Cluster.TLSServerName
		}
		for _, user := range k.Users {
			if user.Name == c.Context.User {
				api.Certificate = quorate.Public(user.User.Certificate)
				api.Key, api.Token = quorate.Sensitive(user.User.Key), quorate.Sensitive([]byte(user.User.Token))
			}
		}
		return api, nil
	}
	return API{}, fmt.Errorf("kubeconfig: no context %q", k.CurrentContext)
}

// tlsConfig is what the API's clients use; problems go by their field.
func (a API) tlsConfig(p *quorate.Problems) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.ServerName, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(a.CA.Bytes()) {
		p.Refuse("api.ca", "no certificate in it: want the PEM of the cluster's authority")
	}
	switch {
	case a.Key.Len() > 0:
		pair, err := tls.X509KeyPair(a.Certificate.Bytes(), a.Key.Bytes())
		if err != nil {
			p.Refuse("api.certificate", "does not go with the key: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	case a.Token.Len() == 0:
		p.Refuse("api.key", "missing: set a client's certificate and key, or a token")
	}
	return config
}

// client sends requests to one address, one at a time.
type client struct {
	base    string
	token   string
	timeout time.Duration
	http    http.Client
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// newClient has connections of its own: what hangs in one delays no other
// client's. HTTP/1.1, since a connection that is shared is given up late.
func (a API) newClient(config *tls.Config, address string, dial dialFunc) *client {
	return &client{
		base: "https://" + address, token: string(a.Token.Bytes()), timeout: a.Timeout,
		http: http.Client{Transport: &http.Transport{
			DialContext: dial, TLSClientConfig: config.Clone(), MaxIdleConnsPerHost: 1,
			TLSNextProto:       map[string]func(string, *tls.Conn) http.RoundTripper{},
			DisableCompression: true,
		}},
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// statusError is an answer other than success, with what it says of it: one
// line of at most maxMessage characters.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.code, http.StatusText(e.code), e.message)
}

// isStatus reports whether an error is this answer.
func isStatus(err error, code int) bool {
	var s *statusError
	return errors.As(err, &s) && s.code == code
}

const (
	// answerLimit bounds what is read of an answer in bytes.
	answerLimit = 32 << 20
	// maxMessage bounds what is kept of the message of an error, in characters.
	maxMessage = 1000
	// listPage is how many objects a page of a list has, and maxPages how many pages
	// are read: a drill at its highest rate makes a million objects in 34 hours.
	listPage, maxPages = 500, 2000
	// maxValue bounds what is kept of a value that an object has, in characters.
	maxValue = 200
	// maxKubeconfig in bytes; those of kubeadm have six thousand.
	maxKubeconfig = 1 << 20
)

// do sends one request and decodes the answer into out, unless that is nil.
// After a failure the next one has a connection of its own.
func (c *client) do(ctx context.Context, method, path string, in, out any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	defer func() {
		if err != nil {
			c.http.CloseIdleConnections()
		}
	}()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read, or given up
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		var status struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(answer, &status) // another kind of answer has no message
		return &statusError{res.StatusCode, cut(visible(status.Message), maxMessage, "...")}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// The API's objects, as far as they matter here.
type objectMeta struct {
	Name            string            `json:"name,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Continue        string            `json:"continue,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
}

type object struct {
	APIVersion string            `json:"apiVersion,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	Metadata   objectMeta        `json:"metadata"`
	Data       map[string]string `json:"data,omitempty"`
}

type objectList struct {
	Metadata objectMeta `json:"metadata"`
	Items    []object   `json:"items"`
}

func namespacePath(namespace string) string { return "/api/v1/namespaces/" + namespace }

func configMapsPath(namespace string) string { return namespacePath(namespace) + "/configmaps" }

// valueKey is the config map's key that holds what a write wrote.
const valueKey = "write"

// list reads every object of a namespace as it is now: without a resource
// version the read is linearizable.
func (c *client) list(ctx context.Context, namespace string) (map[string]string, error) {
	values := map[string]string{}
	more := ""
	for range maxPages {
		var page objectList
		path := configMapsPath(namespace) + fmt.Sprintf("?limit=%d&continue=%s", listPage, url.QueryEscape(more))
		if err := c.do(ctx, http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Items {
			values[cut(o.Metadata.Name, maxValue, "...")] = cut(o.Data[valueKey], maxValue, "...")
		}
		if more = page.Metadata.Continue; more == "" {
			return values, nil
		}
	}
	return nil, fmt.Errorf("namespace %s has more than %d objects", namespace, maxPages*listPage)
}
