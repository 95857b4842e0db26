# does the cluster run without its first control plane?
#
#   FIRST_HEALTH  URL of the first control plane's API server
[ -e /etc/kubernetes/admin.conf ] || exit 0
if ! curl --silent --cacert /etc/kubernetes/pki/ca.crt --connect-timeout 2 --max-time 5 "$FIRST_HEALTH" 2>/dev/null | grep -q '^ok'; then echo first=away; fi
