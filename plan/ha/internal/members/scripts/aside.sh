# put the data of an earlier etcd member aside
#
#   DATA_DIR  of the member; it stays where it is, since it may be a disk of its own
set -e
if [ -e /etc/systemd/system/etcd.service ]; then systemctl stop etcd.service; fi
if ! [ -e "$DATA_DIR/member" ]; then exit 0; fi
# What took no part must not replace what an earlier one has left.
if [ -e "$DATA_DIR/member.kept" ] && [ -z "$(ls -A "$DATA_DIR/member/wal" 2>/dev/null)" ]; then
	rm -rf "$DATA_DIR/member"
	exit 0
fi
rm -rf "$DATA_DIR/member.kept"
mv "$DATA_DIR/member" "$DATA_DIR/member.kept"
