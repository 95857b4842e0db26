# report how a component runs
#
#   NAME     its name in /proc/PID/comm
#   HEALTH   the URL where it says that it is well; empty if it has none
#   ASIDE    the manifest that is kept while its settings change
#   PROCESS  says which processes ran with that
LC_ALL=C
export LC_ALL
[ ! -e "$ASIDE" ] || echo "kept=$(cat "$PROCESS" 2>/dev/null)"
# The certificate of two of the three is their own, and each is asked on its host.
if [ -z "$HEALTH" ]; then
	echo well=yes
elif said=$(curl --noproxy '*' --silent --show-error --fail --insecure --connect-timeout 2 --max-time 5 "$HEALTH" 2>&1); then
	echo well=yes
else
	echo "fault=$(printf '%s' "$said" | tail -n 1 | head -c 400)"
fi
grep -x "$NAME" /proc/[0-9]*/comm /dev/null 2>/dev/null | while IFS=: read -r comm _; do
	# PID (NAME) STATE ... START: no two processes since the boot share both.
	read -r pid _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ start _ 2>/dev/null <"${comm%comm}stat" || continue
	echo "process=$pid.$start"
	printf 'cmdline='
	cat "${comm%comm}cmdline" 2>/dev/null
	echo
done
exit 0
