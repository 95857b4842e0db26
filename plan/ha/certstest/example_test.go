package certstest_test

import (
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/certstest"
)

// Vault is an example of a program's own source of certificates.
type Vault struct{ *pki.Bundle }

func newVault(c quorate.Cluster) (Vault, error) {
	b, err := pki.New(c, pki.Config{})
	return Vault{b}, err
}

// A source of one's own is tested in a test of one's own.
func Example() {
	_ = func(t *testing.T) { // func TestVault(t *testing.T)
		certstest.Run(t, certstest.Harness{
			New: func(t *testing.T, c quorate.Cluster) ha.Certs {
				source, err := newVault(c)
				if err != nil {
					t.Fatal(err)
				}
				return source
			},
			NoStacked: true,
		})
	}
	// Output:
}
