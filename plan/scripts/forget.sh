# forget what was kept
#
#   DIR  of what was kept for a step, below the directory of its run
set -e
rm -f "$DIR/complete"
rm -rf "$DIR"
rmdir "${DIR%/*}" 2>/dev/null || :
rmdir "${DIR%/*/*}" 2>/dev/null || :
