# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes: containers with systemd and sshd, reached over ssh as a user with sudo, as real servers are."""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
import shlex
import subprocess
import time
from typing import Any

from lab import guests, image
from lab.steps import LAB, ROOT, LabError, Record, remove_tree, run, say, write_atomically

KEY = LAB / "id_ed25519"
LABEL = "org.clusterkit.lab"
#: Seconds until systemd in a node has reached its target (measured: 2 to 6).
BOOT_LIMIT = 90.0
#: Private range the networks of the laboratory are taken from: 10.213.N.0/24.
NETWORK = "10.213.{}.0/24"

_RUN = (
    "--detach",
    "--cap-add=SYS_ADMIN",
    "--cap-add=NET_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--cap-add=DAC_READ_SEARCH",
    "--cap-add=LINUX_IMMUTABLE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp:exec",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--device=/dev/fuse",
    "--stop-signal=SIGRTMIN+3",
)


class Laboratory:
    """The nodes of one scenario or demonstration: a network of their own, fixed addresses, pinned host keys."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = LAB / "nodes" / name
        # The checkout is part of the name: two checkouts on a machine do not take each other's nodes.
        self.prefix = f"ck{hashlib.sha256(str(ROOT).encode()).hexdigest()[:4]}-{name}"
        self.known_hosts = self.directory / "known_hosts"

    def container(self, node: str) -> str:
        """Return the name of the container that is the node."""
        return f"{self.prefix}-{node}"

    def up(self, nodes: list[dict[str, Any]], record: Record) -> list[dict[str, Any]]:
        """Start the nodes and return how each is reached (keys: instance, address, user, port, identity_file).

        A node is described by `name` and, as needed, `aliases` (further names in the network), `options` (further
        arguments of `docker run`) and `image`. One with `guest` has a kernel of its own, and `memory`. Running nodes of
        the same name are used as they are. Raises LabError.
        """
        _make_key()
        names = [str(node["name"]) for node in nodes]
        subnet = self._make_network(record)
        base = subnet.rpartition(".")[0]
        present = self._present()
        addresses = [f"{base}.{number}" for number in range(11, 11 + len(names))]
        words = {
            address: [str(node["name"]), *node.get("aliases", [])]
            for address, node in zip(addresses, nodes, strict=True)
        }
        # The engine names its containers only
        strangers = [
            f"--add-host={word}:{address}"
            for address, node in zip(addresses, nodes, strict=True)
            for word in (words[address] if node.get("guest") else [])
        ]
        for address, node in zip(addresses, nodes, strict=True):
            if node.get("guest"):
                self._start_guest(node, address, words, record)
                continue
            container = self.container(str(node["name"]))
            if present.get(container) == "running":
                continue
            record.add("container", name=container)
            run(["docker", "rm", "--force", "--volumes", container], check=False)
            aliases = [f"--network-alias={alias}" for alias in (node["name"], *node.get("aliases", []))]
            argv = [
                "docker",
                "run",
                f"--name={container}",
                f"--hostname={node['name']}",
                f"--label={LABEL}={self.prefix}",
            ]
            argv += [
                f"--network={self.prefix}",
                f"--ip={address}",
                *aliases,
                *strangers,
                *_RUN,
                *node.get("options", []),
            ]
            run([*argv, node.get("image") or image.tag(), "/lib/systemd/systemd"], limit=60)
        end = time.monotonic() + BOOT_LIMIT
        host_keys = []
        for name, node in zip(names, nodes, strict=True):
            if node.get("guest"):
                host_keys.append(_public(self._host_key(name)))
                continue
            self._wait_for_boot(name, end)
            host_keys.append(self._let_in(name))
        pins = [f"{address} {key}\n" for address, key in zip(addresses, host_keys, strict=True)]
        write_atomically(self.known_hosts, "".join(pins))
        for address, node in zip(addresses, nodes, strict=True):
            if node.get("guest"):
                self.wait_for_guest(str(node["name"]), address)
        return [
            {"instance": name, "address": address, "user": image.USER, "port": 22, "identity_file": str(KEY)}
            for name, address in zip(names, addresses, strict=True)
        ]

    def down(self, record: Record) -> None:
        """Remove the nodes and their network; what is not there is no error."""
        for guest in guests.of(self.prefix):
            guest.remove()
            record.drop({"kind": "guest", "name": guest.name, "laboratory": guest.laboratory})
        for container in self._present():
            remove_container(container)
            record.drop({"kind": "container", "name": container})
        remove_network(self.prefix)
        record.drop({"kind": "network", "name": self.prefix})
        remove_tree(self.directory)

    def connection_inventory(self, instances: list[dict[str, Any]]) -> str:
        """Return an inventory (JSON is YAML) that only says how the nodes are reached."""
        hosts = {
            one["instance"]: {
                "ansible_host": one["address"],
                "ansible_user": one["user"],
                "ansible_ssh_private_key_file": one["identity_file"],
                "ansible_ssh_common_args": self.ssh_arguments(),
            }
            for one in instances
        }
        return json.dumps({"all": {"hosts": hosts}}, indent=2) + "\n"

    def ssh_arguments(self) -> str:
        """Return ssh options that accept only the host keys read from the nodes themselves."""
        return f"-o UserKnownHostsFile={self.known_hosts} -o StrictHostKeyChecking=yes"

    def guest(self, node: str) -> guests.Guest:
        """Return the guest that is the node."""
        return guests.Guest(self.prefix, node)

    def ssh(self, address: str, *argv: str) -> list[str]:
        """Return the command line that runs a command as root on a node."""
        options = f"{self.ssh_arguments()} -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=10"
        command = shlex.join(("sudo", "-n", "--", *argv))
        return ["ssh", "-q", "-i", str(KEY), *options.split(), f"{image.USER}@{address}", command]

    def wait_for_guest(self, node: str, address: str) -> None:
        """Wait until systemd in a guest says that it runs. Raises LabError."""
        guest, end, state = self.guest(node), time.monotonic() + guests.BOOT_LIMIT, ""
        while state != "running":
            asked = subprocess.run(
                self.ssh(address, "systemctl", "is-system-running"), capture_output=True, text=True, check=False
            )
            state = asked.stdout.strip()
            if state == "degraded":
                argv = self.ssh(address, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
                failed = run(argv, check=False).strip()
                raise LabError(f"guest {node} started with failed units: {failed or 'unknown'}")
            if not guest.pid():
                raise LabError(f"guest {node} has ended; its console says: {guest.said()}")
            if time.monotonic() > end:
                raise LabError(
                    f"guest {node} did not start within {guests.BOOT_LIMIT:.0f} s; systemd says: {state or 'nothing'}; "
                    f"its console says: {guest.said()}"
                )
            time.sleep(0.5)

    def _start_guest(self, node: dict[str, Any], address: str, words: dict[str, list[str]], record: Record) -> None:
        """Start a guest unless it runs. Raises LabError."""
        name = str(node["name"])
        guest = self.guest(name)
        if guest.pid():
            return
        bridge = f"br-{run(['docker', 'network', 'inspect', '--format={{.Id}}', self.prefix]).strip()[:12]}"
        key = self._host_key(name)
        if not key.exists():
            key.parent.mkdir(parents=True, exist_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)])
        gateway = f"{address.rpartition('.')[0]}.1"
        public = KEY.with_suffix(".pub").read_text(encoding="ascii")
        given = guests.given(name, f"{address}/24", gateway, words, public, key)
        guest.make(bridge, given, str(node.get("memory", guests.MEMORY)), record)

    def _host_key(self, node: str) -> pathlib.Path:
        """Return where the host key of a guest is: made here, and so known before it is asked."""
        return self.directory / "host_keys" / node

    def _present(self) -> dict[str, str]:
        """Return the laboratory's containers and their states."""
        asked = ["docker", "ps", "--all", f"--filter=label={LABEL}={self.prefix}", "--format={{.Names}} {{.State}}"]
        return dict(line.split() for line in run(asked).splitlines())

    def _make_network(self, record: Record) -> str:
        """Make the network where it is missing and return its subnet."""
        for attempt in range(32):
            shown = run(
                ["docker", "network", "inspect", "--format={{(index .IPAM.Config 0).Subnet}}", self.prefix], check=False
            ).strip()
            if shown:
                return shown.partition("/")[0]
            third = (int(hashlib.sha256(self.prefix.encode()).hexdigest(), 16) + attempt) % 254 + 1
            record.add("network", name=self.prefix)
            made = subprocess.run(
                ["docker", "network", "create", f"--subnet={NETWORK.format(third)}", self.prefix],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            # "Pool overlaps" is the one failure that another range cures
            if made.returncode and "overlaps" not in made.stderr:
                raise LabError(f"the engine made no network {self.prefix}: {made.stderr.strip()}")
        raise LabError("no free network in 10.213.0.0/16: remove unused ones with `docker network prune`")

    def _wait_for_boot(self, node: str, end: float) -> None:
        """Wait until systemd says that the node runs; a failed unit is named."""
        while True:
            state = self._exec(node, "systemctl", "is-system-running")
            if state == "running":
                return
            if state == "degraded":
                failed = self._exec(node, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
                raise LabError(f"node {node} started with failed units: {failed or 'unknown'}")
            if time.monotonic() > end:
                raise LabError(
                    f"node {node} did not start within {BOOT_LIMIT:.0f} s; systemd says: {state or 'nothing'}"
                )
            time.sleep(0.2)

    def _let_in(self, node: str) -> str:
        """Give the laboratory's key access to the node and return the node's own host key."""
        public = KEY.with_suffix(".pub").read_text(encoding="ascii").strip()
        script = (
            "ssh-keygen -A >/dev/null && systemctl enable --quiet --now ssh.service && "
            f"install -d -m 0700 -o {image.USER} -g {image.USER} /home/{image.USER}/.ssh && "
            f"echo '{public}' > /home/{image.USER}/.ssh/authorized_keys && "
            f"chown {image.USER} /home/{image.USER}/.ssh/authorized_keys && "
            "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub"
        )
        key = self._exec(node, "sh", "-c", script)
        if not key.startswith("ssh-ed25519 "):
            raise LabError(f"node {node} has no ssh host key: {key or 'no answer'}")
        return key

    def _exec(self, node: str, *argv: str) -> str:
        return run(["docker", "exec", self.container(node), *argv], limit=30, check=False).strip()


def _public(key: pathlib.Path) -> str:
    return " ".join(key.with_suffix(".pub").read_text(encoding="ascii").split()[:2])


def _make_key() -> None:
    if not KEY.exists():
        LAB.mkdir(parents=True, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "clusterkit laboratory", "-f", str(KEY)])


def remove_container(name: str) -> None:
    """Remove a container; one that is not there is no error. Raises LabError."""
    _remove(["docker", "rm", "--force", "--volumes", name])


def remove_network(name: str) -> None:
    """Remove a network; one that is not there is no error. Raises LabError."""
    _remove(["docker", "network", "rm", name])


def _remove(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode and not re.search(r"(?i)no such|not found", done.stderr):
        raise LabError(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stderr.strip()}")


def write_instances(path: pathlib.Path, laboratory: Laboratory, instances: list[dict[str, Any]]) -> None:
    """Write how the nodes are reached in the form that molecule's default driver reads (JSON is YAML)."""
    rows = [{**one, "ssh_common_args": laboratory.ssh_arguments()} for one in instances]
    write_atomically(path, json.dumps(rows, indent=2) + "\n")
    say(f"{len(rows)} nodes run in network {laboratory.prefix}")
