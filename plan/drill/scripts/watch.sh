# note who holds the VIP
# $1 VIP. Notes every change that the kernel reports, and every half second the present state.
notes=/run/quorate-drill/vip
TZ=UTC ip -ts -o monitor address >>"$notes" &
monitor=$!
trap 'kill "$monitor"' EXIT
trap 'exit 0' TERM INT
while kill -0 "$monitor"; do
	# The time first: a change that comes between the two has its own, later one.
	now=$(date +%s%N)
	if [ -n "$(ip -o address show to "$1")" ]; then has=1; else has=0; fi
	echo "$now $has" >>"$notes"
	sleep 0.5
done
