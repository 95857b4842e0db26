# restart etcd with the unit that is in place
set -e
systemctl daemon-reload
systemctl restart etcd.service
