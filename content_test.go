package quorate_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"go.yaml.in/yaml/v3"
)

const marker = "S3CR3T-marker-of-content"

// holder has the content at every depth that fmt and the encoders walk.
type holder struct {
	Exported quorate.Content
	hidden   quorate.Content
	pointer  *quorate.Content
	list     []quorate.Content
	Map      map[string]quorate.Content
	Any      any
	file     quorate.File
	inner    struct{ deep []map[string]*quorate.File }
}

func hold(c quorate.Content) holder {
	h := holder{Exported: c, hidden: c, pointer: &c, list: []quorate.Content{c}, Map: map[string]quorate.Content{"a": c}, Any: c}
	h.file = quorate.File{Path: "/x", Content: c}
	h.inner.deep = []map[string]*quorate.File{{"b": &h.file}}
	return h
}

// shows reports whether text holds the marker in any form fmt can print.
func shows(text string) bool {
	raw := []byte(marker)
	decimal := strings.Trim(fmt.Sprint(raw), "[]")
	for _, form := range []string{
		marker, hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), base64.StdEncoding.EncodeToString(raw), decimal,
		strings.ReplaceAll(decimal, " ", ","), fmt.Sprintf("% x", raw), strings.Trim(fmt.Sprintf("%#v", raw), "[]byte{}"),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestSensitiveContentIsNeverShown(t *testing.T) {
	secret := quorate.Sensitive([]byte(marker))
	h := hold(secret)
	values := map[string]any{
		"content": secret, "pointer": &secret, "struct": h, "struct pointer": &h, "file": h.file, "files": []quorate.File{h.file},
		"array": [1]quorate.Content{secret}, "interface": []any{secret, &h}, "error": fmt.Errorf("writing %v: %w", h, errors.New("no")),
	}
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c", "%U", "%e", "%t", "%p", "%20v", "%T", "%z"}
	for name, v := range values {
		for _, verb := range verbs {
			if got := fmt.Sprintf(verb, v); shows(got) {
				t.Errorf("%s of %s shows the secret: %s", verb, name, got)
			}
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v, slog.Group("g", "v", v))
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v, slog.Group("g", "v", v))
		j, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		y, err := yaml.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		if shows(log.String() + string(j) + string(y)) {
			t.Errorf("slog, JSON or YAML of %s shows the secret: %s %s %s", name, log.String(), j, y)
		}
	}
	if x, err := xml.Marshal(h.file); err != nil || shows(string(x)) {
		t.Errorf("XML: %s, %v", x, err)
	}
}

// TestTheMarkerIsLookedForRightly shows that the test above can fail.
func TestTheMarkerIsLookedForRightly(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if bare := struct{ b []byte }{[]byte(marker)}; !shows(fmt.Sprintf(verb, bare)) {
			t.Errorf("%s of bare bytes is not noticed: "+verb, verb, bare)
		}
	}
}

func TestContent(t *testing.T) {
	in := []byte("text")
	public, secret := quorate.Public(in), quorate.Sensitive(in)
	in[0] = 'X'
	out := public.Bytes()
	out[1] = 'Y'
	var zero quorate.Content
	switch {
	case string(public.Bytes()) != "text" || string(secret.Bytes()) != "text":
		t.Error("content shares its bytes with the caller")
	case public.String() != "text" || fmt.Sprintf("%q", public) != `"text"` || secret.String() != "[sensitive]":
		t.Error("String")
	case public.Equal(secret) || !secret.Equal(quorate.Sensitive([]byte("text"))) || !zero.Equal(quorate.Public(nil)):
		t.Error("Equal")
	case public.SHA256() != secret.SHA256():
		t.Error("SHA256")
	case zero.Len() != 0 || zero.Bytes() != nil || zero.IsSensitive() || secret.Len() != 4:
		t.Error("zero value")
	}
}
