package machines

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSpecHosts(t *testing.T) {
	hosts := Spec{}.Hosts()
	var got []string
	for _, h := range hosts {
		got = append(got, strings.Join([]string{h.Name, string(h.Role), h.Address.String(), h.Pods.String()}, " "))
	}
	want := []string{
		"cp-1 control-plane 10.177.0.11 10.244.1.0/24",
		"cp-2 control-plane 10.177.0.12 10.244.2.0/24",
		"cp-3 control-plane 10.177.0.13 10.244.3.0/24",
		"worker-1 worker 10.177.0.51 10.244.4.0/24",
	}
	if !slices.Equal(got, want) {
		t.Errorf("hosts are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSpecAddressesAreDistinct holds for every number of hosts that is allowed.
func TestSpecAddressesAreDistinct(t *testing.T) {
	s := Spec{ControlPlanes: maxPerRole, Workers: maxPerRole}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	seen := map[netip.Addr]string{s.Gateway(): "gateway", s.VIP(): "VIP"}
	for _, h := range s.Hosts() {
		if other, ok := seen[h.Address]; ok {
			t.Errorf("%s and %s have the address %s", h.Name, other, h.Address)
		}
		seen[h.Address] = h.Name
		if !s.WithDefaults().Network.Contains(h.Address) || !s.WithDefaults().Pods.Overlaps(h.Pods) {
			t.Errorf("%s lies outside its ranges: %s %s", h.Name, h.Address, h.Pods)
		}
		if len(vethOf(h.Name)) > maxInterfaceName {
			t.Errorf("%s is too long for an interface", vethOf(h.Name))
		}
	}
}

func TestSpecValidateReportsEveryProblem(t *testing.T) {
	err := Spec{
		ControlPlanes: 41, Workers: -1,
		Network: netip.MustParsePrefix("10.244.0.0/25"),
		Pods:    netip.MustParsePrefix("10.244.0.0/16"),
		Bridge:  "a-name-that-is-too-long",
	}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"41 control planes", "-1 workers", "10.244.0.0/25", "overlap", "a-name-that-is-too-long"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q: %v", want, err)
		}
	}
}

const hybridMounts = `30 20 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup rw
`

func TestParseCgroups(t *testing.T) {
	for name, c := range map[string]struct {
		mounts, own string
		want        cgroups
	}{
		"hybrid": {
			hybridMounts, "3:name=systemd:/user\n2:memory:/jobs/a\n1:cpuacct,cpu:/\n0::/\n",
			cgroups{"/sys/fs/cgroup/systemd/user", "/sys/fs/cgroup/memory/jobs/a", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/unified"},
		},
		"v2": {
			"30 20 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n", "0::/user.slice/session-1.scope\n",
			cgroups{"/sys/fs/cgroup"},
		},
	} {
		got, err := parseCgroups(strings.NewReader(c.mounts), strings.NewReader(c.own))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q (%v), want %q", name, got, err, c.want)
		}
	}
	if _, err := parseCgroups(strings.NewReader(""), strings.NewReader("0::/\n")); err == nil {
		t.Error("a machine without cgroups is accepted")
	}
}

func TestParseMountsBelow(t *testing.T) {
	const mountinfo = "1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /lab rw - ext4 b rw\n3 2 0:3 / /lab/a\\040b rw - ext4 c rw\n4 1 0:4 / /laboratory rw - ext4 d rw\n"
	got, err := parseMountsBelow(strings.NewReader(mountinfo), "/lab")
	if want := []string{"/lab", "/lab/a b"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("mounts %q (%v), want %q", got, err, want)
	}
}

// TestRealPath: mounts below a path with a symbolic link in it must be found,
// or removing the path would empty what is mounted.
func TestRealPath(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(base, "real/lab"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"link/lab": "real/lab", "link/later/still": "real/later/still", "real/lab": "real/lab", "none": "none",
	} {
		got, err := realPath(filepath.Join(base, dir))
		if err != nil || got != filepath.Join(base, want) {
			t.Errorf("%s is %s (%v), want %s", dir, got, err, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	const stat = "42 (a) name) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9876 1000 1 18446744073709551615"
	state, start, err := parseStat(stat)
	if err != nil || state != "S" || start != 9876 {
		t.Errorf("state %q, start %d, error %v", state, start, err)
	}
	if _, _, err := parseStat("42 (x) S 1"); err == nil {
		t.Error("a short line is accepted")
	}
}

func TestProcessIdentity(t *testing.T) {
	self, err := findProcess(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	if !self.alive() {
		t.Error("this process is not found alive")
	}
	self.Start++
	if self.alive() {
		t.Error("a process with the same id and another start is taken for ours")
	}
}

func TestOverlappingRoute(t *testing.T) {
	const routes = `[{"dst":"default","gateway":"192.0.2.1"},{"dst":"10.0.0.0/9"},{"dst":"10.177.0.77"}]`
	for network, want := range map[string]string{
		"10.177.0.0/24": "10.177.0.77", "10.1.0.0/24": "10.0.0.0/9", "172.16.0.0/24": "",
	} {
		got, err := overlappingRoute([]byte(routes), netip.MustParsePrefix(network))
		if err != nil || got != want {
			t.Errorf("%s overlaps %q (%v), want %q", network, got, err, want)
		}
	}
}

func TestParseAlias(t *testing.T) {
	for text, want := range map[string]string{
		`[{"ifname":"quorate0","ifalias":"/var/lab"}]`: "/var/lab",
		`[{"ifname":"quorate0"}]`:                      "",
	} {
		if got, err := parseAlias([]byte(text)); err != nil || got != want {
			t.Errorf("alias %q (%v), want %q", got, err, want)
		}
	}
}

func TestWriteTree(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := writeFile(source, []byte("binary"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := []File{
		{Path: "/etc/secret", Mode: 0o600, Content: []byte("x")},
		{Path: "/etc/link", Link: "/dev/null"},
		{Path: "/usr/bin/tool", Mode: 0o755, Source: source},
	}
	for range 2 { // the second time replaces the first
		if err := WriteTree(filepath.Join(dir, "root"), files); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "root/etc/secret"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("secret: %v, %v", info, err)
	}
	if got, err := os.Readlink(filepath.Join(dir, "root/etc/link")); err != nil || got != "/dev/null" {
		t.Errorf("link to %q, %v", got, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "root/usr/bin/tool")); err != nil || string(got) != "binary" {
		t.Errorf("tool holds %q, %v", got, err)
	}
}

func TestHostFilesDiffer(t *testing.T) {
	s := Spec{}.WithDefaults()
	client, err := newKeyPair("client")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, h := range s.Hosts() {
		key, err := newKeyPair(h.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range hostFiles(s, h, key, client) {
			switch f.Path {
			case "/etc/machine-id":
				ids[string(f.Content)] = true
			case "/etc/ssh/ssh_host_ed25519_key":
				if f.Mode != 0o600 {
					t.Errorf("the host's key has mode %o", f.Mode)
				}
			case "/usr/local/lib/lab/network":
				if strings.Contains(string(f.Content), h.Pods.String()) {
					t.Errorf("%s routes its own pods away", h.Name)
				}
			}
			if strings.Contains(string(f.Content), string(client.private)) {
				t.Errorf("%s holds the client's private key", f.Path)
			}
		}
		if line := knownHostsLine(h, key); !strings.HasPrefix(line, h.Address.String()+","+h.Name+" ssh-ed25519 ") {
			t.Errorf("known_hosts line %q", line)
		}
	}
	if len(ids) != len(s.Hosts()) {
		t.Errorf("%d machine ids for %d hosts", len(ids), len(s.Hosts()))
	}
}

func TestStateSurvives(t *testing.T) {
	dir := t.TempDir()
	spec := Spec{}.WithDefaults()
	want := &state{
		Spec: spec, Layers: []string{"a"}, Sysctls: map[string]string{"x": "1"},
		Hosts: map[string]*hostState{"cp-1": {Host: spec.Hosts()[0], Cgroups: cgroups{"/c"}, Init: process{PID: 7, Start: 8}}},
	}
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := readState(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v (%v), want %+v", got, err, want)
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if l.Running("cp-1") || l.Running("none") {
		t.Error("hosts that do not run are reported running")
	}
	if err := l.PowerCut(t.Context(), "none"); err == nil || !strings.Contains(err.Error(), "worker-1") {
		t.Errorf("error %v does not name the hosts there are", err)
	}
}

func TestDownWithoutLab(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/mountinfo"); err != nil {
		t.Skip("needs Linux: ", err)
	}
	if err := Down(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("somebody else's file is gone: %v", err)
	}
}

func TestPollEndsWithContext(t *testing.T) {
	calls := 0
	err := poll(t.Context(), time.Microsecond, func() (bool, error) { calls++; return calls == 3, nil })
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
