package quorate_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/secret/secrettest"
)

const marker = "S3CR3T-marker-of-content"

func TestSensitiveContentIsHidden(t *testing.T) {
	content := quorate.Sensitive([]byte(marker))
	file := quorate.File{Path: "/x", Content: content}
	secrettest.AssertHides(t, "content", content, marker)
	secrettest.AssertHides(t, "file", file, marker)
	secrettest.AssertHides(t, "files", []quorate.File{file}, marker)
	secrettest.AssertHides(t, "array", [1]quorate.Content{content}, marker)
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
	case !reflect.DeepEqual(secret, quorate.Sensitive([]byte("text"))) || reflect.DeepEqual(secret, quorate.Sensitive([]byte("test"))) || reflect.DeepEqual(secret, public):
		t.Error("reflect.DeepEqual")
	case public.SHA256() != secret.SHA256():
		t.Error("SHA256")
	case zero.Len() != 0 || zero.Bytes() != nil || zero.IsSensitive() || secret.Len() != 4:
		t.Error("zero value")
	}
}
