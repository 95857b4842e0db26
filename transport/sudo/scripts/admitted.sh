# What sudo starts. It becomes the command.
if [ -n "$locale" ]; then
	LC_ALL=$locale
	export LC_ALL
else
	unset LC_ALL
fi
