# renew the bootstrap token
#
#   API_URL   of this host's API server
#   SECRET    the name of the token's Secret, which is read as YAML from standard input
#   TOKEN_ID  the first half of the token
ask() { kubectl --kubeconfig /etc/kubernetes/admin.conf --server "$API_URL" --request-timeout=10s "$@"; }
ask -n kube-system delete secret "$SECRET" --ignore-not-found </dev/null >/dev/null || exit 1
ask create -f - >/dev/null || exit 1
tries=60
while [ "$tries" -gt 0 ]; do
	case "$(ask -n kube-public get configmap cluster-info -o 'jsonpath={.data}' </dev/null 2>&1)" in
	*"jws-kubeconfig-$TOKEN_ID"*) exit 0 ;;
	esac
	tries=$((tries - 1))
	sleep 1
done
echo "kube-controller-manager has not signed the configmap cluster-info in kube-public with the new token: look at its log" >&2
exit 1
