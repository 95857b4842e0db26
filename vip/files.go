package vip

import (
	"bytes"
	_ "embed" // the templates
	"fmt"
	"net/netip"
	"strconv"
	"text/template"
	"time"

	"github.com/quorate-dev/quorate"
)

var (
	//go:embed keepalived.conf.tmpl
	configText string
	//go:embed check_apiserver.sh.tmpl
	checkText string
	//go:embed keepalived.dropin.tmpl
	dropInText string

	configTemplate = template.Must(template.New(ConfigPath).Option("missingkey=error").Parse(configText))
	checkTemplate  = template.Must(template.New(CheckPath).Option("missingkey=error").Parse(checkText))
	dropInTemplate = template.Must(template.New(DropInPath).Option("missingkey=error").Parse(dropInText))
)

// curl gives up this much before keepalived would end the check.
const checkMargin = 200 * time.Millisecond

// startedPath holds the index of the interface that keepalived started with.
const startedPath = "/run/keepalived-interface"

// Files returns CheckPath, 0755, ConfigPath, 0600 and sensitive when it holds
// the auth, and DropInPath, 0644. The error is the *quorate.InvalidError of Validate.
func (i Instance) Files() ([]quorate.File, error) {
	if err := i.Validate(); err != nil {
		return nil, err
	}
	i = i.withDefaults()
	check, err := i.check()
	if err != nil {
		return nil, err
	}
	config, err := i.config()
	if err != nil {
		return nil, err
	}
	dropIn, err := i.dropIn()
	if err != nil {
		return nil, err
	}
	return []quorate.File{
		{Path: CheckPath, Mode: 0o755, Content: check},
		{Path: ConfigPath, Mode: 0o600, Content: config},
		{Path: DropInPath, Mode: 0o644, Content: dropIn},
	}, nil
}

func (i Instance) dropIn() (quorate.Content, error) {
	address := i.Endpoint.Address()
	family := "-4"
	if address.Is6() {
		family = "-6"
	}
	text, err := render(dropInTemplate, map[string]any{
		"Interface": i.Interface, "Source": i.Source, "Started": startedPath, "Family": family, "Host": netip.PrefixFrom(address, address.BitLen()),
	})
	return quorate.Public(text), err
}

func (i Instance) check() (quorate.Content, error) {
	limit := i.Endpoint.VIP.CheckTimeout.Std() - checkMargin
	text, err := render(checkTemplate, map[string]any{
		"URL":          "https://" + netip.AddrPortFrom(i.APIServer, uint16(i.Endpoint.Port)).String() + quorate.ReadyPath(i.Kubernetes),
		"LoadBalancer": i.Endpoint.LoadBalancer, "CAFile": i.CAFile,
		"Interface": i.Interface, "Started": startedPath,
		"Limit": strconv.FormatFloat(limit.Seconds(), 'f', -1, 64),
	})
	return quorate.Public(text), err
}

func (i Instance) config() (quorate.Content, error) {
	v := i.Endpoint.VIP
	seconds := func(d quorate.Duration) int { return int(d.Std() / time.Second) }
	auth := ""
	if i.vrrpVersion() == 2 {
		auth = string(i.Auth.Bytes())
	}
	text, err := render(configTemplate, map[string]any{
		"Node": i.Node, "ScriptUser": i.ScriptUser, "Check": CheckPath,
		"CheckInterval": seconds(v.CheckInterval), "CheckTimeout": seconds(v.CheckTimeout), "Fall": v.Fall, "Rise": v.Rise, "Weight": v.Weight,
		"Version": i.vrrpVersion(), "Interface": i.Interface, "RouterID": v.RouterID, "Priority": i.Priority,
		"AdvertInterval": strconv.FormatFloat(v.AdvertInterval.Std().Seconds(), 'f', -1, 64),
		"Unicast":        !v.Multicast && len(i.Peers) > 0, "Source": i.Source, "Peers": i.Peers,
		"Auth": auth, "Address": i.address(), "IPv6": !i.Source.Is4(),
	})
	if err != nil || auth == "" {
		return quorate.Public(text), err
	}
	return quorate.Sensitive(text), nil
}

func render(t *template.Template, values map[string]any) ([]byte, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, values); err != nil {
		return nil, fmt.Errorf("vip: render %s: %w", t.Name(), err)
	}
	return b.Bytes(), nil
}
