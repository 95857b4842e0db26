# stop etcd
if [ -e /etc/systemd/system/etcd.service ]; then systemctl stop etcd.service; fi
