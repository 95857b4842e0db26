# could the cluster do with this host?
#
#   API_HEALTH  URL of this host's API server
if curl --silent --insecure --connect-timeout 2 --max-time 10 "$API_HEALTH" 2>/dev/null | grep -q '^ok'; then echo api=ok; fi
echo "keepalived=$(systemctl is-active keepalived.service 2>/dev/null)"
