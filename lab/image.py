# SPDX-License-Identifier: GPL-3.0-or-later
"""The node image: a small Debian with systemd and sshd, as bare as a fresh server.

What the roles install is not installed in it. Its package *archives* lie in apt's cache, so that the install path of a
role is the real one and still takes seconds.
"""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import subprocess

from lab.steps import LAB, LOGS, LabError, Record, locked, remove_tree, run, run_logged, say

SUITE = "bookworm"
REPOSITORY = "clusterkit-node"
#: A bare server as an operator gets it: systemd, sshd, sudo, Python; python3-apt for check mode of the apt module.
BASE_PACKAGES = (
    "systemd,systemd-sysv,dbus,python3,python3-apt,ca-certificates,iproute2,procps,openssh-server,sudo,netbase,kmod"
)
#: Archives that the roles under test install. Every name that a role installs on Debian belongs here.
ARCHIVES = (
    *("csync2", "inotify-tools", "openssl", "rsync", "xinetd", "cron", "logrotate", "ufw", "firewalld"),
    # What csync2 is built from
    *("autoconf", "automake", "bison", "flex", "gcc", "libc6-dev", "libgnutls28-dev", "librsync-dev"),
    *("libsqlite3-dev", "make", "pkg-config"),
    # The Deploy server's stand-in (tests/fixtures/deploy_server), its database and its shared storage; OpenDJ
    *("openjdk-17-jre-headless", "tomcat10-common", "libmariadb-java", "mariadb-server"),
    *("glusterfs-server", "glusterfs-client"),
    # How modules speak LDAP
    "python3-ldap",
    # Traffic, time and storage
    *("haproxy", "keepalived", "chrony", "nfs-kernel-server", "nfs-common"),
    # Databases and how modules ask them
    *("mariadb-client", "postgresql", "postgresql-client", "python3-pymysql", "python3-psycopg2"),
    "libpostgresql-jdbc-java",
    *("gnupg", "openssh-client"),
)
USER = "ops"

# Each of these is about the container, not about the node's purpose:
_IN_THE_ROOT = f"""set -e
apt-get update -qq
apt-get install -y -qq --download-only --no-install-recommends {" ".join(ARCHIVES)}
useradd --create-home --shell /bin/bash {USER}
echo '{USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{USER}
chmod 0440 /etc/sudoers.d/{USER}
# Host keys are made by each node at its start; in the image all nodes would share them.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
systemctl mask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-logind.service \\
    systemd-networkd.service systemd-resolved.service systemd-timesyncd.service getty.target apt-daily.timer \\
    apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
systemctl disable ssh.service
# logind is masked: without it every login would wait for it
rm -f /etc/pam.d/systemd-user
sed -i '/pam_systemd/d' /etc/pam.d/common-session
"""


def tag() -> str:
    """Return the image's name; it changes with everything that goes into the image."""
    recipe = "\n".join((SUITE, BASE_PACKAGES, *ARCHIVES, _IN_THE_ROOT))
    return f"{REPOSITORY}:{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def exists() -> bool:
    """Tell whether the engine holds the image."""
    asked = subprocess.run(["docker", "image", "inspect", tag()], capture_output=True, timeout=30, check=False)
    return asked.returncode == 0


def remove(name: str) -> None:
    """Remove an image that the record names; one that others use stays."""
    asked = ["docker", "image", "rm", name]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode and "No such image" not in done.stderr:
        say(f"  it stays: {done.stderr.strip()}")


def build(record: Record) -> None:
    """Build the image where it is missing. Raises LabError."""
    with locked("image"):
        if exists():
            return
        say(f"building the node image {tag()} (about a minute)")
        record.add("image", tag=tag())
        root = LAB / "root"
        remove_tree(root)
        try:
            sources = package_sources()
            mirror = sources.splitlines()[0].split()[1]
            bootstrap = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", SUITE, str(root), mirror]
            run_logged("debootstrap", bootstrap, limit=900)
            (root / "etc/apt/sources.list").write_text(sources, encoding="utf-8")
            shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
            environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            run_logged("image-root", ["chroot", str(root), "sh", "-c", _IN_THE_ROOT], limit=900, env=environment)
            _import(root)
        finally:
            remove_tree(root)


def package_sources() -> str:
    """Return sources.list lines for the nodes, from the machine's own: what it reaches, its containers reach.

    Raises LabError when the machine has no source for the suite.
    """
    # "component" is read from the index's name: it has no field of its own
    form = "$(REPO_URI)|$(CODENAME)|$(SUITE)|$(RELEASE)|$(IDENTIFIER)|$(COMPONENT)"
    printed = run(["apt-get", "indextargets", "--format", form])
    lines: list[str] = []
    for row in printed.splitlines():
        uri, codename, _suite, release, identifier, component = row.split("|")
        if identifier != "Packages" or component != "main" or not codename.startswith(SUITE):
            continue
        line = f"deb {uri} {release or codename} main"
        if line not in lines:
            lines.append(line)
    # The suite itself first: its address is the mirror to bootstrap from
    lines.sort(key=lambda line: line.split()[2] != SUITE)
    if not lines or lines[0].split()[2] != SUITE:
        raise LabError(f"no package source for Debian {SUITE} on this machine: add one to /etc/apt/sources.list.d")
    return "\n".join(lines) + "\n"


def _import(root: pathlib.Path) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    packer = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    loader = subprocess.run(
        ["docker", "import", "-", tag()], stdin=packer.stdout, capture_output=True, text=True, check=False
    )
    if packer.wait() or loader.returncode:
        raise LabError(f"the engine did not take the image: {loader.stderr.strip() or 'tar failed'}")
