package plan

import (
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/transport"
)

// What the recipe's checks read. Each names what its Check, beside the Action's
// other methods, asks the host for.

// Reads gives the files, the stamp, and the units.
func (d Deploy) Reads() Reads {
	var r Reads
	for _, f := range d.Files {
		r.Files = append(r.Files, f.Path)
	}
	if len(d.Units) == 0 {
		return r
	}
	if stamp, ok := d.stamp(); ok {
		r.Files = append(r.Files, stamp.Path)
	}
	r.units = unitNames(d.Units)
	return r
}

// Reads gives the script.
func (a lookAt) Reads() Reads {
	return reading(script(preflightScript, a.judge.factsArgs(a.node)...))
}

// Reads gives the script.
func (ps programs) Reads() Reads { return reading(ps.query()) }

// Reads gives the file and the running kernel's settings.
func (k kernel) Reads() Reads {
	r := reading(k.query())
	r.Files = []string{sysctlFile}
	return r
}

// Reads gives the script.
func (d cgroupDriver) Reads() Reads { return reading(script(cgroupDriverScript, d.runtime)) }

// Reads gives the repositories' files and the script.
func (p packages) Reads() Reads {
	r := reading(p.query())
	for _, f := range p.repositories {
		r.Files = append(r.Files, f.Path)
	}
	return r
}

// Reads gives the files.
func (p push) Reads() Reads {
	var r Reads
	for _, f := range p.files {
		r.Files = append(r.Files, f.Path)
	}
	return r
}

// Reads gives containerd's list, and archives that may be left.
func (im images) Reads() Reads {
	r := reading(im.query())
	r.Files = im.sent()
	return r
}

// Reads gives the script.
func (j joinMember) Reads() Reads {
	return reading(script(memberScript, j.member.Etcd.DataDir, etcd.JoinPath))
}

// Reads gives the script.
func (u unbootstrap) Reads() Reads { return reading(script(resetState, u.files...)) }

// Reads gives the script.
func (r removal) Reads() Reads { return reading(script(leftScript, r.leftArgs()...)) }

// Reads gives the script on a host on which kubeadm has been: elsewhere it may
// wait for an endpoint that does not answer.
func (b bootstrap) Reads() Reads {
	r := Reads{Queries: []transport.Query{{Argv: script(b.check, b.args...), Needs: b.needs}}}
	if len(b.nodes) > 0 {
		r.Queries = append(r.Queries, readingAPI(b.nodes).Queries...)
	}
	return r
}

// Reads gives the script alone: where it is not enough, something is to be done.
func (r readmission) Reads() Reads { return reading(script(awayScript, r.first)) }

// Reads gives the stamp and the question to the API server.
func (a applyManifest) Reads() Reads {
	r := Reads{Queries: []transport.Query{a.query()}}
	if a.remember {
		r.Files = []string{a.stamp().Path}
	}
	return r
}

// Reads gives the question to the API server.
func (u untaint) Reads() Reads { return readingAPI(u.list) }

// Reads gives the question to the API server.
func (r nodesReady) Reads() Reads { return readingAPI(r.list) }

func reading(argv []string) Reads { return Reads{Queries: []transport.Query{{Argv: argv}}} }

// readingAPI is for kubectl, which a host without an administrator's file need
// not start.
func readingAPI(argv []string) Reads {
	return Reads{Queries: []transport.Query{{Argv: argv, Needs: adminConf}}}
}
