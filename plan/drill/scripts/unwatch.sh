# stop watching who holds the VIP
systemctl stop quorate-drill-watch.service 2>/dev/null || :
rm -f /run/quorate-drill/vip /run/quorate-drill/watch
