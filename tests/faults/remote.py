# SPDX-License-Identifier: GPL-3.0-or-later
"""A real network file system on this machine: sshfs, whose server is the sftp-server behind two pipes or a socket."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import time
from collections.abc import Iterator

SERVER = "/usr/lib/openssh/sftp-server"
_ANSWER_SECONDS = 10.0


class Remote:
    """A mounted directory whose server can be taken away and brought back."""

    def __init__(self, exported: pathlib.Path, mount_point: pathlib.Path) -> None:
        self._exported = exported
        self._point = mount_point
        self._processes: list[subprocess.Popen[bytes]] = []

    def mount(self) -> None:
        """Mount it, and wait until it answers."""
        there, here = os.pipe(), os.pipe()
        server = subprocess.Popen([SERVER], stdin=there[0], stdout=here[1])
        argv = ["sshfs", "-f", "-o", "passive", f":{self._exported}", str(self._point)]
        client = subprocess.Popen(argv, stdin=here[0], stdout=there[1])
        for descriptor in (*there, *here):
            os.close(descriptor)
        self._processes = [client, server]
        end = time.monotonic() + _ANSWER_SECONDS
        while not self._point.is_mount():
            assert time.monotonic() < end and client.poll() is None, "sshfs did not mount"
            time.sleep(0.01)

    def vanish(self) -> None:
        """Kill client and server: what is mounted answers with an error from now on."""
        for process in self._processes:
            process.kill()
            process.wait(timeout=_ANSWER_SECONDS)

    def unmount(self) -> None:
        """Take the mount away, whatever state it is in."""
        subprocess.run(["umount", "--lazy", str(self._point)], capture_output=True, timeout=60, check=False)
        self.vanish()


@contextlib.contextmanager
def remote(exported: pathlib.Path, mount_point: pathlib.Path) -> Iterator[Remote]:
    """Mount a directory over sshfs while a block runs."""
    exported.mkdir(exist_ok=True)
    mount_point.mkdir(exist_ok=True)
    one = Remote(exported, mount_point)
    one.mount()
    try:
        yield one
    finally:
        one.unmount()
