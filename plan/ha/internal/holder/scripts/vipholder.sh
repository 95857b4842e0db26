# who holds the VIP, as this host sees it
#
#   VIP  the address
#   URL  of the API server at the VIP
#   CA   the file of the authority that it has its certificate of
LC_ALL=C
export LC_ALL
own=$(addresses)
echo "$own"
ip -o link show 2>/dev/null | while read -r line; do
	case "$line" in *" link/ether "*)
		line=${line#* link/ether }
		echo "mac=${line%% *}"
		;;
	esac
done
# One that has the address asks nobody for it.
case "$own " in *" $VIP/"* | *" $VIP
"* | *" $VIP ") exit 0 ;; esac
if said=$(curl --noproxy '*' --silent --show-error --cacert "$CA" --connect-timeout 2 --max-time 4 "$URL" 2>&1); then
	echo answer=yes
else
	echo "answer=$(printf '%s' "$said" | tail -n 1)"
fi
# ADDRESS dev INTERFACE lladdr MAC STATE
ip neigh show to "$VIP" 2>/dev/null | while read -r line; do
	case "$line" in *" lladdr "*)
		line=${line#* lladdr }
		echo "neighbour=${line%% *}"
		;;
	esac
done
