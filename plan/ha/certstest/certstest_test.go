package certstest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/certstest"
)

// A bundle of package pki is a source as plan/ha wants it.
func TestBundle(t *testing.T) {
	certstest.Run(t, certstest.Harness{New: func(t *testing.T, c quorate.Cluster) ha.Certs {
		b, err := pki.New(c, pki.Config{
			Now: func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }, Keys: pki.Keys{ServiceAccount: pki.ECDSAP256},
		})
		require.NoError(t, err)
		return b
	}})
}
