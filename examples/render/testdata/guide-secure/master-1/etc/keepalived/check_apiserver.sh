#!/bin/sh
# Succeeds only if this node's own API server is ready to serve. keepalived runs
# it and keeps the API's address off this node while it fails.
url=https://10.0.1.11:6443/healthz
answer=$(curl -q --silent --show-error --fail --noproxy '*' --proto =https \
    --cacert /etc/kubernetes/pki/ca.crt --max-time 0.8 "$url") || exit 1
[ "$answer" = ok ] || {
    echo "$url answers something else than ok" >&2
    exit 1
}
