#!/bin/sh
# Succeeds only if this node's own API server is ready to serve. keepalived runs
# it and keeps the API's address off this node while it fails.
url=https://10.0.1.12:6443/healthz
# keepalived hears nothing on an interface that was removed and made again under the
# same name, until it starts again.
started=$(cat /run/keepalived-interface 2>/dev/null)
now=$(cat /sys/class/net/eth0/ifindex 2>/dev/null)
if [ -n "$started" ] && [ -n "$now" ] && [ "$started" != "$now" ]; then
    echo "eth0 is not the interface that keepalived started with: keepalived is restarted" >&2
    systemctl --no-block restart keepalived.service
    exit 1
fi
answer=$(curl -q --silent --show-error --fail --noproxy '*' --proto =https \
    --cacert /etc/kubernetes/pki/ca.crt --max-time 0.8 "$url") || exit 1
[ "$answer" = ok ] || {
    echo "$url answers something else than ok" >&2
    exit 1
}
