package hatest_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/vip"
)

// Printed in any way, a cluster and its hosts show no secret of the run that they have seen.
func TestPrintedClustersHideSecrets(t *testing.T) {
	cluster := hafixture.Three()
	bundle, err := pki.New(cluster, pki.Config{})
	require.NoError(t, err)
	token, err := kubeadm.NewToken(rand.Reader)
	require.NoError(t, err)
	auth, err := vip.NewAuth(rand.Reader)
	require.NoError(t, err)
	hosts := clusterOf(t, cluster)
	up(t, hosts, ha.Config{Cluster: cluster, Certs: bundle, Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: auth})
	conn, err := hosts.Dial(t.Context(), "cp-1")
	require.NoError(t, err)
	hidden := string(auth.Bytes())
	_, secret, _ := strings.Cut(string(token.Bytes()), ".")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for name, value := range map[string]any{
			"cluster": hosts, "in a struct": struct{ C *hatest.Cluster }{hosts}, "in a list": []any{hosts}, "transport": hosts.Transport,
			"host": hosts.Host("cp-1"), "host in a struct": struct{ H any }{hosts.Host("cp-1")}, "connection": conn,
		} {
			text := fmt.Sprintf(verb, value)
			for _, form := range []string{secret, hidden, "PRIVATE KEY", base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")} {
				require.NotContains(t, text, form, "%s of a %s", verb, name)
			}
		}
	}
	require.Equal(t, "hatest.Cluster with the hosts cp-1, cp-2, cp-3, worker-1", hosts.String())
	require.Equal(t, hosts.String(), fmt.Sprintf("%+v", hosts))
	var none *hatest.Cluster
	require.Equal(t, "hatest.Cluster without hosts", none.String())
}
