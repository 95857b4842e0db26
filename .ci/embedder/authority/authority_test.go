package authority_test

import (
	"testing"

	"example.com/importer/embedder/authority"
	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/certstest"
)

func TestConformance(t *testing.T) {
	certstest.Run(t, certstest.Harness{
		New: func(t *testing.T, c quorate.Cluster) ha.Certs {
			a, err := authority.New(c)
			if err != nil {
				t.Fatal(err)
			}
			return a
		},
		NoStacked: true, // the key of etcd's authority stays here
	})
}
