package kubeadm_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/kubeadm"
)

// caCert is the ca.crt of a test cluster.
const caCert = `-----BEGIN CERTIFICATE-----
MIIBWzCCAQGgAwIBAgIBATAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwprdWJlcm5l
dGVzMB4XDTMwMDEwMjAzMDQwNVoXDTQwMDEwMjAzMDQwNVowFTETMBEGA1UEAxMK
a3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABD3YQko3NW0wNTY+
FyDEIABisn6BHMjKcgAeb1P9nzpTSj3vlOYREvER8Zv5RGICktDYR5kVGP8yQLA9
YAhEPUejQjBAMA4GA1UdDwEB/wQEAwICBDAPBgNVHRMBAf8EBTADAQH/MB0GA1Ud
DgQWBBRaEtP+0D2Ke1BD6V0AxZB5n0RSFTAKBggqhkjOPQQDAgNIADBFAiEA+544
8l9lsUPq6/mEBx4EthZyrlBrNcaYNF8/EB9GNCECICl+0ki0GmFFbkd+2H7EclDo
78iuwFii/KPH8uCnoo87
-----END CERTIFICATE-----
`

// caCertHash is what openssl x509 -pubkey | openssl pkey -pubin -outform der |
// openssl dgst -sha256 -hex, kubeadm's documentation's own recipe, says of it.
const caCertHash = "sha256:f7de247ad7d40e6e18d0c15fabaa1752f049494b030b273030186a4d97366b1e"

func TestCAHashesOfAFile(t *testing.T) {
	two, err := kubeadm.CAHashes([]byte("\n" + caCert + caCert))
	require.NoError(t, err)
	require.Equal(t, []string{caCertHash, caCertHash}, two)
	for _, bad := range []string{"", "x", caCert + "x", caCert[:len(caCert)/2], "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		_, err := kubeadm.CAHashes([]byte(bad))
		require.ErrorContains(t, err, "CA file")
	}
}

func FuzzCAHashes(f *testing.F) {
	f.Add([]byte(caCert))
	f.Fuzz(func(t *testing.T, data []byte) {
		hashes, err := kubeadm.CAHashes(data)
		require.Equal(t, err == nil, len(hashes) > 0)
	})
}

// The hashes of an authority's file need no package that issues certificates.
func ExampleCAHashes() {
	hashes, err := kubeadm.CAHashes([]byte(caCert))
	fmt.Println(hashes, err)
	// Output: [sha256:f7de247ad7d40e6e18d0c15fabaa1752f049494b030b273030186a4d97366b1e] <nil>
}
