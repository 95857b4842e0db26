# The first thing that a command says, on both streams: what was there before it
# is not the command's. $$ is the ID of the process that becomes the command.
printf '[%s %s]' "$mark" "$$" >&2
printf '[%s]' "$mark"
unset mark
exec "$@"
