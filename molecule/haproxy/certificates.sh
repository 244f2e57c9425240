#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes an authority and a certificate with its key for each name: certificates.sh DIRECTORY NAME...
set -eu
umask 077
directory=$1
shift
mkdir -p "$directory"
cd "$directory"
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086 # several words
openssl req -x509 $key -keyout ca.key -out ca.pem -days 30 -subj "/CN=laboratory" 2>/dev/null
for name in "$@"; do
    # shellcheck disable=SC2086 # several words
    openssl req -new $key -keyout "$name.key" -out "$name.csr" -subj "/CN=$name" \
        -addext "subjectAltName=DNS:$name" 2>/dev/null
    openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days 30 \
        -out "$name.crt" 2>/dev/null
    cat "$name.crt" "$name.key" > "$name.pem"
done
