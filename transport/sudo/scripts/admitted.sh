# What sudo starts. The command's frame follows.
if [ -n "$locale" ]; then
	LC_ALL=$locale
	export LC_ALL
else
	unset LC_ALL
fi
