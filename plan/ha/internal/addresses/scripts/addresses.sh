# print what addresses the host has: address=INTERFACE ADDRESS, with the length of its network
addresses() {
	ip -o addr show 2>/dev/null | while read -r _ device _ address rest; do
		# One that is another host's, as this one has found, is of no use here.
		case "$rest" in *dadfailed*) continue ;; esac
		echo "address=${device%%@*} $address"
	done
}
