package survey

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/boundedyaml"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// The files that are read from a host. None holds a secret.
const (
	kubeletFlags    = "/var/lib/kubelet/kubeadm-flags.env"
	apiServerCert   = hostpath.KubernetesPKI + "/apiserver.crt"
	frontProxyCA    = hostpath.KubernetesPKI + "/front-proxy-ca.crt"
	serviceAccounts = hostpath.KubernetesPKI + "/sa.pub"
)

func publicFiles() []string {
	return []string{
		hostpath.KubeletConfig, kubeletFlags, apiServerCert,
		hostpath.KubernetesCA, frontProxyCA, serviceAccounts, hostpath.EtcdCAOfAPIServer, hostpath.EtcdCA,
	}
}

//go:embed scripts/running.sh
var runningScript string

// RunningQuery reads what runs on a host, for HostDifferences. It is the same for all hosts, and
// no file or process that it reads holds a secret.
func RunningQuery() transport.Query {
	return plan.Script(runningScript, map[string]string{"ETCD_UNIT": etcd.UnitPath}, publicFiles()...)
}

// report is what one host said of what runs there.
type report struct {
	// mark is how far a run of Quorate has come with kubeadm: empty, "begun", "done".
	mark string
	// there are paths that exist.
	there []string
	// data is the directory that etcd's unit names, if a member has data in it.
	data  string
	texts map[string]string
	// processes by the name of their program, each with its arguments.
	processes map[string][]string
}

// bounds of what is kept of one host: a manifest has 5 KiB, a command line 3.
const (
	maxFiles, maxText = 64, 256 << 10
	maxProcesses      = 64
)

// parseReport reads what running.sh prints, and leaves out what it does not
// understand: a host that prints other things is compared by less.
func parseReport(out []byte) report {
	r := report{texts: map[string]string{}, processes: map[string][]string{}}
	process := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "/") {
			keepLine(r.texts, line)
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "mark":
			r.mark = value
		case "there":
			r.there = append(r.there, value)
		case "data":
			r.data = value
		case "process":
			process = value
		case "cmdline":
			argv := strings.Split(strings.TrimRight(value, "\x00"), "\x00")
			if _, again := r.processes[process]; !again && process != "" && len(argv) > 1 && len(r.processes) < maxProcesses {
				r.processes[process] = argv
			}
		}
	}
	return r
}

// keepLine adds the text of a line "PATH:TEXT" to that of its file, within bounds.
func keepLine(texts map[string]string, line string) {
	path, text, ok := strings.Cut(line, ":")
	if _, known := texts[path]; ok && (known || len(texts) < maxFiles) && len(texts[path])+len(text) < maxText {
		texts[path] += text + "\n"
	}
}

func (r report) has(paths ...string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return slices.Contains(r.there, p) })
}

// pod is what is compared of a static pod.
type pod struct {
	image string
	args  kubeadm.Args
	env   map[string]string
	// volumes are those of the host, by their names.
	volumes map[string]quorate.Volume
}

// manifest returns the static pod of a component, false if the host has none that can
// be read.
func (r report) manifest(component string) (pod, bool) {
	text, there := r.texts[hostpath.Manifests+"/"+component+".yaml"]
	if !there {
		return pod{}, false
	}
	var doc struct {
		Spec struct {
			Containers []struct {
				Image         string
				Command, Args []string
				Env           []struct{ Name, Value string }
				VolumeMounts  []struct {
					Name, MountPath string
					ReadOnly        bool
				}
			}
			Volumes []struct {
				Name     string
				HostPath *struct{ Path, Type string }
			}
		}
	}
	if err := boundedyaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Spec.Containers) == 0 {
		return pod{}, false
	}
	c := doc.Spec.Containers[0]
	p := pod{image: c.Image, args: argsOf(slices.Concat(c.Command, c.Args)), env: map[string]string{}, volumes: map[string]quorate.Volume{}}
	for _, e := range c.Env {
		p.env[e.Name] = e.Value
	}
	for _, v := range doc.Spec.Volumes {
		if v.HostPath == nil {
			continue
		}
		one := quorate.Volume{Name: v.Name, HostPath: v.HostPath.Path, PathType: v.HostPath.Type}
		for _, m := range c.VolumeMounts {
			if m.Name == v.Name {
				one.MountPath, one.ReadOnly = m.MountPath, m.ReadOnly
			}
		}
		p.volumes[v.Name] = one
	}
	return p, true
}

// argsOf are the flags of a command line, "--name=value"; what is none is left out.
func argsOf(argv []string) kubeadm.Args {
	var args kubeadm.Args
	for _, word := range argv {
		if flag, ok := strings.CutPrefix(word, "--"); ok {
			name, value, _ := strings.Cut(flag, "=")
			args = append(args, kubeadm.Arg{Name: name, Value: value})
		}
	}
	return args
}

// running returns the arguments with which a component runs, nil if it does not.
func (r report) running(component string) kubeadm.Args {
	const commLen = 15 // of /proc/PID/comm
	return argsOf(r.processes[component[:min(len(component), commLen)]])
}

// etcdUnit returns the arguments in etcd's unit.
func (r report) etcdUnit() kubeadm.Args {
	return argsOf(strings.Fields(strings.NewReplacer(`"`, "", "\\\n", "\n").Replace(r.texts[etcd.UnitPath])))
}

// etcdBinary returns the program that etcd's unit starts.
func (r report) etcdBinary() string {
	for line := range strings.Lines(r.texts[etcd.UnitPath]) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
			program, _, _ := strings.Cut(command, " ")
			return strings.Trim(program, `"`)
		}
	}
	return ""
}

// lineOf returns the value of the first line "key: value" of a file.
func (r report) lineOf(path, key string) string {
	for line := range strings.Lines(r.texts[path]) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+": "); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}
