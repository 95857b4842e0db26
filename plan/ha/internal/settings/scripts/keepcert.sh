# keep a certificate and its key, and take them away so that kubeadm makes others
#
#   CERT       the certificate
#   KEY        its key
#   KEPT_CERT  where the certificate is kept: it is there only with its key
#   KEPT_KEY   where the key is kept
#   STAY       not empty if the pair stays where it is
set -e
umask 077
dir=${KEPT_CERT%/*}
mkdir -p "$dir"
chmod 700 "$dir"
if [ ! -e "$KEPT_CERT" ]; then
	cp -f "$KEY" "$dir/.kept"
	chmod 600 "$dir/.kept"
	mv -f "$dir/.kept" "$KEPT_KEY"
	cp -f "$CERT" "$dir/.kept"
	chmod 600 "$dir/.kept"
	mv -f "$dir/.kept" "$KEPT_CERT"
fi
[ -n "$STAY" ] || rm -f "$CERT" "$KEY"
