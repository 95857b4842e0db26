package kubeadm_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/kubeadm"
)

func assertHidden(t *testing.T, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	outputs := []string{string(text)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		outputs = append(outputs, fmt.Sprintf(verb, v))
	}
	hexToken := fmt.Sprintf("%x", "markermarker")
	for _, out := range outputs {
		for _, marker := range []string{"markermarker", hexToken, markerKey[:10]} {
			if strings.Contains(out, marker) {
				t.Errorf("%T shows %q: %.200s", v, marker, out)
			}
		}
	}
}

var tokenForm = regexp.MustCompile(`\A[a-z0-9]{6}\.[a-z0-9]{16}\z`)

func TestNewToken(t *testing.T) {
	a, err := kubeadm.NewToken(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := kubeadm.NewToken(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !tokenForm.Match(a.Bytes()) || !a.IsSensitive() || a.Equal(b) {
		t.Error("want two different sensitive tokens of kubeadm's form")
	}
}

// Every byte value once makes every character equally often: the four that
// would make a, b, c and d likelier are dropped.
func TestNewTokenIsUnbiased(t *testing.T) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	// 252 bytes count; 22 a token, so that 11 rounds fill 126 tokens exactly.
	random := bytes.NewReader(bytes.Repeat(all, 11))
	seen := map[rune]int{}
	for range 126 {
		token, err := kubeadm.NewToken(random)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range strings.ReplaceAll(string(token.Bytes()), ".", "") {
			seen[r]++
		}
	}
	if len(seen) != 36 {
		t.Fatalf("%d different characters", len(seen))
	}
	for r, n := range seen {
		if n != 7*11 {
			t.Errorf("%c: %d times", r, n)
		}
	}
}

func TestRandomnessRunsOut(t *testing.T) {
	_, err := kubeadm.NewToken(strings.NewReader("short"))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("token: %v", err)
	}
	_, err = kubeadm.NewCertificateKey(strings.NewReader("short"))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("certificate key: %v", err)
	}
}

func TestNewCertificateKey(t *testing.T) {
	key, err := kubeadm.NewCertificateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`\A[0-9a-f]{64}\z`).Match(key.Bytes()) || !key.IsSensitive() {
		t.Error("want 64 hex digits, sensitive")
	}
}

// A token is taken as it is or refused without being shown.
func FuzzParseToken(f *testing.F) {
	for _, s := range []string{"abcdef.0123456789abcdef", "", ".", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token, err := kubeadm.ParseToken(s)
		switch {
		case err == nil && (string(token.Bytes()) != s || !tokenForm.MatchString(s) || !token.IsSensitive()):
			t.Errorf("%q accepted", s)
		case err != nil && tokenForm.MatchString(s):
			t.Errorf("%q refused: %v", s, err)
		case err != nil && len(s) > 20 && strings.Contains(err.Error(), s):
			t.Errorf("the error shows %q", s)
		}
	})
}

// Without a source of randomness the operating system's is used.
func TestSecretsOfNoReader(t *testing.T) {
	a, errA := kubeadm.NewToken(nil)
	b, errB := kubeadm.NewToken(nil)
	key, errKey := kubeadm.NewCertificateKey(nil)
	if errA != nil || errB != nil || errKey != nil {
		t.Fatal(errA, errB, errKey)
	}
	if bytes.Equal(a.Bytes(), b.Bytes()) || key.Len() != 64 {
		t.Errorf("two tokens are the same, or a key has %d characters", key.Len())
	}
}
