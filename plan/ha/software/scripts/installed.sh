# which packages are installed?
#
#   "$@" is names of packages; a name also matches what provides it
if command -v apt-get >/dev/null 2>&1; then
	echo manager apt-get
	dpkg-query --show --showformat='package ${Package} ${db:Status-Status} ${Version} ${db:Status-Want}\n' "$@" 2>/dev/null
	exit 0
fi
for manager in dnf yum none; do
	command -v "$manager" >/dev/null 2>&1 && break
done
echo "manager $manager"
[ "$manager" != none ] || exit 0
for name in "$@"; do
	rpm --query --whatprovides --queryformat "package $name installed %{VERSION}-%{RELEASE} \n" "$name" 2>/dev/null
done
for file in /etc/dnf/dnf.conf /etc/yum.conf /etc/yum.repos.d/*.repo; do
	cat "$file" 2>/dev/null
done | grep '^exclude'
exit 0
