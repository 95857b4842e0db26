package drill

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A host without power owns nothing from the first beat that it owed and did not
// sends, at the latest from when it was certainly off.
func TestOffSpans(t *testing.T) {
	beats := []holding{{at(0), true}, {at(500), true}, {at(1000), true}}
	after := holding{at(9000), false}
	cases := []struct {
		name string
		said []holding
		off  outage
		want []span
	}{
		{"silent before it was certain", beats, outage{asked: at(1100), done: at(5000), until: at(8000)}, []span{{at(1500), at(8000)}}},
		{"certain before the next beat", beats, outage{asked: at(1100), done: at(1200), until: at(8000)}, []span{{at(1200), at(8000)}}},
		{"not certain yet", beats, outage{asked: at(1100)}, []span{{at(1500), at(10000)}}},
		{"speaks until it is certain", append(beats, holding{at(1500), true}, holding{at(2000), true}), outage{asked: at(1100), done: at(2100), until: at(8000)}, []span{{at(2100), at(8000)}}},
		{"asked long after its last word", beats, outage{asked: at(4000), done: at(4100), until: at(8000)}, []span{{at(4000), at(8000)}}},
		{"back before it was found back", append(beats, after), outage{asked: at(1100), until: at(9500)}, []span{{at(1500), at(9000)}}},
		{"what it says afterwards is of another boot", append(beats, after), outage{asked: at(1100), done: at(5000), until: at(8000)}, []span{{at(1500), at(8000)}}},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			r := newRecord()
			r.holdings["a"] = test.said
			r.off["a"] = []outage{test.off}
			require.Equal(t, test.want, r.offSpans("a", at(10000)))
		})
	}
}

// A host that is silent without a reason hides who held the VIP; one that is off
// or cut off does not.
func TestHorizon(t *testing.T) {
	hosts := []Host{{Name: "a"}, {Name: "b"}}
	r := newRecord()
	r.holdings["a"] = []holding{{at(4000), true}}
	r.holdings["b"] = []holding{{at(1000), false}}
	require.Equal(t, at(1000), r.horizon(hosts, at(5000)))
	r.off["b"] = []outage{{asked: at(1100)}}
	require.Equal(t, at(4000), r.horizon(hosts, at(5000)))
	r.off["b"][0].until = at(4500)
	require.Equal(t, at(1000), r.horizon(hosts, at(5000)))
	r.cut["b"] = []span{{from: at(4600)}}
	require.Equal(t, at(4000), r.horizon(hosts, at(5000)))
	require.Equal(t, []string{"a does not say whether it holds the VIP", "b does not say whether it holds the VIP"}, r.missingHolder(hosts, at(9000)))
}

// A host that has another boot was off since its last word.
func TestRebooted(t *testing.T) {
	r := newRecord()
	w := &ownerWatch{host: "a", vip: "10.0.0.100", record: r, now: at(9000).UTC}
	for _, line := range []string{
		"boot one 0", "1772366400000000000 1", "boot one 1", "1772366401000000000 1", "boot two 0", "1772366408000000000 0",
	} {
		w.line(line, 0)
	}
	require.Equal(t, 1, w.lines)
	require.Equal(t, []HostSpan{{"a", at(0), at(1500)}}, r.owners([]Host{{Name: "a"}}, at(9000)))
}
