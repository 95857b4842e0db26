package preflight

import (
	"hash/fnv"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan"
)

// rooted are the paths of hosts that scripts read.
var rooted = regexp.MustCompile(`(/etc|/run|/usr|/lib|/proc|/sys)/`)

// onHost runs a script in a shell of this machine, in make sweep in every one, on a host that has just these files,
// and programs before those of this machine. ROOT in a file is where the host's begin.
func onHost(t *testing.T, script string, files, programs, vars map[string]string, check func(t *testing.T, out []byte)) {
	t.Helper()
	root, bin := t.TempDir(), t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(root+name), 0o700); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(to, root+name); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(root+name, []byte(strings.ReplaceAll(text, "ROOT", root)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+strings.ReplaceAll(text, "ROOT", root)+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script = rooted.ReplaceAllString(script, root+"$1/")
	// A directory below another of these has the root once.
	script = strings.ReplaceAll(strings.ReplaceAll(script, root+"/usr/local"+root+"/lib/", root+"/usr/local/lib/"), root+"/usr"+root+"/lib/", root+"/usr/lib/")
	script = strings.ReplaceAll(strings.ReplaceAll(script, root+"/sys"+root, root+"/sys"), ">"+root, ">")
	script = strings.ReplaceAll(script, root+"/proc"+root+"/sys/", root+"/proc/sys/")
	all := shells(t)
	names := slices.Sorted(maps.Keys(all))
	if !tier.Sweep() { // each case in one of them, by turns
		turn := fnv.New32a()
		_, _ = turn.Write([]byte(t.Name()))
		names = names[int(turn.Sum32()%uint32(len(names))):][:1]
	}
	for _, shell := range names {
		argv := all[shell]
		t.Run(shell, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), argv[0], append(slices.Clone(argv[1:]), plan.Script(script, vars).Argv[1:]...)...)
			cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
			for name, value := range vars {
				if name == strings.ToLower(name) {
					cmd.Env = append(cmd.Env, name+"="+value)
				}
			}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || stderr.Len() > 0 {
				t.Fatalf("%v: %s", err, stderr.String())
			}
			check(t, []byte(strings.ReplaceAll(string(out), root, "")))
		})
	}
}

var factsVars = map[string]string{"VIP_INTERFACE": "", "DATA_DIR": "/nonexistent", "RUNTIME": ""}

// Wherever a host has variables of proxies for what the cluster runs, they are read, by
// the order in which systemd and the commands get them.
func TestProxiesOfAHost(t *testing.T) {
	const (
		units = "/etc/systemd/system/"
		on    = "[Service]\nEnvironment=HTTPS_PROXY=http://p:s3cret@192.0.2.9\n"
	)
	set := func(none ...string) proxies { return proxies{set: []string{"HTTPS_PROXY"}, none: none} }
	for name, tt := range map[string]struct {
		files map[string]string
		env   map[string]string
		want  map[string]proxies
	}{
		"none": {map[string]string{"/etc/environment": "PATH=/usr/bin\n", units + "kubelet.service": "[Service]\n#Environment=HTTPS_PROXY=x\n# EnvironmentFile=ROOT/etc/proxy\n", "/etc/proxy": "HTTPS_PROXY=x\n"}, nil, nil},

		"Debian's arguments of the kubelet":       {map[string]string{"/etc/default/kubelet": "KUBELET_EXTRA_ARGS=\nHTTPS_PROXY=http://192.0.2.9\n"}, nil, map[string]proxies{"kubelet.service": set()}},
		"RHEL's arguments of the kubelet":         {map[string]string{"/etc/sysconfig/kubelet": "https_proxy=\"http://192.0.2.9\"\nno_proxy='a, b'\n"}, nil, map[string]proxies{"kubelet.service": set("a", "b")}},
		"a drop-in of a package":                  {map[string]string{"/usr/lib/systemd/system/containerd.service.d/proxy.conf": on}, nil, map[string]proxies{"containerd.service": set()}},
		"a drop-in until the next boot":           {map[string]string{"/run/systemd/system/kubelet.service.d/proxy.conf": on}, nil, map[string]proxies{"kubelet.service": set()}},
		"a drop-in of /usr/local":                 {map[string]string{"/usr/local/lib/systemd/system/crio.service.d/proxy.conf": on}, nil, map[string]proxies{"crio.service": set()}},
		"a drop-in of /lib":                       {map[string]string{"/lib/systemd/system/docker.service.d/proxy.conf": on}, nil, map[string]proxies{"docker.service": set()}},
		"a unit":                                  {map[string]string{units + "containerd.service": on}, nil, map[string]proxies{"containerd.service": set()}},
		"a package's unit":                        {map[string]string{"/usr/lib/systemd/system/kubelet.service": on}, nil, map[string]proxies{"kubelet.service": set()}},
		"cri-dockerd's unit":                      {map[string]string{units + "cri-docker.service": on}, nil, map[string]proxies{"cri-docker.service": set()}},
		"a file that a unit names":                {map[string]string{units + "containerd.service": "[Service]\nEnvironmentFile=ROOT/etc/default/containerd\n", "/etc/default/containerd": "HTTPS_PROXY=http://192.0.2.9\nNO_PROXY=a\n"}, nil, map[string]proxies{"containerd.service": set("a")}},
		"a file that a drop-in names, if there":   {map[string]string{units + "kubelet.service.d/10.conf": "[Service]\n  EnvironmentFile = -ROOT/etc/proxy.env\n", "/etc/proxy.env": "# HTTP_PROXY=x\nhttps_proxy=http://192.0.2.9\n"}, nil, map[string]proxies{"kubelet.service": set()}},
		"files that a package's drop-in names":    {map[string]string{"/usr/lib/systemd/system/crio.service.d/20.conf": "[Service]\nEnvironmentFile=-ROOT/etc/crio.env.d/*.env\n", "/etc/crio.env.d/1.env": "HTTPS_PROXY=http://192.0.2.9\n", "/etc/crio.env.d/2.env": "NO_PROXY=b\n"}, nil, map[string]proxies{"crio.service": set("b")}},
		"a file that is not there":                {map[string]string{units + "kubelet.service": "[Service]\nEnvironmentFile=-ROOT/etc/gone\n"}, nil, nil},
		"a drop-in for all units":                 {map[string]string{units + "service.d/proxy.conf": on}, nil, map[string]proxies{fromAllUnits: set()}},
		"systemd's own":                           {map[string]string{"/etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=\"HTTPS_PROXY=http://192.0.2.9\" NO_PROXY=a\n"}, nil, map[string]proxies{fromManager: set("a")}},
		"systemd's own, of a package":             {map[string]string{"/usr/lib/systemd/system.conf.d/proxy.conf": "[Manager]\nDefaultEnvironment=https_proxy=http://192.0.2.9\n"}, nil, map[string]proxies{fromManager: set()}},
		"systemd's own until the next boot":       {map[string]string{"/run/systemd/system.conf.d/proxy.conf": "[Manager]\nDefaultEnvironment=https_proxy=http://192.0.2.9\n"}, nil, map[string]proxies{fromManager: set()}},
		"the environment of commands":             {nil, map[string]string{"https_proxy": "http://192.0.2.9", "no_proxy": "a,b"}, map[string]proxies{fromCommands: set("a", "b")}},
		"/etc/environment, which PAM has read":    {map[string]string{"/etc/environment": "https_proxy=http://192.0.2.9\n"}, map[string]string{"https_proxy": "http://192.0.2.9"}, map[string]proxies{fromEnvironment: set()}},
		"/etc/environment, and another's command": {map[string]string{"/etc/environment": "export https_proxy=http://192.0.2.9\n"}, map[string]string{"https_proxy": "http://192.0.2.9", "no_proxy": "a"}, map[string]proxies{fromEnvironment: set(), fromCommands: set("a")}},

		"drop-ins by name, wherever they are": {map[string]string{
			units + "containerd.service.d/10.conf":                    on + "Environment=NO_PROXY=a\n",
			"/usr/lib/systemd/system/containerd.service.d/20.conf":    "[Service]\nEnvironment=NO_PROXY=b\n",
			"/usr/lib/systemd/system/containerd.service.d/00-no.conf": "[Service]\nEnvironment=NO_PROXY=c\n",
		}, nil, map[string]proxies{"containerd.service": set("b")}},
		"a drop-in in place of a package's": {map[string]string{
			units + "kubelet.service.d/proxy.conf":                 "[Service]\n",
			"/usr/lib/systemd/system/kubelet.service.d/proxy.conf": on,
		}, nil, nil},
		"a masked drop-in": {map[string]string{
			units + "kubelet.service.d/proxy.conf":                 "-> /dev/null",
			"/usr/lib/systemd/system/kubelet.service.d/proxy.conf": on,
		}, nil, nil},
		"a unit in place of a package's": {map[string]string{units + "containerd.service": "[Service]\n", "/lib/systemd/system/containerd.service": on}, nil, nil},
		"an empty Environment forgets":   {map[string]string{units + "containerd.service": on, units + "containerd.service.d/clear.conf": "[Service]\nEnvironment=\n"}, nil, nil},
		"a file after the Environment":   {map[string]string{units + "containerd.service": on + "EnvironmentFile=ROOT/etc/e\nEnvironment=NO_PROXY=a\n", "/etc/e": "NO_PROXY=b\n"}, nil, map[string]proxies{"containerd.service": set("b")}},
		"a unit has systemd's own too": {map[string]string{
			"/etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=NO_PROXY=a\n", units + "containerd.service": on,
		}, nil, map[string]proxies{fromManager: {none: []string{"a"}}, "containerd.service": set("a")}},
		"a unit takes systemd's own back": {map[string]string{
			"/etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=HTTPS_PROXY=http://192.0.2.9\n", units + "containerd.service": "[Service]\nEnvironment=HTTPS_PROXY=\n",
		}, nil, map[string]proxies{fromManager: set()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vars := maps.Clone(factsVars)
			maps.Copy(vars, tt.env)
			onHost(t, factsScript, tt.files, map[string]string{"ip": "exit 0", "systemctl": "exit 0"}, vars, func(t *testing.T, out []byte) {
				got := readAs(t, parseFacts, out).proxies
				if diff := cmp.Diff(tt.want, got, compareFacts, cmp.Comparer(func(a, b proxies) bool { return a.equal(b) })); diff != "" && len(tt.want)+len(got) > 0 {
					t.Errorf("%s\n%s", diff, out)
				}
			})
		})
	}
}

// What the containerd that systemd starts has in its configuration, however it is written,
// dumped by containerd or read from its files.
func TestContainerdOfAHost(t *testing.T) {
	const usual, aufs = "/etc/containerd/config.toml", "io.containerd.snapshotter.v1.aufs"
	show := func(exec, environment string) string {
		return "case \"$*\" in *containerd.service) cat <<'X'\nExecStart={ path=/usr/bin/containerd ; argv[]=" + exec + " ; ignore_errors=no ; pid=0 }\nEnvironment=" + environment + "\nX\n;; esac"
	}
	// What it would dump of the file that it is told.
	const dumps = `[ "$1 $3 $4" = "--config config dump" ] && cat "$2"`
	const unable = "echo 'No help topic for dump' >&2; exit 1"
	for name, tt := range map[string]struct {
		containerd, systemctl string
		files                 map[string]string
		disabled              []string
		driver, sandbox       string
	}{
		"Docker's, version 1": {dumps, "", map[string]string{usual: "disabled_plugins = [\"cri\"]\n"}, []string{"cri"}, "cgroupfs", ""},
		"many lines": {dumps, "", map[string]string{usual: "version = 2\ndisabled_plugins = [\n  \"" + aufs + "\",\n  # \"io.containerd.internal.v1.opt\",\n  \"io.containerd.grpc.v1.cri\", # not here\n]\nSystemdCgroup = true\n"},
			[]string{aufs, "io.containerd.grpc.v1.cri"}, "systemd", ""},
		"version 3": {dumps, "", map[string]string{usual: "version = 3\ndisabled_plugins = [ 'io.containerd.cri.v1.images'\n , 'io.containerd.cri.v1.runtime' ]\n[plugins]\n  [plugins.'io.containerd.cri.v1.images'.pinned_images]\n    sandbox = 'registry.k8s.io/pause:3.10'\n"},
			[]string{"io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"}, "cgroupfs", "registry.k8s.io/pause:3.10"},
		"none, in comments":    {dumps, "", map[string]string{usual: "# disabled_plugins = [\"cri\"]\ndisabled_plugins = [ # \"cri\"\n]\n"}, nil, "cgroupfs", ""},
		"none":                 {dumps, "", map[string]string{usual: "disabled_plugins = []\nSystemdCgroup = true\n"}, nil, "systemd", ""},
		"a dump with a merged": {dumps, "", map[string]string{usual: "imports = [\"ROOT/etc/containerd/conf.d/*.toml\"]\ndisabled_plugins = [\"cri\"]\n", "/etc/containerd/conf.d/a.toml": "disabled_plugins = [\"x\"]\n"}, []string{"cri"}, "cgroupfs", ""},
		"Flatcar's file by a variable": {dumps, show("/usr/bin/containerd --config ${CONTAINERD_CONFIG}", "TORCX=1 CONTAINERD_CONFIG=ROOT/usr/share/containerd/config.toml"),
			map[string]string{"/usr/share/containerd/config.toml": "SystemdCgroup = true\n", usual: "disabled_plugins = [\"cri\"]\n"}, nil, "systemd", ""},
		"another file by its unit":   {dumps, show("/usr/bin/containerd -c ROOT/etc/other.toml", ""), map[string]string{"/etc/other.toml": "disabled_plugins = [\"cri\"]\n", usual: "SystemdCgroup = true\n"}, []string{"cri"}, "cgroupfs", ""},
		"another file by one word":   {dumps, show("/usr/bin/containerd --log-level=info --config=ROOT/etc/other.toml", ""), map[string]string{"/etc/other.toml": "disabled_plugins = [\"cri\"]\n"}, []string{"cri"}, "cgroupfs", ""},
		"one that cannot dump":       {unable, "", map[string]string{usual: "disabled_plugins = [\n\"cri\"\n]\n[plugins.cri]\nsandbox_image = \"k8s.gcr.io/pause:3.1\"\n"}, []string{"cri"}, "cgroupfs", "k8s.gcr.io/pause:3.1"},
		"an import of one":           {unable, "", map[string]string{usual: "imports = [\"ROOT/etc/containerd/conf.d/*.toml\", 'more.toml']\n", "/etc/containerd/conf.d/10.toml": "disabled_plugins = [\n \"io.containerd.grpc.v1.cri\"]\n", "/etc/containerd/more.toml": "SystemdCgroup = true\n"}, []string{"io.containerd.grpc.v1.cri"}, "systemd", ""},
		"an import over many lines":  {unable, "", map[string]string{usual: "imports = [\n  \"ROOT/etc/a.toml\",\n  \"ROOT/etc/gone.toml\",\n]\n", "/etc/a.toml": "disabled_plugins = ['cri']\n"}, []string{"cri"}, "cgroupfs", ""},
		"one without any file":       {unable, "", nil, nil, driverUnknown, ""},
		"systemd that knows no unit": {dumps, "exit 4", map[string]string{usual: "SystemdCgroup = true\n"}, nil, "systemd", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vars := probing(0)
			vars["RUNTIME"] = "containerd"
			onHost(t, probesScript, tt.files, map[string]string{"containerd": tt.containerd, "systemctl": tt.systemctl}, vars, func(t *testing.T, out []byte) {
				p := readAs(t, parseProbes, out)
				if !slices.Equal(p.disabled, tt.disabled) || p.driver != tt.driver || p.sandbox != tt.sandbox {
					t.Errorf("%q %s %s\n%s", p.disabled, p.driver, p.sandbox, out)
				}
			})
		})
	}
}

// CRI-O shows what is as by default as a comment.
func TestCRIOOfAHost(t *testing.T) {
	for config, want := range map[string][2]string{
		"pause_image = \"a/pause:1\"\ncgroup_manager = \"cgroupfs\"\n":                               {"a/pause:1", "cgroupfs"},
		"# pause_image = \"registry.k8s.io/pause:3.10\"\n# cgroup_manager = \"systemd\"\n":           {"registry.k8s.io/pause:3.10", "systemd"},
		"# The image.\n# pause_image = \"x/pause:1\"\npause_image = \"b/pause:2\"\n# cgroup_manager": {"b/pause:2", "systemd"},
	} {
		vars := probing(0)
		vars["RUNTIME"] = "crio"
		onHost(t, probesScript, nil, map[string]string{"crio": "cat <<'X'\n" + config + "\nX"}, vars, func(t *testing.T, out []byte) {
			if p := readAs(t, parseProbes, out); p.sandbox != want[0] || p.driver != want[1] {
				t.Errorf("%q: %s %s", config, p.sandbox, p.driver)
			}
		})
	}
}

// What a host's own files have beyond the recipe's: kernel settings in every directory and by
// each name, swap at the next boot, what clusters leave.
func TestFilesOfAHost(t *testing.T) {
	for name, tt := range map[string]struct {
		files   map[string]string
		sysctls []sysctlLine
		swap    []string
		left    []string
	}{
		"sysctl of a package":             {map[string]string{"/usr/lib/sysctl.d/99-zz.conf": "net.ipv4.ip_forward = 0\n"}, []sysctlLine{{"/usr/lib/sysctl.d/99-zz.conf", "net.ipv4.ip_forward", "0"}}, nil, nil},
		"sysctl that may fail":            {map[string]string{"/etc/sysctl.d/zz.conf": "  -net/ipv4/ip_forward=0"}, []sysctlLine{{"/etc/sysctl.d/zz.conf", "net.ipv4.ip_forward", "0"}}, nil, nil},
		"sysctl by its other name":        {map[string]string{"/run/sysctl.d/zz.conf": "net.ipv4.conf.all.forwarding=0\n"}, []sysctlLine{{"/run/sysctl.d/zz.conf", "net.ipv4.ip_forward", "0"}}, nil, nil},
		"sysctl in place of a package's":  {map[string]string{"/etc/sysctl.d/zz.conf": "# nothing\n", "/usr/lib/sysctl.d/zz.conf": "net.ipv4.ip_forward = 0\n"}, nil, nil, nil},
		"sysctl that is masked":           {map[string]string{"/etc/sysctl.d/zz.conf": "-> /dev/null", "/lib/sysctl.d/zz.conf": "net.ipv4.ip_forward = 0\n"}, nil, nil, nil},
		"sysctl in a comment":             {map[string]string{"/etc/sysctl.conf": "#net.ipv4.ip_forward=1\n; net.ipv6.conf.all.forwarding=1\n"}, nil, nil, nil},
		"swap at the next boot":           {map[string]string{"/etc/fstab": "# /dev/a none swap sw 0 0\nUUID=1 / ext4 defaults 0 1\n/swap.img\tnone\tswap\tsw\t0\t0\n", "/proc/swaps": "Filename Type\n"}, nil, []string{"/swap.img"}, nil},
		"swap by a UUID":                  {map[string]string{"/etc/fstab": "UUID=2 swap swap defaults 0 0\n"}, nil, []string{"UUID=2"}, nil},
		"swap that is mounted by hand":    {map[string]string{"/etc/fstab": "/dev/b none swap sw,noauto 0 0\n#/swapfile none swap sw 0 0\n"}, nil, nil, nil},
		"kubeconfigs of another":          {map[string]string{"/etc/kubernetes/controller-manager.conf": "", "/etc/kubernetes/bootstrap-kubelet.conf": ""}, nil, nil, []string{"/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/bootstrap-kubelet.conf"}},
		"static pods by other extensions": {map[string]string{"/etc/kubernetes/manifests/etcd.yml": "", "/etc/kubernetes/manifests/haproxy.json": ""}, nil, nil, []string{"/etc/kubernetes/manifests/etcd.yml", "/etc/kubernetes/manifests/haproxy.json"}},
		"hidden files among static pods":  {map[string]string{"/etc/kubernetes/manifests/.keep": ""}, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onHost(t, factsScript, tt.files, map[string]string{"ip": "exit 0", "systemctl": "exit 0"}, factsVars, func(t *testing.T, out []byte) {
				f := readAs(t, parseFacts, out)
				if !slices.Equal(f.sysctls, tt.sysctls) || !slices.Equal(f.swapsAtBoot, tt.swap) || !slices.Equal(f.left, tt.left) {
					t.Errorf("%v %v %v\n%s", f.sysctls, f.swapsAtBoot, f.left, out)
				}
			})
		})
	}
}
