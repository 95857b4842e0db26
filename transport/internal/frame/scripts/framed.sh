# Runs "$@" in its frame: what either stream has before the frame begins is not
# the command's. Its exit status comes within the frame too, since what stands
# between may replace it: a forced command with a pipe, a wrapper of sudo.
# Signals go to the process group, which is not $$ below a forced command.
group=$$
IFS=' ' read -r _ _ _ _ group _ 2>/dev/null <"/proc/$$/stat"
printf '[%s %s]' "$mark" "${group:-$$}" >&2
printf '[%s]' "$mark"
# The signals that end the command leave this shell to say so.
trap : HUP INT QUIT TERM
(unset mark group; exec "$@")
group=$?
printf '[/%s %s]' "$mark" "$group" >&2
exit "$group"
