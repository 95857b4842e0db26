# which cgroup driver has the runtime?
#
#   RUNTIME  docker, containerd or crio
case "$RUNTIME" in
docker) driver=$(docker info --format '{{.CgroupDriver}}') || exit 1 ;;
containerd)
	driver=cgroupfs
	if containerd config dump | grep -q '^ *SystemdCgroup *= *true'; then driver=systemd; fi
	;;
crio)
	driver=systemd
	if crio config 2>/dev/null | grep -q '^ *cgroup_manager *= *"cgroupfs"'; then driver=cgroupfs; fi
	;;
esac
echo "driver=$driver"
