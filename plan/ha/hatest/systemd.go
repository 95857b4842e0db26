package hatest

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// unit is what systemd knows of a unit.
type unit struct {
	enabled, active bool
	// with is what the unit read when it was last started, by path; keys are in it.
	with map[string]quorate.Content
	// ready is of a unit that notifies systemd, once it has.
	ready bool
}

// unitFiles are what units read when they start, a directory by its slash.
var unitFiles = map[string][]string{
	"containerd.service": {"/etc/containerd/"},
	"etcd.service":       {etcd.UnitPath, etcd.PKIDir + "/"},
	"kubelet.service":    {"/etc/systemd/system/kubelet.service.d/", "/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/"},
	"keepalived.service": {"/etc/keepalived/"},
	"haproxy.service":    {"/etc/haproxy/", "/etc/systemd/system/haproxy.service.d/"},
}

// Outdated returns the files of a unit that runs (etcd, keepalived, haproxy, kubelet,
// containerd) which are not as it read them when it was last started, sorted: a restart
// is owed. What has come or gone since counts too.
func (c *Cluster) Outdated(hostName, unitName string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[hostName]
	if h == nil || !h.running(unitName) {
		return nil
	}
	was, is := h.units[unitName].with, h.filesOf(unitName)
	var paths []string
	for path, content := range is {
		if read, ok := was[path]; !ok || !bytes.Equal(heeded(path, read), heeded(path, content)) {
			paths = append(paths, path)
		}
	}
	for path := range was {
		if _, ok := is[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// heeded is what a unit that runs goes by: etcd reads no list of members once it has data.
func heeded(path string, content quorate.Content) []byte {
	if path != etcd.UnitPath {
		return content.Bytes()
	}
	var out []byte
	for line := range bytes.Lines(content.Bytes()) {
		if !bytes.Contains(line, []byte("--initial-cluster=")) {
			out = append(out, line...)
		}
	}
	return out
}

// RunsWith returns what a unit that runs has read of one of its files when it was last
// started: it goes on with these bytes whatever is done to the file. It is false for a
// unit that does not run, and for a file that was not there or that the unit does not read.
func (c *Cluster) RunsWith(hostName, unitName, path string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[hostName]
	if h == nil || !h.running(unitName) {
		return nil, false
	}
	content, ok := h.units[unitName].with[path]
	return slices.Clone(content.Bytes()), ok
}

// filesOf is what a unit would start with now.
func (h *host) filesOf(unitName string) map[string]quorate.Content {
	out := map[string]quorate.Content{}
	for _, path := range h.Files() {
		if !slices.ContainsFunc(unitFiles[unitName], func(p string) bool { return path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) }) {
			continue
		}
		f, err := h.File(path)
		if err != nil {
			continue
		}
		out[path] = quorate.Sensitive(f.Data.Bytes())
	}
	return out
}

// systemctl answers the verbs that plan.Deploy uses.
func (h *host) systemctl(in faketransport.Invocation, args []string) error {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "-") })
	verb, names := args[0], args[1:]
	switch verb {
	case "daemon-reload":
		return nil
	case "is-active", "is-enabled":
		return h.is(in, verb, names[0])
	}
	for i, name := range names {
		u := h.unit(name)
		if verb == "show" {
			if i > 0 {
				if err := say(in, "\n"); err != nil {
					return err
				}
			}
			if err := h.show(in, name, u); err != nil {
				return err
			}
			continue
		}
		if u == nil {
			return fail(in, "Unit %s not found.", name)
		}
		switch verb {
		case "enable":
			u.enabled = true
		case "disable":
			u.enabled = false
		case "reload":
			if !h.running(name) || name != "keepalived.service" && name != "haproxy.service" {
				return fail(in, "Job type reload is not applicable for unit %s.", name)
			}
			u.with = h.filesOf(name)
		case "start", "restart":
			if verb == "start" && h.running(name) {
				continue
			}
			if err := h.start(in, name, u); err != nil {
				return err
			}
		case "stop":
			if err := h.stop(name, u); err != nil {
				return fail(in, "Job for %s failed: %v", name, err)
			}
		}
	}
	return nil
}

// is answers is-active and is-enabled by a word and an exit status.
func (h *host) is(in faketransport.Invocation, verb, name string) error {
	u := h.unit(name)
	active, enabled := h.states(name, u)
	word, well := active, "active"
	if verb == "is-enabled" {
		word, well = enabled, "enabled"
	}
	if err := say(in, "%s\n", word); err != nil || word == well {
		return err
	}
	return faketransport.Exit(3)
}

// unit finds a unit that a package brought or whose file stands on the host.
func (h *host) unit(name string) *unit {
	u, packaged := h.units[name], name != etcd.UnitName
	switch {
	case u != nil && (packaged || u.active || h.has(etcd.UnitPath)):
		return u
	case !h.has("/etc/systemd/system/" + name):
		delete(h.units, name) // its file is gone, and with it all that was known of it
		return nil
	}
	h.units[name] = &unit{}
	return h.units[name]
}

func (h *host) running(name string) bool {
	u := h.units[name]
	return u != nil && u.active && !h.ended(name)
}

// ended reports whether what a unit has started is no longer there: only
// members of etcd can end by themselves.
func (h *host) ended(name string) bool {
	return name == "etcd.service" && !h.cluster.members.runs(h.node.Name)
}

func (h *host) show(in faketransport.Invocation, name string, u *unit) error {
	load := "loaded"
	if u == nil {
		load = "not-found"
	}
	active, enabled := h.states(name, u)
	return say(in, "Id=%s\nLoadState=%s\nActiveState=%s\nUnitFileState=%s\n", name, load, active, enabled)
}

func (h *host) states(name string, u *unit) (active, enabled string) {
	active, enabled = "inactive", "disabled"
	switch {
	case u == nil:
		enabled = ""
	case u.active && h.ended(name):
		active = "failed"
		if h.unitSays("Restart=always") {
			active = "activating" // systemd tries again and again
		}
	case u.active && name == etcd.UnitName && !h.notified(u):
		active = "activating"
	case u.active:
		active = "active"
	}
	if u != nil && u.enabled {
		enabled = "enabled"
	}
	return active, enabled
}

func (h *host) start(in faketransport.Invocation, name string, u *unit) error {
	switch name {
	case "etcd.service":
		if err := h.startMember(u); err != nil {
			return fail(in, "Job for etcd.service failed: %v", err)
		}
	case "haproxy.service":
		if !h.has("/etc/haproxy/haproxy.cfg") || !h.has("/etc/haproxy/kubernetes-ca.crt") {
			return fail(in, "Job for haproxy.service failed: no configuration, or no authority")
		}
	case "keepalived.service":
		if !h.has("/etc/keepalived/keepalived.conf") {
			return fail(in, "Job for keepalived.service failed: no configuration")
		}
	}
	u.active, u.with, u.ready = true, h.filesOf(name), false
	if name == "kubelet.service" {
		if err := h.kubeletProcess(); err != nil {
			return err
		}
		h.reports()
	}
	for _, other := range h.cluster.hosts { // some may have waited for this one
		if u := other.units[etcd.UnitName]; u != nil && u.active && !other.ended(etcd.UnitName) {
			other.notified(u)
		}
	}
	return nil
}

// notified reports whether etcd has told systemd that it is ready, which it does once it
// has seen a quorum; a quorum that is lost later changes nothing about it.
func (h *host) notified(u *unit) bool {
	u.ready = u.ready || h.cluster.hasQuorum() || !h.unitSays("Type=notify")
	return u.ready
}

// unitSays reports whether etcd's unit has a line.
func (h *host) unitSays(line string) bool {
	f, err := h.File(etcd.UnitPath)
	return err == nil && slices.Contains(strings.Split(string(f.Data.Bytes()), "\n"), line)
}

func (h *host) startMember(u *unit) error {
	if err := h.stop("etcd.service", u); err != nil {
		return err
	}
	start := h.cluster.members.start
	if start == nil {
		start = h.simulate
	}
	m, err := start(h.Host)
	if err != nil {
		return err
	}
	if bad := h.cluster.members.refused; bad != "" && strings.Contains(strings.Join(h.etcdArgv(), " "), bad) {
		return errors.Join(errors.New("etcd ended: flag "+bad), m.Stop())
	}
	h.cluster.members.add(h.node.Name, m)
	if err := h.process("etcd", h.etcdArgv()...); err != nil {
		return err
	}
	if h.cluster.members.start != nil { // a real server's data stands elsewhere
		return h.Put(transport.File{Path: h.dataPath(), Mode: 0o600, Data: transport.Bytes([]byte("elsewhere\n"))})
	}
	return nil
}

func (h *host) stop(name string, u *unit) error {
	u.active = false
	if name == "etcd.service" {
		_ = h.process("etcd") // ending one never fails
		return h.cluster.members.stop(h.node.Name)
	}
	return nil
}
