#!/bin/sh
# data.sh fill DIRECTORY: adds to the data of a server what a real one may have.
# data.sh list DIRECTORY: tells content, permissions, owner, links and sizes of all of it.
set -eu
cd "$2"
if [ "$1" = fill ]; then
    umask 027
    mkdir -p var/repository/components/web/1.0 var/plugins/command
    i=0
    while [ $i -lt 200 ]; do
        head -c $((i * 37)) /dev/urandom > "var/repository/components/web/1.0/file $i"
        i=$((i + 1))
    done
    ln "var/repository/components/web/1.0/file 7" var/plugins/command/twin
    ln -s components/web/1.0 var/repository/current
    truncate -s 3M var/repository/sparse
    echo odd > "$(printf 'var/repository/odd \001\n\344name')"
    echo log > logs/deployserver.out
    chown -R deploy:deploy var/repository var/plugins logs
    chmod 2750 var/repository/components
else
    set -- var/repository var/plugins logs/deployserver.out conf/encryption.keystore conf/server.keystore
    find -H "$@" -printf '%y %m %u %g %n %l %p\0' | sed -z 's/^d \(.*\) [0-9]* /d \1 /' | sort -z | tr '\0' '\n' | od -c
    find -H "$@" -type f -print0 | sort -z | xargs -0 sha256sum -z | sha256sum
fi
