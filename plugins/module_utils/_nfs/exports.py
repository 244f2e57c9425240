# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server exports by NFS, to whom and how: what is written, what the kernel says, and the judgement over both."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import unescaped
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]
Export = Mapping[str, Any]

VERSIONS = ("3", "4.0", "4.1", "4.2")
_MARK = "# Written by the role nfs_server of clusterkit.middleware: changes by hand are replaced.\n"
#: exports(5): whose user and group become the anonymous ones.
_SQUASH = {
    "root": ("root_squash", "no_all_squash"),
    "all": ("all_squash",),
    "none": ("no_root_squash", "no_all_squash"),
}
_SECURITY = ("sys", "krb5", "krb5i", "krb5p")
_PATH = re.compile(r"/[^\s\"#\\]*[^\s\"#\\/]")
_FSID = re.compile(r"[1-9][0-9]{0,8}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEYS = (
    *("path", "squash", "anonymous_user", "anonymous_group", "read_only", "fsid", "only_mounted", "security", "owner"),
    *("group", "mode", "clients"),
)
#: Directories that nobody means to share as a whole.
_SYSTEM = frozenset(
    "/ /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /var".split()
)


def mistakes(exports: Sequence[Export], versions: Sequence[str], *, clients: Sequence[str]) -> list[str]:
    """Return what cannot be right, whatever the host is like: sentences, none when all is well."""
    out = []
    if not exports:
        out.append("nfs_server_exports is empty - give what is exported, such as [{path: /srv/share}].")
    unknown = [str(one) for one in versions if str(one) not in VERSIONS]
    if unknown or not versions:
        out.append(
            f"nfs_server_versions is {', '.join(map(str, versions)) or 'empty'} - give some of {', '.join(VERSIONS)}, "
            "each as a text."
        )
    paths = [str(one.get("path", "")) for one in exports]
    for one in exports:
        out += _mistakes_of(one, clients)
    for number, path in enumerate(paths):
        if path in paths[:number]:
            out.append(f"nfs_server_exports has {path} twice - one entry says to whom and how.")
    return out


def _mistakes_of(one: Export, clients: Sequence[str]) -> list[str]:
    path = str(one.get("path", ""))
    if not _PATH.fullmatch(path):
        return [f"nfs_server_exports has the path {path!r} - give an absolute one, without blanks, quotes and '#'."]
    out = []
    if path in _SYSTEM:
        out.append(f"nfs_server_exports has {path}, a directory of the system itself - give one of its own.")
    if surplus := sorted(set(one) - set(_KEYS)):
        out.append(f"{path} has {', '.join(surplus)} - an export may have {', '.join(_KEYS)}.")
    if one.get("squash", "root") not in _SQUASH:
        out.append(f"{path} has squash {one['squash']!r} - give one of {', '.join(_SQUASH)}.")
    for key in ("anonymous_user", "anonymous_group"):
        if key in one and not re.fullmatch(r"[0-9]{1,9}", str(one[key])):
            out.append(f"{path} has {key} {one[key]!r} - give a number: names may be others' on other hosts.")
    if "fsid" in one and not _FSID.fullmatch(str(one["fsid"])):
        out.append(f"{path} has fsid {one['fsid']!r} - give a number from 1 on, or a UUID.")
    if wrong := [word for word in one.get("security", ["sys"]) if word not in _SECURITY]:
        out.append(f"{path} has security {', '.join(wrong)} - give some of {', '.join(_SECURITY)}.")
    own = [str(client) for client in one.get("clients", [])]
    for client in own:
        try:
            ipaddress.ip_network(client, strict=True)
        except ValueError:
            out.append(f"{path} has the client {client!r} - give an address or a network: names are asked of others.")
    if not own and not clients:
        out.append(f"{path} has no clients - nfs_server_clients_group names a group without hosts.")
    return out


def options(one: Export) -> list[str]:
    """Return the options of an export, as exports(5) has them."""
    out = ["ro" if one.get("read_only") else "rw", "sync", "no_subtree_check", *_SQUASH[one.get("squash", "root")]]
    out += [f"anonuid={one['anonymous_user']}"] if "anonymous_user" in one else []
    out += [f"anongid={one['anonymous_group']}"] if "anonymous_group" in one else []
    out += [f"fsid={one['fsid']}"] if "fsid" in one else []
    out += ["mountpoint"] if one.get("only_mounted") else []
    return [*out, f"sec={':'.join(one.get('security', ['sys']))}"]


def clients_of(one: Export, clients: Sequence[str]) -> list[str]:
    """Return who may mount an export: its own clients, else all members; as the kernel's table writes them."""
    return [_spelled(str(client)) for client in one.get("clients") or clients]


def _spelled(client: str) -> str:
    """Return an address or network in one spelling: a network of one address is that address."""
    network = ipaddress.ip_network(client)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def render(exports: Sequence[Export], clients: Sequence[str]) -> str:
    """Return the file for /etc/exports.d."""
    lines = [
        f"{one['path']} " + " ".join(f"{client}({','.join(options(one))})" for client in clients_of(one, clients))
        for one in exports
    ]
    return _MARK + "".join(f"{line}\n" for line in lines)


def config(versions: Sequence[str], *, threads: int, grace: int = 90, lease: int = 90) -> str:
    """Return the file for /etc/nfs.conf.d: which versions are served, by how many threads, and periods of version 4."""
    served = {str(one) for one in versions}
    lines = ["[nfsd]", f"threads={threads}", "udp=n", "tcp=y", f"vers3={_yes('3' in served)}"]
    lines.append(f"vers4={_yes(bool(served - {'3'}))}")
    lines += [f"vers{one}={_yes(one in served)}" for one in VERSIONS[1:]]
    # The kernel takes them only while no thread serves: a change of this file restarts the server
    lines += [f"grace-time={grace}", f"lease-time={lease}"]
    return _MARK + "\n".join(lines) + "\n"


def _yes(value: bool) -> str:
    return "y" if value else "n"


def parse_table(text: str) -> dict[str, dict[str, list[str]]]:
    """Return what is exported, of /var/lib/nfs/etab: by path and client the options."""
    out: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        path, _tab, rest = line.partition("\t")
        client, _bracket, words = rest.partition("(")
        if words:
            with contextlib.suppress(ValueError):  # a name, or * for everybody
                client = _spelled(client)
            out.setdefault(unescaped(path), {})[client] = words.rstrip(") ").split(",")
    return out


def parse_versions(text: str) -> list[str]:
    """Return the versions that are served, of /proc/fs/nfsd/versions, such as `-2 +3 +4 -4.0 +4.1 +4.2`.

    The kernel never writes `+4.0`: that is served where version 4 is, unless `-4.0` says that it is not.
    """
    words = text.split()
    served = {word[1:] for word in words if word.startswith("+")}
    if "4" in served and "-4.0" not in words:
        served.add("4.0")
    return [one for one in VERSIONS if one in served]


def foreign(text: str) -> list[str]:
    """Return the paths that a file of exports has."""
    joined = re.sub(r"\\\n", " ", text)
    lines = [line.partition("#")[0].strip() for line in joined.splitlines()]
    return [(re.match(r'"([^"]+)"|(\S+)', line) or [""])[0].strip('"') for line in lines if line]


def problems(found: Found, members: Members, exports: Sequence[Export]) -> list[str]:
    """Return, before anything is changed, why these hosts cannot export that; empty when they can."""
    out = []
    for member in members:
        host = member["host"]
        info = found.get(host)
        if not info:
            out.append(unasked(host))
            continue
        if not info["kernel"]:
            out.append(
                f"The kernel of {host} has no NFS server (nfsd), as in most containers: export from a machine whose "
                "kernel has one, or use storage that is there already with the role shared_mount."
            )
        for one in exports:
            path = one["path"]
            if path in info["foreign"]:
                out.append(
                    f"{path} on {host} is exported by {info['foreign'][path]} as well, to whom that says: take it out "
                    "there, so that the members are the only clients."
                )
            state = info["directories"].get(path, {})
            if state.get("exists") and not state.get("is_directory"):
                out.append(f"{path} on {host} is no directory.")
            if one.get("only_mounted") and not state.get("is_mount_point"):
                out.append(f"Nothing is mounted at {path} on {host}, and only_mounted is set: mount it first.")
    return out


def verification(
    found: Found,
    members: Members,
    *,
    cluster: str,
    exports: Sequence[Export],
    clients: Sequence[str],
    versions: Sequence[str],
    grace: int = 90,
    lease: int = 90,
) -> dict[str, Any]:
    """Return whether every server serves the versions and exports the paths to their clients, and to nobody else."""
    out = Verification("nfs_server", cluster, [member["name"] for member in members])
    served = [one for one in VERSIONS if one in {str(version) for version in versions}]
    for member in members:
        info, name = found.get(member["host"]), member["name"]
        if not info:
            out.silent(name)
            continue
        runs = info["threads"] > 0 and info["listening"]
        told = f"{info['threads']} threads of nfsd, port 2049 {'open' if info['listening'] else 'closed'}"
        out.check("runs", runs, f"{name} has {told}", name)
        if not runs:
            continue
        out.seen(name)
        right = info["versions"] == served
        out.check("versions", right, f"{name} serves {', '.join(info['versions']) or 'none'}", name)
        if set(served) - {"3"}:
            periods = (info["grace"], info["lease"])
            told = "{} s of grace after a start, leases of {} s".format(*periods)
            out.check("periods", periods == (grace, lease), f"{name} has {told}", name)
        for one in exports:
            there = info["exported"].get(one["path"], {})
            wanted = set(clients_of(one, clients))
            lacking, surplus = sorted(wanted - set(there)), sorted(set(there) - wanted)
            said = f"{name} exports {one['path']} to {', '.join(sorted(there)) or 'nobody'}"
            said += f"; {', '.join(lacking)} may not mount it" if lacking else ""
            said += f"; {', '.join(surplus)} may, and should not" if surplus else ""
            out.check("clients", not lacking and not surplus, said, name)
            key = [word for word in options(one) if not word.startswith("sec=")]
            differ = sorted({word for some in there.values() for word in key if not _has(some, word)})
            out.check("options", not differ, f"{one['path']} on {name}: {', '.join(differ) or 'all options'}", name)
    return out.result()


def _has(some: Sequence[str], word: str) -> bool:
    """Tell whether the kernel's table has an option; that of a mount point has its path there."""
    return word in some or (word == "mountpoint" and any(one.startswith("mountpoint") for one in some))
