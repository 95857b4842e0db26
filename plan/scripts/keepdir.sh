# make a directory to keep things in
#
#   DIR  is made, empty, unless all is kept there
set -e
if [ -e "$DIR/complete" ] || [ -e "$DIR/irreversible" ]; then
	echo kept=yes
	exit 0
fi
umask 077
rm -rf "$DIR"
mkdir -p "$DIR"
