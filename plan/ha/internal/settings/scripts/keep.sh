# keep a manifest, and which processes run with it
#
#   MANIFEST   where the kubelet finds it
#   ASIDE      where it is kept, as a whole or not at all
#   PROCESS    the file for PROCESSES
#   PROCESSES  what the processes are known by
set -e
dir=${ASIDE%/*}
mkdir -p "$dir"
chmod 700 "$dir"
printf '%s\n' "$PROCESSES" >"$PROCESS"
cp -f "$MANIFEST" "$dir/.kept"
chmod 600 "$dir/.kept"
mv -f "$dir/.kept" "$ASIDE"
