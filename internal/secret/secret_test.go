package secret_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/internal/secret"
	"github.com/quorate-dev/quorate/internal/secret/secrettest"
)

const marker = "S3CR3T-marker-of-bytes"

func TestFmtHidesSecrets(t *testing.T) {
	secrettest.AssertHides(t, "Bytes", secret.New([]byte(marker)), marker)
	secrettest.AssertHides(t, "Value of a string", secret.Hide(marker), marker)
	secrettest.AssertHides(t, "Value of bytes", secret.Hide([]byte(marker)), marker)
	seed := sha256.Sum256([]byte(marker))
	key := ed25519.NewKeyFromSeed(seed[:])
	secrettest.AssertHides(t, "Value of a key", secret.Hide(key), string(seed[:]), hex.EncodeToString(seed[:]))
}

// The assertion above can fail: it finds a secret that a type's methods hide
// and a walk by reflection does not.
func TestAssertHidesSeesThroughMethods(t *testing.T) {
	for name, value := range map[string]any{
		"bare bytes": struct{ b []byte }{[]byte(marker)}, "string": struct{ s string }{marker}, "masked by methods": masked{[]byte(marker)},
		"behind pointers": doubled(marker),
	} {
		var seen counter
		secrettest.AssertHides(&seen, name, value, marker)
		if seen.errors == 0 {
			t.Errorf("%s: nothing is noticed", name)
		}
	}
}

// masked hides from direct printing only; twice hides from fmt but not from spew.
type (
	masked struct{ b []byte }
	twice  struct{ b **[]byte }
)

func (masked) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte("-")) }
func (masked) MarshalText() ([]byte, error) { return []byte("-"), nil }

func doubled(s string) twice {
	b := []byte(s)
	p := &b
	return twice{&p}
}

type counter struct {
	testing.TB
	errors int
}

func (*counter) Helper()                 {}
func (c *counter) Errorf(string, ...any) { c.errors++ }

func TestBytesEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(t, "a"), rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		x, y, again := secret.New(a), secret.New(b), secret.New(bytes.Clone(a))
		switch {
		case !bytes.Equal(x.Reveal(), a) || x.Len() != len(a):
			t.Fatal("what comes back is not what was put in")
		case x.Equal(y) != bytes.Equal(a, b) || reflect.DeepEqual(x, y) != bytes.Equal(a, b):
			t.Fatal("Bytes compare otherwise than what they hold")
		case !x.Equal(again) || !reflect.DeepEqual(x, again):
			t.Fatal("Bytes differ from Bytes that hold the same")
		}
	})
}

func TestBytesCopies(t *testing.T) {
	in := []byte("text")
	b := secret.New(in)
	in[0] = 'X'
	b.Reveal()[1] = 'Y'
	require.Equal(t, "text", string(b.Reveal()))
	require.Equal(t, secret.Bytes{}, secret.New(nil))
	require.Nil(t, secret.Bytes{}.Reveal())
	require.True(t, secret.Bytes{}.Equal(secret.New([]byte{})))
}

func TestValue(t *testing.T) {
	require.Equal(t, 7, secret.Hide(7).Reveal())
	require.Zero(t, secret.Value[string]{}.Reveal())
	v := secret.Hide("x")
	same := v
	require.True(t, v == same && reflect.DeepEqual(v, same) && v != secret.Hide("x"))
}
