package transport_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/transport"
)

// No verb of fmt and no encoder shows what a file holds, also where fmt cannot
// ask the type: behind an unexported field.
func TestDataShowsNothing(t *testing.T) {
	const secret = "marker"
	f := transport.File{Path: "/x", Data: transport.Bytes([]byte(secret))}
	type behind struct{ f transport.File }
	spaced := strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]")
	traces := []string{secret, spaced, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), "0x6d, 0x61, 0x72"}
	for name, v := range map[string]any{
		"data": f.Data, "pointer to data": &f.Data, "file": f, "field": behind{f}, "pointer to a field": &behind{f}, "slice": []behind{{f}},
	} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			_, _ = fmt.Fprintf(&out, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		_, _ = fmt.Fprintln(&out, string(text), err)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", v)
		for _, trace := range traces {
			if strings.Contains(out.String(), trace) {
				t.Errorf("%s shows %q:\n%s", name, trace, out.String())
			}
		}
	}
	if string(f.Data.Bytes()) != secret || f.Data.Len() != len(secret) {
		t.Error("the content is gone")
	}
}
