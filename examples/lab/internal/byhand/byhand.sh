#!/bin/bash
# A highly available control plane by hand, over ssh: what a careful engineer
# would type, in the order in which it is usually typed. "phase NAME" on
# standard output starts each part; package byhand takes the time between them.
#
# From the environment: CONTROL_PLANES and WORKERS (NAME=ADDRESS ...), VIP,
# KEY and KNOWN_HOSTS (files), VERSION, POD_RANGE, PREFIX_LENGTH, IMAGES (a
# directory on the hosts), IGNORED (preflight checks, comma-separated), and
# CGROUP_DRIVER.
set -euo pipefail

work=$(mktemp -d)
cleanup() {
	for socket in "$work"/ssh-*; do
		[ -S "$socket" ] && ssh -o ControlPath="$socket" -O exit x 2>/dev/null
	done
	rm -rf "$work"
}
trap cleanup EXIT

name() { echo "${1%%=*}"; }
address() { echo "${1#*=}"; }
on() { # NODE COMMAND, with standard input
	ssh -i "$KEY" -o BatchMode=yes -o UserKnownHostsFile="$KNOWN_HOSTS" -o ConnectTimeout=5 \
		-o ControlMaster=auto -o ControlPath="$work/ssh-%h" -o ControlPersist=60 \
		"root@$(address "$1")" "$2" 1>&2
}
each() { # FUNCTION NODE...: side by side; fails if one fails
	local function=$1 pids=() pid failed=0
	shift
	for node in "$@"; do
		"$function" "$node" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
	return $failed
}
until_true() { # SECONDS COMMAND...
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $deadline ]; then
			echo "still failing: $*" >&2
			return 1
		fi
		sleep 0.2
	done
}

read -ra control_planes <<<"$CONTROL_PLANES"
read -ra workers <<<"$WORKERS"
first=${control_planes[0]}

echo phase runtime and images
control_plane_runtime() {
	on "$1" "set -e; systemctl enable -q kubelet; systemctl enable -q --now containerd
		ctr -n k8s.io images import --local $IMAGES/node.tar
		ctr -n k8s.io images import --local $IMAGES/control-plane.tar"
}
worker_runtime() {
	on "$1" "set -e; systemctl enable -q kubelet; systemctl enable -q --now containerd
		ctr -n k8s.io images import --local $IMAGES/node.tar"
}
runtime() {
	case " $CONTROL_PLANES " in
	*" $1 "*) control_plane_runtime "$1" ;;
	*) worker_runtime "$1" ;;
	esac
}
each runtime "${control_planes[@]}" "${workers[@]}"

echo phase certificates
cd "$work"
ec_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
ec_key ca.key
openssl req -x509 -new -key ca.key -subj /CN=etcd-ca -days 3650 -out ca.crt
leaf() { # FILE COMMON-NAME USAGE [SAN]
	ec_key "$1.key"
	openssl req -new -key "$1.key" -subj "/O=system:masters/CN=$2" -out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$1.crt" \
		-extfile <(printf 'extendedKeyUsage=%s\n%s\n' "$3" "${4:+subjectAltName=$4}") 2>/dev/null
}
leaf apiserver-etcd-client kube-apiserver-etcd-client clientAuth
for node in "${control_planes[@]}"; do
	leaf "$(name "$node")" "$(name "$node")" serverAuth,clientAuth \
		"DNS:$(name "$node"),DNS:localhost,IP:$(address "$node"),IP:127.0.0.1"
done

echo phase etcd and keepalived
members=$(for n in "${control_planes[@]}"; do echo "$(name "$n")=https://$(address "$n"):2380"; done | paste -sd,)
endpoints=$(for n in "${control_planes[@]}"; do echo "https://$(address "$n"):2379"; done | paste -sd,)
etcd_unit() {
	cat <<-UNIT
		[Unit]
		Description=etcd
		After=network-online.target
		Wants=network-online.target
		[Service]
		Type=notify
		ExecStart=/usr/local/bin/etcd --name=$(name "$1") --data-dir=/var/lib/quorate/etcd \\
		 --listen-client-urls=https://$(address "$1"):2379,https://127.0.0.1:2379 \\
		 --advertise-client-urls=https://$(address "$1"):2379 \\
		 --listen-peer-urls=https://$(address "$1"):2380 \\
		 --initial-advertise-peer-urls=https://$(address "$1"):2380 \\
		 --initial-cluster=$members --initial-cluster-token=by-hand --initial-cluster-state=new \\
		 --cert-file=/etc/etcd/pki/member.crt --key-file=/etc/etcd/pki/member.key \\
		 --trusted-ca-file=/etc/etcd/pki/ca.crt --client-cert-auth \\
		 --peer-cert-file=/etc/etcd/pki/member.crt --peer-key-file=/etc/etcd/pki/member.key \\
		 --peer-trusted-ca-file=/etc/etcd/pki/ca.crt --peer-client-cert-auth
		Restart=always
		RestartSec=2
		LimitNOFILE=65536
		[Install]
		WantedBy=multi-user.target
	UNIT
}
keepalived_conf() { # PRIORITY
	cat <<-CONF
		global_defs {
		  enable_script_security
		  script_user root
		}
		vrrp_script apiserver {
		  script "/etc/keepalived/check_apiserver"
		  interval 1
		  timeout 1
		  fall 3
		  rise 2
		  weight -50
		}
		vrrp_instance kubernetes {
		  state BACKUP
		  interface host0
		  virtual_router_id 51
		  priority $1
		  advert_int 1
		  virtual_ipaddress {
		    $VIP/$PREFIX_LENGTH
		  }
		  track_script {
		    apiserver
		  }
		}
	CONF
}
priority=120
for node in "${control_planes[@]}"; do
	root="$work/root-$(name "$node")"
	mkdir -p "$root"/etc/{etcd/pki,systemd/system,keepalived,kubernetes/pki/etcd}
	cp ca.crt "$root/etc/etcd/pki/"
	cp "$(name "$node").crt" "$root/etc/etcd/pki/member.crt"
	cp "$(name "$node").key" "$root/etc/etcd/pki/member.key"
	cp ca.crt "$root/etc/kubernetes/pki/etcd/"
	cp apiserver-etcd-client.{crt,key} "$root/etc/kubernetes/pki/"
	etcd_unit "$node" >"$root/etc/systemd/system/etcd.service"
	keepalived_conf $priority >"$root/etc/keepalived/keepalived.conf"
	cat >"$root/etc/keepalived/check_apiserver" <<-'CHECK'
		#!/bin/sh
		exec curl -sfk --max-time 1 -o /dev/null https://localhost:6443/readyz
	CHECK
	chmod 755 "$root/etc/keepalived/check_apiserver"
	priority=$((priority - 1))
done
etcd_and_keepalived() {
	tar -C "$work/root-$(name "$1")" --owner=0 --group=0 -cf - etc | on "$1" "set -e
		tar -C / --no-overwrite-dir -xf -
		systemctl daemon-reload
		systemctl enable -q etcd keepalived
		systemctl start etcd keepalived"
}
each etcd_and_keepalived "${control_planes[@]}"
etcd_healthy() {
	on "$first" "etcdctl --endpoints=$endpoints --cacert=/etc/etcd/pki/ca.crt \
		--cert=/etc/etcd/pki/member.crt --key=/etc/etcd/pki/member.key endpoint health"
}
until_true 30 etcd_healthy

echo phase kubeadm init
token=$(openssl rand -hex 3).$(openssl rand -hex 8)
certificate_key=$(openssl rand -hex 32)
registration() {
	echo "nodeRegistration:"
	echo "  name: $1"
	echo "  ignorePreflightErrors: [$IGNORED]"
}
init_config() {
	cat <<-CONFIG
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: InitConfiguration
		bootstrapTokens: [{token: "$token"}]
		certificateKey: $certificate_key
		localAPIEndpoint: {advertiseAddress: $(address "$first")}
		$(registration "$(name "$first")")
		---
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: ClusterConfiguration
		kubernetesVersion: $VERSION
		controlPlaneEndpoint: "$VIP:6443"
		networking: {podSubnet: $POD_RANGE}
		etcd:
		  external:
		    endpoints: [$endpoints]
		    caFile: /etc/kubernetes/pki/etcd/ca.crt
		    certFile: /etc/kubernetes/pki/apiserver-etcd-client.crt
		    keyFile: /etc/kubernetes/pki/apiserver-etcd-client.key
		---
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		cgroupDriver: $CGROUP_DRIVER
		failCgroupV1: false
		failSwapOn: false
		imageGCHighThresholdPercent: 100
		evictionHard: {memory.available: 100Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
	CONFIG
}
# The token stays out of every command line.
init_config | on "$first" "umask 077; cat >/root/init.yaml; kubeadm init --config=/root/init.yaml --upload-certs"
ca_hash=$(ssh -i "$KEY" -o UserKnownHostsFile="$KNOWN_HOSTS" -o ControlPath="$work/ssh-%h" "root@$(address "$first")" \
	"openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt" |
	openssl pkey -pubin -outform der | sha256sum | cut -d ' ' -f 1)

join_config() { # NODE, and what makes it a control plane
	cat <<-CONFIG
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: JoinConfiguration
		discovery:
		  bootstrapToken:
		    apiServerEndpoint: "$VIP:6443"
		    token: "$token"
		    caCertHashes: ["sha256:$ca_hash"]
		$(registration "$(name "$1")")
		${2:-}
	CONFIG
}
join() {
	join_config "$@" | on "$1" "umask 077; cat >/root/join.yaml; kubeadm join --config=/root/join.yaml"
}
for node in "${control_planes[@]:1}"; do
	echo "phase join $(name "$node")"
	join "$node" "controlPlane: {certificateKey: $certificate_key, localAPIEndpoint: {advertiseAddress: $(address "$node")}}"
done
if [ ${#workers[@]} -gt 0 ]; then
	echo phase join workers
	each join "${workers[@]}"
fi

echo phase nodes ready
count=$((${#control_planes[@]} + ${#workers[@]}))
nodes_ready() {
	on "$first" "export KUBECONFIG=/etc/kubernetes/admin.conf
		[ \$(kubectl get nodes --no-headers | wc -l) = $count ] && kubectl wait --for=condition=Ready nodes --all --timeout=5s"
}
until_true 180 nodes_ready
echo phase coredns ready
on "$first" "KUBECONFIG=/etc/kubernetes/admin.conf kubectl -n kube-system rollout status deployment/coredns --timeout=180s"
echo phase done
