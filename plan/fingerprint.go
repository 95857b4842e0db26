package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/quorate-dev/quorate"
)

// Fingerprinter is an ability of Actions: to tell one piece of work from
// another by its inputs.
type Fingerprinter interface {
	// Fingerprint gives the same text for the same public inputs, and another
	// for others: paths, versions, hashes of what anyone may see. Nothing in it
	// may be derived from anything sensitive, not even a hash or a length,
	// because it is kept: a short secret can be guessed from its hash.
	Fingerprint() string
}

// Fingerprint is the identity of a plan, in hexadecimal: the SHA-256 of its
// steps' IDs, hosts and order, and of the public inputs of those of its actions
// that are Fingerprinters. Two plans that differ only in secrets have the same.
func (p *Plan) Fingerprint() string {
	h := newPrint("plan")
	for _, s := range p.steps {
		h.add(s.Fingerprint())
	}
	return h.sum()
}

// Fingerprint is the identity of a step, as Plan.Fingerprint has it.
func (s Step) Fingerprint() string {
	h := newPrint("step").add(string(s.ID), s.Host).list(len(s.After))
	for _, id := range s.After {
		h.add(string(id))
	}
	if f, ok := s.Action.(Fingerprinter); ok {
		h.add(f.Fingerprint())
	}
	return h.sum()
}

// fingerprint hashes texts so that no two lists of them give the same input.
type fingerprint struct{ hash.Hash }

func newPrint(kind string) fingerprint { return fingerprint{sha256.New()}.add(kind) }

func (f fingerprint) add(texts ...string) fingerprint {
	for _, t := range texts {
		_, _ = fmt.Fprintf(f, "%d:%s", len(t), t) // a hash never fails
	}
	return f
}

// list marks a list's length, so that what follows it is not taken for its end.
func (f fingerprint) list(n int) fingerprint { return f.add(fmt.Sprint(n)) }

func (f fingerprint) strings(texts []string) fingerprint { return f.list(len(texts)).add(texts...) }

// files adds what anyone may see of files: of a sensitive one its content is
// left out, and nothing stands for it but that it is sensitive.
func (f fingerprint) files(files []quorate.File) fingerprint {
	f.list(len(files))
	for _, file := range files {
		content := "sensitive"
		if !file.Content.IsSensitive() {
			content = fmt.Sprintf("%x", file.Content.SHA256())
		}
		f.add(file.Path, fmt.Sprintf("%04o", fileMode(file)), orRoot(file.Owner), orRoot(file.Group), content)
	}
	return f
}

func (f fingerprint) sum() string { return hex.EncodeToString(f.Sum(nil)) }

// Fingerprint covers the deployment's name, its units, and its files: paths,
// modes, owners, and the SHA-256 of public contents.
func (d Deploy) Fingerprint() string {
	f := newPrint("deploy").add(d.Name).files(d.Files).list(len(d.Units))
	for _, u := range d.Units {
		f.add(u.Name, fmt.Sprint(u.EnableOnly, u.NoBlock))
	}
	return f.sum()
}

// Fingerprint covers what is pushed where. A payload's hash is public: whoever
// gives one for a secret file publishes it.
func (p push) Fingerprint() string {
	f := newPrint("push").list(len(p.files))
	for _, file := range p.files {
		f.payload(file)
	}
	return f.sum()
}

func (f fingerprint) payload(p Payload) {
	want := p.file()
	f.add(want.Path, fmt.Sprintf("%04o", want.Mode), want.Owner, want.Group, fmt.Sprintf("%x", p.sum()))
}

// Fingerprint covers the archives, their images, and where they are imported.
func (im images) Fingerprint() string {
	f := newPrint("images").add(im.socket).list(len(im.archives))
	for _, a := range im.archives {
		if f.add(fmt.Sprint(a.OnHost)); a.OnHost {
			f.add(a.Path)
		} else {
			f.payload(a.Payload)
		}
		f.strings(a.Names)
	}
	return f.sum()
}

// Fingerprint covers the packages and the repositories' files.
func (p packages) Fingerprint() string {
	f := newPrint("packages").add(p.version.String(), fmt.Sprint(p.hold)).files(p.repositories)
	return f.strings(join(p.wanted, "=")).sum()
}

// Fingerprint covers the kernel's settings.
func (k kernel) Fingerprint() string {
	f := newPrint("kernel").list(len(k.settings))
	for _, s := range k.settings {
		f.add(s.key, s.value)
	}
	return f.sum()
}

// Fingerprint covers kubeadm's command, the questions put to the host, and the
// configuration, of which what holds a token is sensitive.
func (b bootstrap) Fingerprint() string {
	return newPrint("kubeadm").strings(b.argv).strings(b.args).add(b.check, b.after).files(b.config).sum()
}

// Fingerprint covers the manifest, unless it is sensitive.
func (a applyManifest) Fingerprint() string {
	return newPrint("manifest").files([]quorate.File{{Path: a.name, Content: a.yaml}}).sum()
}

// Fingerprint covers the nodes and their taints.
func (u untaint) Fingerprint() string {
	return newPrint("untaint").strings(u.nodes).strings(u.taints).sum()
}

// Fingerprint covers the version and the nodes that are waited for.
func (r nodesReady) Fingerprint() string {
	f := newPrint("ready").add(r.cluster.Version.String()).list(len(r.cluster.Nodes))
	for _, n := range r.cluster.Nodes {
		f.add(n.Name)
	}
	return f.sum()
}
