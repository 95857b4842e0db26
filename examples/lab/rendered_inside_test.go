package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"time"
)

// enterScript makes a host of the machine's own programs and the host's
// rendered files, each at its own path, in namespaces that go with the command
// that runs in them: nothing of the machine is written. The arguments are an
// empty directory, the host's files, the name of its interface, any number of
// program=PATH, to put into /usr/local/bin, and address=ADDRESS/BITS, then "--"
// and the command. The network leads nowhere.
const enterScript = `
root=$1 host=$2 interface=$3
shift 3
mount -t tmpfs -o mode=0755 tmpfs "$root"
mkdir "$root/usr" "$root/proc" "$root/dev" "$root/run" "$root/tmp" "$root/var" "$root/var/lib" "$root/srv"
for dir in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$dir" ]; then ln -s "usr/$dir" "$root/$dir"; fi
done
mount --bind /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/usr/local"
mkdir "$root/usr/local/bin"
cp -a "$host/etc" "$root/etc"
echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
echo root:x:0: >"$root/etc/group"
ip link set lo up
ip link add name "$interface" type veth peer name quorate-peer
ip link set quorate-peer up
ip link set "$interface" up
while [ "$1" != -- ]; do
    case $1 in
    program=*)
        path=$root/usr/local/bin/${1##*/}
        : >"$path"
        mount --bind "${1#*=}" "$path"
        mount -o remount,bind,ro "$path"
        ;;
    address=*:*) ip address add "${1#*=}" dev "$interface" nodad ;;
    address=*) ip address add "${1#*=}" dev "$interface" ;;
    esac
    shift
done
shift
exec timeout --kill-after=2 60 chroot "$root" "$@"
`

// inside runs a command on the host that enterScript makes. All that it
// started ends with it.
func (r *rendered) inside(ctx context.Context, h renderedHost, argv ...string) (out []byte, err error) {
	root, err := os.MkdirTemp("", "quorate-rendered-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(root) }() // was only mounted on
	args := []string{"--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", enterScript, "enter", root, h.dir, h.network}
	args = append(args, r.enter...)
	for _, a := range h.Addresses {
		bits := "/32"
		if a.Is6() {
			bits = "/128" // as /32: a peer is unreachable at once, not after a while
		}
		args = append(args, "address="+a.String()+bits)
	}
	args = append(append(args, "--"), argv...)
	return renderedCommand(ctx, "unshare", args...).CombinedOutput()
}

// renderedCommand has no more of the test's environment than where programs
// are.
func renderedCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, args...)
	command.Env = []string{"PATH=" + strings.Join([]string{os.Getenv("PATH"), "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}, ":"), "HOME=/root", "LC_ALL=C"}
	command.Stdin = bytes.NewReader(nil)
	command.WaitDelay = 5 * time.Second
	return command
}
