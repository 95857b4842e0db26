# until when is the bootstrap token valid?
#
#   API_URL  of this host's API server
#   SECRET   the name of the token's Secret, of which the expiration is printed and nothing else
echo "now=$(date -u +%Y-%m-%dT%H:%M:%SZ)"
found=$(kubectl --kubeconfig /etc/kubernetes/admin.conf --server "$API_URL" --request-timeout=10s -n kube-system get secret "$SECRET" --ignore-not-found -o 'jsonpath={.metadata.name} {.data.expiration}') || exit 1
echo "found=$found"
