#!/bin/sh
# Makes a root of its own below the directory $1, as the product's package brings one: a copy of this node's own system,
# with a Java of its own, what Tomcat needs, and an init script that runs it. Nothing of it is installed on the node.
set -e
root=$1
mkdir -p "$root"
# Not the kernel's file systems, nor packages
tar --create --one-file-system --exclude=./opt --exclude=./var/cache/apt/archives --directory / . |
    tar --extract --preserve-permissions --directory "$root"
mkdir -p "$root/opt" "$root/install" "$root/var/cache/apt/archives"
for directory in /proc /dev /var/cache/apt/archives; do
    mount --bind "$directory" "$root$directory"
done
cp /etc/resolv.conf /etc/hosts "$root/etc/"
export DEBIAN_FRONTEND=noninteractive
chroot "$root" apt-get update -qq
chroot "$root" apt-get install -yqq --no-install-recommends openjdk-17-jre-headless tomcat10-common openssl
# As the product has it: one directory with all that is Java's in it, but for the truststore, which is the system's
chroot "$root" cp --recursive --dereference /usr/lib/jvm/java-17-openjdk-amd64 /opt/jdk
ln --symbolic --force /etc/ssl/certs/java/cacerts "$root/opt/jdk/lib/security/cacerts"
# The node has one of its own in the same place, which is nobody's business
mkdir -p /etc/ssl/certs/java
for name in cacerts cacerts.as-it-was; do
    cp "$root/etc/ssl/certs/java/cacerts" "/etc/ssl/certs/java/$name"
done
chroot "$root" useradd --uid 4711 --home-dir /opt/tomcat --shell /usr/sbin/nologin tomcat
for directory in conf logs temp webapps work; do
    mkdir -p "$root/opt/tomcat/$directory"
done
chroot "$root" chown -R tomcat:tomcat /opt/tomcat
