package transport_test

import (
	"testing"

	"github.com/quorate-dev/quorate/internal/secret/secrettest"
	"github.com/quorate-dev/quorate/transport"
)

func TestDataIsHidden(t *testing.T) {
	const secret = "S3CR3T-marker-of-data"
	f := transport.File{Path: "/x", Data: transport.Bytes([]byte(secret))}
	secrettest.AssertHides(t, "data", f.Data, secret)
	secrettest.AssertHides(t, "file", f, secret)
	secrettest.AssertHides(t, "query", transport.Query{Stdin: f.Data}, secret)
	if string(f.Data.Bytes()) != secret || f.Data.Len() != len(secret) {
		t.Error("the content is gone")
	}
}
