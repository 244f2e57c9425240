# SPDX-License-Identifier: GPL-3.0-or-later
"""A real NFS server and a client in all versions: who may what, and what becomes of data while the server is away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from molecule.shared.scenario import GuestNode, Node, Scenario, wait_for

Nodes = dict[str, Node]
SERVER, MOUNT = "clusterkit.middleware.nfs_server", "clusterkit.middleware.shared_mount"
VERSIONS = {"v3": "3", "v40": "4.0", "v41": "4.1", "v42": "4.2"}
#: Seconds for what has to wait until a server that came back lets its clients in again.
BACK = 240.0
GUARD = "clusterkit-shared-mount@mnt-v42.service"
LOCK = "import fcntl, sys; file = open(sys.argv[1], 'r+'); fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)"


def options_of(node: Node, path: str) -> list[str]:
    """Return the options of a mount, of the kernel's own table: nobody is asked."""
    rows = [line.split() for line in str(node.read("/proc/mounts")).splitlines()]
    return [row for row in rows if row[1] == path][-1][3].split(",") if any(row[1] == path for row in rows) else []


def serves(node: Node) -> bool:
    """Tell whether the server's kernel has threads that serve."""
    return str(node.read("/proc/fs/nfsd/threads") or "0").strip() not in ("", "0")


class Writers:
    """Programs on the client, one in each share, that write on the disk and note what is there."""

    def __init__(self, client: Node, server: Node) -> None:
        self._client = client
        self._server = server

    def start(self) -> None:
        """Start them, and wait until each has written."""
        self._client.out("sh", "-c", "rm -rf /run/written; mkdir -m 1777 /run/written")
        for share in VERSIONS:
            program = ["python3", "/usr/local/lib/writer.py", f"/mnt/{share}/lines", f"/run/written/{share}"]
            self._client.out("systemd-run", f"--unit=writer-{share}", "--collect", "--property=User=app", *program)
        wait_for(lambda: all(self.noted().values()), "each to write", limit=BACK)

    def noted(self) -> dict[str, int]:
        """Return how many lines each knows to be on the server's disk."""
        script = "cd /run/written; for one in *; do echo $one $(cat $one 2>/dev/null); done"
        told = dict(line.partition(" ")[::2] for line in self._client.out("sh", "-c", script).splitlines())
        errors = {name: text for name, text in told.items() if name.endswith(".error")}
        assert not errors, errors
        return {share: int(told.get(share) or 0) for share in VERSIONS}

    def go_on(self, before: dict[str, int]) -> None:
        """Wait until each has written more than it had."""

        def behind() -> list[str]:
            return [share for share, number in self.noted().items() if number <= before[share]]

        wait_for(lambda: not behind(), "each to go on", limit=BACK)

    def stop(self) -> None:
        """End them, and compare what the server has with what they noted."""
        self._client.out("sh", "-c", "cd /run/written; for one in v3 v40 v41 v42; do touch $one.end; done")
        for share in VERSIONS:
            unit = f"writer-{share}.service"
            wait_for(lambda unit=unit: self._client.run("systemctl", "is-active", unit).returncode, unit, limit=BACK)
        noted = self.noted()
        for share, number in noted.items():
            lines = str(self._server.read(f"/srv/{share}/lines")).splitlines()
            assert lines == [str(one) for one in range(1, number + 1)], f"{share}: {len(lines)} lines, not {number}"


@pytest.fixture
def writers(nodes: Nodes) -> Iterator[Writers]:
    """Let programs write in all shares while a test does something to the server."""
    both = Writers(nodes["c1"], nodes["nas"])
    both.start()
    try:
        yield both
        both.stop()
    finally:
        nodes["c1"].run("sh", "-c", "systemctl kill --signal=KILL 'writer-*.service'")


def test_each_version_is_mounted_hard(nodes: Nodes) -> None:
    """What is mounted has the version that was asked for, and waits for its server; the kernel serves all four."""
    for share, version in VERSIONS.items():
        options = options_of(nodes["c1"], f"/mnt/{share}")
        assert {f"vers={version}", "hard"} <= set(options), (share, options)
    assert str(nodes["nas"].read("/proc/fs/nfsd/versions")).split() == ["+3", "+4", "+4.1", "+4.2"]
    assert str(nodes["nas"].read("/proc/fs/nfsd/threads")).strip() == "4"
    for name, seconds in (("grace", "15"), ("lease", "10")):
        assert str(nodes["nas"].read(f"/proc/fs/nfsd/nfsv4{name}time")).strip() == seconds


def test_who_is_who(nodes: Nodes) -> None:
    """Root of a client is root, nobody or the one user, as each export has it; others are themselves."""
    client, server = nodes["c1"], nodes["nas"]

    def owner(share: str, name: str) -> str:
        return server.out("stat", "-c", "%u:%g", f"/srv/{share}/{name}").strip()

    client.out("touch", "/mnt/v3/roots", "/mnt/v40/roots", "/mnt/v42/roots")
    assert [owner(share, "roots") for share in ("v3", "v40", "v42")] == ["0:0", "0:0", "4711:4711"]
    refused = client.run("touch", "/mnt/v41/roots")
    assert refused.returncode and "Permission denied" in refused.stderr
    client.out("runuser", "-u", "app", "--", "touch", "/mnt/v41/apps")
    assert owner("v41", "apps").startswith("4711:")


def test_who_may_mount_and_write(nodes: Nodes) -> None:
    """An export to others is mounted by nobody else, and what may only be read is not written."""
    client = nodes["c1"]
    client.out("mkdir", "-p", "/mnt/tried")
    # To a client of version 4 what it may not mount is not there
    for version, said in (("3", "access denied"), ("4.2", "No such file or directory")):
        how = f"vers={version},nolock,retry=0"
        refused = client.run("mount", "-t", "nfs", "-o", how, "nas:/srv/others", "/mnt/tried", limit=300)
        assert refused.returncode and said in refused.stderr + refused.stdout
    nodes["nas"].write("/srv/media/file", "content\n")
    client.out("mount", "-t", "nfs", "-o", "vers=4.2", "nas:/srv/media", "/mnt/tried", limit=120)
    try:
        assert client.read("/mnt/tried/file") == "content\n"
        assert "Read-only file system" in client.run("touch", "/mnt/tried/new").stderr
    finally:
        client.out("umount", "/mnt/tried")


def test_locks_are_the_servers(nodes: Nodes) -> None:
    """Whoever locks a file on the client keeps the server's own programs out of it, in every version."""
    client, server = nodes["c1"], nodes["nas"]
    for share in VERSIONS:
        path = f"/mnt/{share}/locked"
        client.out("runuser", "-u", "app", "--", "sh", "-c", f"umask 000; : > {path}")
        held = "import time; time.sleep(600)"
        unit = f"--unit=lock-{share}"
        client.out("systemd-run", unit, "--property=User=app", "python3", "-c", f"{LOCK}; {held}", path)
        try:
            tried = ["python3", "-c", LOCK, f"/srv/{share}/locked"]
            wait_for(lambda tried=tried: server.run(*tried).returncode, f"the lock in {share}", limit=60)
        finally:
            client.out("systemctl", "stop", f"lock-{share}.service")
        wait_for(lambda tried=tried: server.run(*tried).returncode == 0, f"{share} to be unlocked", limit=60)


def test_a_server_that_is_stopped_and_started(nodes: Nodes, writers: Writers) -> None:
    """Writers wait, get their locks back and go on; all that they knew to be written is there."""
    nodes["nas"].out("systemctl", "stop", "nfs-server.service", limit=120)
    assert not serves(nodes["nas"])
    before = writers.noted()
    nodes["nas"].out("systemctl", "start", "nfs-server.service", limit=120)
    writers.go_on(before)


def test_a_server_that_hangs(nodes: Nodes, writers: Writers) -> None:
    """Writers wait and go on. Meanwhile the client's systemd answers, and no service starts without its share."""
    client = nodes["c1"]
    assert isinstance(nodes["nas"], GuestNode)
    nodes["nas"].engine("pause")
    try:
        before = writers.noted()
        client.out("systemctl", "start", "--no-block", "app.service")
        wait_for(lambda: client.run("systemctl", "is-failed", GUARD).returncode == 0, "the share to be given up", 120)
        assert client.run("systemctl", "is-active", "app.service").returncode
        # Standing still for ever is what a condition asked by process 1 would do
        assert client.out("systemctl", "show", "--property=ActiveState", "app.service", limit=60)
    finally:
        nodes["nas"].engine("unpause")
    writers.go_on(before)

    def starts() -> bool:
        client.run("systemctl", "reset-failed", "app.service", GUARD)
        return client.run("systemctl", "start", "app.service", limit=120).returncode == 0

    wait_for(starts, "the service", limit=BACK)
    client.out("systemctl", "stop", "app.service")


def test_a_server_that_loses_its_power(scenario: Scenario, nodes: Nodes, writers: Writers) -> None:
    """It starts anew and serves by itself; writers go on, nothing that they knew to be written is lost."""
    nas = nodes["nas"]
    assert isinstance(nas, GuestNode)
    before = writers.noted()
    nas.engine("kill")
    nas.engine("start")
    wait_for(lambda: serves(nas), "the server to serve", limit=BACK)
    before = {share: max(number, before[share]) for share, number in writers.noted().items()}
    writers.go_on(before)
    checked = scenario.play(SERVER, "--check").check()
    assert checked.changed == set()


def test_a_client_that_comes_back_has_its_shares(scenario: Scenario, nodes: Nodes) -> None:
    """Started anew it mounts all of them by itself, and the run finds nothing to do."""
    client = nodes["c1"]
    assert isinstance(client, GuestNode)
    client.reboot()
    for share, version in VERSIONS.items():
        wait_for(lambda share=share: options_of(client, f"/mnt/{share}"), f"{share} to be mounted", limit=BACK)
        assert f"vers={version}" in options_of(client, f"/mnt/{share}")
    assert scenario.play(MOUNT, "--check").check().changed == set()


def test_clients_of_one_name_are_refused(scenario: Scenario, nodes: Nodes) -> None:
    """To a server of version 4 they would be one. A kernel's identifier of its own makes them two."""
    variables = {
        "shared_mount_members_group": "twins",
        "shared_mount_hosts": "twins",
        "shared_mount_mounts": [{"name": "t", "path": "/mnt/t", "source": "nas:/srv/v42", "fstype": "nfs"}],
    }
    nodes["nas"].out("hostname", "c1")
    try:
        refused = scenario.play(MOUNT, variables=variables)
        assert "are one client to the server of t" in refused.complaint() and refused.changed == set()
        nodes["c1"].write("/etc/modprobe.d/own.conf", "options nfs nfs4_unique_id=of-its-own\n")
        told = scenario.play(MOUNT, variables=variables).complaint()
        # It is loaded without one: what the kernel says is asked first, and then what it will be told
        assert "are one client" not in told
    finally:
        nodes["nas"].out("hostname", "nas")
        nodes["c1"].run("rm", "/etc/modprobe.d/own.conf")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"nfs_server_exports": []}, "nfs_server_exports is empty"),
        ({"nfs_server_exports": [{"path": "/srv"}]}, "a directory of the system itself"),
        ({"nfs_server_exports": [{"path": "/srv/a", "clients": ["*"]}]}, "give an address or a network"),
        ({"nfs_server_clients_group": "nobody", "nfs_server_exports": [{"path": "/srv/a"}]}, "has no clients"),
        ({"nfs_server_exports": [{"path": "/srv/v3", "only_mounted": True}]}, "Nothing is mounted at /srv/v3 on nas"),
        ({"nfs_server_grace_seconds": 9}, "give a lease of 10 at least"),
        ({"nfs_server_versions": ["4"]}, "nfs_server_versions"),
    ],
)
def test_bad_input_is_refused_before_a_change(scenario: Scenario, variables: dict[str, object], said: str) -> None:
    """One clear error that names the variable and the value, and nothing changed."""
    refused = scenario.play(SERVER, variables=variables)
    assert said in refused.complaint() and refused.changed == set()


def test_an_export_of_somebody_else_is_refused(scenario: Scenario, nodes: Nodes) -> None:
    """What /etc/exports has as well has clients that the role does not know."""
    before = nodes["nas"].read("/etc/exports")
    nodes["nas"].write("/etc/exports", "/srv/v42 *(ro)\n")
    try:
        refused = scenario.play(SERVER)
        assert "/srv/v42 on nas is exported by /etc/exports as well" in refused.complaint()
        assert refused.changed == set()
    finally:
        nodes["nas"].write("/etc/exports", before or "")


def test_a_kernel_without_a_server_is_refused(scenario: Scenario, nodes: Nodes) -> None:
    """In a container, in check mode and in a run: one sentence that says what to do, and nothing changed."""
    if "nfsd" in str(nodes["bare"].read("/proc/filesystems")):
        pytest.skip("this machine's kernel has an NFS server")
    variables = {
        "nfs_server_hosts": "containers",
        "nfs_server_members_group": "containers",
        "nfs_server_exports": [{"path": "/srv/share"}],
    }
    for options in ((), ("--check",)):
        refused = scenario.play(SERVER, *options, variables=variables)
        assert "The kernel of bare has no NFS server (nfsd)" in refused.complaint() and refused.changed == set()


def test_what_runs_is_handed_out(scenario: Scenario) -> None:
    """In the role's own variables, of which a second server could be made."""
    variables = {"entry_role": SERVER, "entry_hosts": "storage_servers", "entry_points": ["export"]}
    run = scenario.play(scenario.directory / ".." / "shared" / "entry_points.yml", variables=variables).check()
    handed = run.facts["nas"]["nfs_server_exported"]
    assert handed["nfs_server_versions"] == ["3", "4.0", "4.1", "4.2"]
    assert (handed["nfs_server_grace_seconds"], handed["nfs_server_lease_seconds"]) == (15, 10)


def test_removed_and_made_anew_with_one_version(scenario: Scenario, nodes: Nodes) -> None:
    """Nothing is exported or mounted any more, the data stay; then version 4.2 alone is served, and no other."""
    client, server = nodes["c1"], nodes["nas"]
    scenario.play("entry_remove.yml").check()
    assert not serves(server) and not any(options_of(client, f"/mnt/{share}") for share in VERSIONS)
    assert server.read("/etc/exports.d/clusterkit.exports") is None and server.read("/srv/v3/lines")
    only = {"nfs_server_versions": ["4.2"], "nfs_server_exports": [{"path": "/srv/v42"}]}
    scenario.play(SERVER, variables=only).check()
    client.out("mkdir", "-p", "/mnt/tried")
    for version in ("3", "4.0", "4.1", "4.2"):
        how = f"vers={version},retry=0,nolock"
        tried = client.run("mount", "-t", "nfs", "-o", how, "nas:/srv/v42", "/mnt/tried", limit=300)
        assert (tried.returncode == 0) == (version == "4.2"), (version, tried.stderr)
    client.out("umount", "/mnt/tried")
