package holder

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
)

// Every state of three hosts' VIP, by what the script printed on each.
func TestVerdict(t *testing.T) {
	const (
		mac1, mac2, mac3 = "mac=02:00:00:00:00:01\n", "mac=02:00:00:00:00:02\n", "mac=02:00:00:00:00:03\n"
		yes, to1         = "answer=yes\n", "neighbour=02:00:00:00:00:01\n"
	)
	for name, c := range map[string]struct {
		cp1, cp2, cp3 string
		holders       []string
		want          string // empty if nothing is wrong
		note          string
	}{
		"one holder":                       {cp1: "address=eth0 192.0.2.10/32\n" + mac1, cp2: mac2 + yes + to1, cp3: mac3 + yes + to1},
		"one holder beyond a router":       {cp1: "address=eth0 192.0.2.10/32\n" + mac1, cp2: mac2 + yes, cp3: mac3 + yes},
		"no holder":                        {cp1: mac1 + "answer=curl: (7) refused\n", cp2: mac2 + "answer=\n", cp3: "", want: "cp-1, cp-2, cp-3: no control plane holds the VIP (cp-1 heard curl: (7) refused; cp-2 heard no answer; cp-3 heard no answer)"},
		"nobody described holds it":        {cp1: mac1 + yes + "neighbour=02:00:00:00:00:99\n", cp2: mac2 + yes, cp3: mac3 + yes, want: "no control plane holds the VIP (cp-1 has an answer from 02:00:00:00:00:99)"},
		"two holders":                      {cp1: "address=eth0 192.0.2.10/32\n" + mac1, cp2: "address=eth1 192.0.2.10/32\n" + mac2, cp3: mac3 + yes + to1, holders: []string{"cp-1 (eth0)", "cp-2 (eth1)"}, want: "2 hosts hold the VIP at once: cp-1 (eth0), cp-2 (eth1)"},
		"three holders":                    {cp1: "address=eth0 192.0.2.10/32\n", cp2: "address=eth0 192.0.2.10/32\n", cp3: "address=eth0 192.0.2.10/32\n", holders: []string{"cp-1 (eth0)", "cp-2 (eth0)", "cp-3 (eth0)"}, want: "3 hosts hold the VIP at once"},
		"two interfaces of one host":       {cp1: "address=eth0 192.0.2.10/32\naddress=eth1 192.0.2.10/32\n" + mac1, cp2: mac2 + yes + to1, cp3: mac3 + yes + to1, holders: []string{"cp-1 (eth0, eth1)"}, want: "the VIP is on 2 interfaces: eth0, eth1"},
		"a host that does not reach it":    {cp1: "address=eth0 192.0.2.10/32\n" + mac1, cp2: mac2 + "answer=curl: (28) timed out\n", cp3: mac3 + yes + to1, holders: []string{"cp-1 (eth0)"}, want: "cp-2: the VIP does not answer, although cp-1 holds it: curl: (28) timed out"},
		"a former holder still gets it":    {cp1: "address=eth0 192.0.2.10/32\n" + mac1, cp2: mac2 + yes + to1, cp3: mac3 + yes + "neighbour=02:00:00:00:00:02\n", holders: []string{"cp-1 (eth0)"}, want: "cp-3: sends packets for the VIP to cp-2, although cp-1 holds it"},
		"somebody else answers for it":     {cp1: "address=eth0 192.0.2.10/32\n" + mac1, cp2: mac2 + yes + to1, cp3: mac3 + yes + "neighbour=02:00:00:00:00:99\n", note: "cp-3: sends packets for the VIP to 02:00:00:00:00:99"},
		"control characters in the answer": {cp1: "address=eth0 192.0.2.10/32\n" + mac1, cp2: mac2 + "answer=\x1b]0;x\x07\u202e\n", cp3: mac3 + yes + to1, holders: []string{"cp-1 (eth0)"}, want: "the VIP does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			a := Verdict{VIP: netip.MustParseAddr("192.0.2.10")}
			seen := map[string]view{}
			for i, out := range []string{c.cp1, c.cp2, c.cp3} {
				n := quorate.Node{Name: []string{"cp-1", "cp-2", "cp-3"}[i]}
				a.Nodes = append(a.Nodes, n)
				seen[n.Name] = parse(netip.MustParseAddr("192.0.2.10"), []byte(out))
			}
			err, notes := a.judge(seen)
			if c.note == "" {
				require.Empty(t, notes)
			} else {
				require.Len(t, notes, 1)
				require.Contains(t, notes[0].String(), c.note)
			}
			if c.want == "" {
				require.Nil(t, err)
				return
			}
			require.NotNil(t, err)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "VIP 192.0.2.10: ")
			require.Equal(t, c.holders, err.Holders)
			require.False(t, strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' && r != '\n' || r == '\u202e' }), "%q", err)
		})
	}
}

func FuzzView(f *testing.F) {
	f.Add("address=eth0 192.0.2.10/32\nmac=02:00:00:00:00:01\nanswer=yes\nneighbour=02:00:00:00:00:01\n")
	f.Add(strings.Repeat("address=x 192.0.2.10/32\n", 5000) + "answer=\x1b[2J")
	f.Fuzz(func(t *testing.T, out string) {
		v := parse(netip.MustParseAddr("192.0.2.10"), []byte(out))
		require.LessOrEqual(t, len(v.held)+len(v.macs), maxLines)
		for _, s := range append(append(v.held, v.macs...), v.answer, v.neighbour) {
			require.False(t, strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }), "%q", s)
		}
	})
}
