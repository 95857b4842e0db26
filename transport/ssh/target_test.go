package ssh_test

import (
	"testing"

	"github.com/quorate-dev/quorate/transport/ssh"
)

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]ssh.Target{
		"host":                {Addr: "host"},
		"host:2222":           {Addr: "host", Port: 2222},
		"root@10.0.0.1":       {User: "root", Addr: "10.0.0.1"},
		"a@b@host:22":         {User: "a@b", Addr: "host", Port: 22},
		"::1":                 {Addr: "::1"},
		"[::1]":               {Addr: "::1"},
		"me@[fd00::1%eth0]:8": {User: "me", Addr: "fd00::1%eth0", Port: 8},
	} {
		got, err := ssh.ParseTarget(in)
		if err != nil || got.String() != want.String() || got.User != want.User || got.Addr != want.Addr || got.Port != want.Port {
			t.Errorf("%q: got %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "@host", "host:", "host:0", "host:65536", "host:x", "[::1", "[host]", "[::1]:", "a b", "-oProxyCommand=x", "host:1:2", "u\n@host"} {
		if got, err := ssh.ParseTarget(in); err == nil {
			t.Errorf("%q returned %+v", in, got)
		}
	}
}

// What parses is written back to something that parses to the same.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"host", "u@h:1", "[::1]:22", "::1", "u@[fe80::1%en0]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		one, err := ssh.ParseTarget(s)
		if err != nil {
			return
		}
		two, err := ssh.ParseTarget(one.String())
		if err != nil || one.String() != two.String() {
			t.Errorf("%q: %+v, then %+v, %v", s, one, two, err)
		}
	})
}
