# Files are staged in a directory beside the place they go to, which nobody but
# this user can open, and under names relative to it. Whoever may write to the
# directory around it can move it away and put another in its place, but neither
# gets at what is in it nor makes this script work on something else.
stage='' identity='' here='' me='' move=''

# A second signal finds the cleaning up at work: sudo, which has got the first one like
# everything in its process group, passes it on to what it runs.
cleanup() {
	trap '' HUP INT PIPE TERM 2>/dev/null || :
	discard "$stage" "$identity"
}
trap 'cleanup' EXIT
stop() {
	trap '' HUP INT PIPE TERM 2>/dev/null || :
	exit 143
}
trap 'stop' HUP INT PIPE TERM 2>/dev/null || :

# make_stage makes a stage in the directory parent, with its parents, and enters it.
make_stage() {
	parent=$1 stage='' identity='' here=''
	[ -n "$me" ] || me=$(id -u) || fail failed
	[ -d "$parent/" ] || (umask 022 && mkdir -p -- "$parent") || fail failed
	cd "$parent/" || fail failed
	around=$(stat -c '%d:%i' .) || fail failed
	# A signal after the directory is made and before its name is known would leave
	# it behind: mktemp gets none, and this shell minds it afterwards.
	stopped=''
	trap 'stopped=1' HUP INT PIPE TERM 2>/dev/null || :
	stage=$(trap '' HUP INT PIPE TERM 2>/dev/null || :; mktemp -d .quorate-XXXXXX) || fail failed
	made=$stage stage=$parent/$stage
	trap 'stop' HUP INT PIPE TERM 2>/dev/null || :
	[ -z "$stopped" ] || stop
	# What has this name now may be a link to another private directory of this
	# user's, or such a directory: only an empty one right here is taken.
	cd -P "./$made" || fail failed
	about=$(stat -c '%u %a %d:%i' .) || fail failed
	[ "$(stat -c '%d:%i' ..)" = "$around" ] || fail unsafe
	case $about in
	"$me 700 "* | "$me 2700 "*) ;;
	*) fail unsafe ;;
	esac
	for entry in ./* ./.[!.]* ./..?*; do
		if [ -e "$entry" ] || [ -L "$entry" ]; then fail unsafe; fi
	done
	identity=${about##* } here=$stage
	if [ -z "$move" ]; then
		# Without -T, which old versions of busybox lack, a directory is noticed too, but not one
		# that comes at the last moment.
		: >from || fail failed
		move='mv -f'
		if mv -f -T from to 2>/dev/null; then move='mv -f -T'; fi
		rm -f -- from to
	fi
}

# enter goes into a stage again, if it is the one that was made.
enter() {
	[ "$here" != "$1" ] || return 0
	here=''
	cd "$1" 2>/dev/null && [ "$(stat -c '%d:%i' .)" = "$2" ] && here=$1
}

# leave syncs the directory around the stage, and removes the stage, which is empty.
leave() {
	sync .. 2>/dev/null || :
	here=''
	cd / && rmdir -- "$1" 2>/dev/null
	:
}

# discard removes a stage with what is in it, however the script ends.
discard() {
	[ -n "$1" ] || return 0
	if [ -n "$2" ] && enter "$1" "$2"; then
		rm -f -- ./*
	fi
	here=''
	cd / && rmdir -- "$1" 2>/dev/null
	:
}

# whole checks the size of a staged file: not every tool notices a full disk.
whole() {
	staged=$1 expected=$2
	size=$(wc -c <"$staged") || fail failed
	[ "$((size))" -eq "$expected" ] || fail short
}

# own sets the mode $2 and the owner $3 of a staged file, the mode last: chown may
# clear bits.
own() {
	staged=$1
	[ -z "$3" ] || chown "$3" "$staged" || fail failed
	chmod "$2" "$staged" || fail failed
}

# sync_staged syncs what is staged. Where sync takes no files (before coreutils
# 8.24), it syncs everything.
sync_staged() {
	if sync -d . 2>/dev/null; then
		sync -d ./* || fail failed
	else
		sync
	fi
}

# vacant fails where a directory is: a file does not replace one.
vacant() { ! [ -d "$1" ] || fail directory; }

# place puts a staged file into the directory around the stage.
place() {
	vacant "../$2"
	$move -- "$1" "../$2" || fail failed
}
