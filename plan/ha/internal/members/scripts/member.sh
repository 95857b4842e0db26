# print the state of this host's etcd member
#
#   DATA_DIR   of the member
#   JOIN_PATH  the drop-in of a member that joins
# A member that was never let in, or whose disk was lost, makes a database when it starts: its log tells one that took part.
if [ -n "$(ls -A "$DATA_DIR/member/wal" 2>/dev/null)" ]; then echo data=yes; fi
for f in "$DATA_DIR"/member/wal/*.wal; do
	[ ! -f "$f" ] || { echo "wal=$f"; break; }
done
if [ -e "$JOIN_PATH" ]; then echo joining=yes; fi
echo "unit=$(systemctl is-active etcd.service 2>/dev/null)"
