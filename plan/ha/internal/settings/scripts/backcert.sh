# put a certificate and its key in place that were kept
#
#   CERT       where the certificate is read
#   KEY        where its key is
#   KEPT_CERT  where the certificate was kept
#   KEPT_KEY   where the key was
set -e
umask 077
cp -f "$KEPT_KEY" "$KEY.new"
chmod 600 "$KEY.new"
cp -f "$KEPT_CERT" "$CERT.new"
chmod 644 "$CERT.new"
mv -f "$KEY.new" "$KEY"
mv -f "$CERT.new" "$CERT"
rm -f "$KEPT_KEY" "$KEPT_CERT"
