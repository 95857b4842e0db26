package kubeadm_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// Aliases that stand for far more than the file holds are refused before they are followed: 60 KB were
// 900 MiB in memory.
func TestAliasesAreBounded(t *testing.T) {
	const head = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n"
	_, _, err := kubeadm.Parse([]byte(head+"a: &a "+strings.Repeat("s", 20<<10)+"\nb:\n"+strings.Repeat("- *a\n", 4000)), quorate.Version{})
	require.ErrorContains(t, err, "aliases")
	_, problems, err := kubeadm.Parse([]byte(head+"dns: &a {imageTag: x}\netcd: {local: *a}\n"), quorate.Version{})
	require.NoError(t, err, problems)
}
