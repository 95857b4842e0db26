package quorate

import (
	"fmt"

	"github.com/quorate-dev/quorate/internal/syntax"
)

// Validate refuses a description that no cluster can be made from: it returns
// nil or an *InvalidError with every error that Problems finds.
func (c Cluster) Validate() error { return c.Problems().Err("cluster") }

// Problems is everything that is wrong with the description once the defaults
// are filled in: errors and warnings, each with the path of its field, in the
// order of the fields. A problem between two fields is at the later one
// and names the other. It reads nothing but the description.
func (c Cluster) Problems() Problems {
	v := validator{c: c.WithDefaults()}
	v.taken = v.c.collisions()
	v.name()
	v.version()
	v.endpoint()
	v.ranges("pods", v.c.Pods, nil)
	v.ranges("services", v.c.Services, v.c.Pods)
	v.dnsDomain()
	v.nodes()
	v.etcd()
	v.kubeadm()
	return v.Problems
}

// validator goes over a defaulted cluster field by field.
type validator struct {
	Problems
	c Cluster
	// taken are the ports that several fields have, by the path of the one at fault.
	taken map[string][]string
}

func (v *validator) name() {
	if !syntax.IsLabel(v.c.Name) {
		v.Refuse("name", "%q is no RFC 1123 label: %s", v.c.Name, syntax.WantLabel)
	}
}

func (v *validator) version() {
	switch k := v.c.Version; {
	case k.IsZero():
		v.Refuse("version", "is required: the Kubernetes version to run, as in v1.%d.0", MaxMinor)
	case !isVersion(k):
		v.Refuse("version", "%q is no version", k.String())
	case !supported(k):
		v.Refuse("version", "Kubernetes %s is not supported: want v1.%d to v1.%d", k, MinMinor, MaxMinor)
	}
}

func supported(k Version) bool {
	return k.Major == 1 && k.Minor >= MinMinor && k.Minor <= MaxMinor
}

func (v *validator) dnsDomain() {
	if !syntax.IsSubdomain(v.c.DNSDomain) {
		v.Refuse("dnsDomain", "%q is no RFC 1123 subdomain: want lower-case labels with dots between them, none at the end", v.c.DNSDomain)
	}
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func key(path, k string) string { return fmt.Sprintf("%s[%q]", path, k) }
