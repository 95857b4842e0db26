# put the manifest in place that was kept
#
#   MANIFEST   where the kubelet finds it
#   ASIDE      what was kept; it stays until the process is back
#   PROCESS    the file for PROCESSES
#   PROCESSES  what the processes are known by that run with the other
set -e
dir=${ASIDE%/*}
printf '%s\n' "$PROCESSES" >"$PROCESS"
cp -f "$ASIDE" "$dir/.back"
chmod 600 "$dir/.back"
mv -f "$dir/.back" "$MANIFEST"
