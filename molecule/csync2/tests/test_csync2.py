# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers keep a directory identical; what breaks is reported, and mended by running again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from molecule.shared.csync2 import KEY, Nodes, quiet, synchronise
from molecule.shared.scenario import Node, Scenario, wait_for

WEB = {"name": "web", "include": ["/srv/web"]}


@pytest.fixture
def by_hand(nodes: Nodes) -> Iterator[None]:
    """Let nothing run by itself during a test."""
    with quiet(nodes):
        yield


def starts(node: Node) -> int:
    """Return how often the service was started on a node."""
    return str(node.read("/var/log/web.starts")).count("started")


def test_files_that_were_there_are_on_both(nodes: Nodes) -> None:
    """What each server had before, and what both had, is on both, with mode and owner."""
    for name in ("n1", "n2", "both"):
        contents = {node.read(f"/srv/web/{name}") for node in nodes.values()}
        assert len(contents) == 1 and None not in contents, name
    for node in nodes.values():
        assert node.out("stat", "-c", "%a %U", "/srv/web/both").split() == ["640", "root"]


def test_key_is_one_and_closed(nodes: Nodes) -> None:
    """All members have the same strong key, which only root reads; each has a private key of its own."""
    keys = {node.read(KEY) for node in nodes.values()}
    assert len(keys) == 1 and len(str(keys.pop()).strip()) == 64
    private = {node.out("sha256sum", "/etc/csync2_ssl_key.pem") for node in nodes.values()}
    assert len(private) == len(nodes)
    for node in nodes.values():
        for path in (KEY, "/etc/csync2_ssl_key.pem"):
            assert node.out("stat", "-c", "%a %U:%G", path).strip() == "600 root:root"


def test_timers_take_turns(nodes: Nodes) -> None:
    """The members' next runs are not at the same moment."""
    nexts = [
        node.out("systemctl", "show", "-P", "NextElapseUSecRealtime", "csync2-sync.timer") for node in nodes.values()
    ]
    assert len(set(nexts)) == len(nodes), nexts


@pytest.mark.parametrize(("source", "target"), [("n1", "n2"), ("n2", "n1")])
def test_change_and_deletion_travel(nodes: Nodes, by_hand: None, source: str, target: str) -> None:
    """A new file with an odd name arrives both ways, and its deletion too."""
    path = f'/srv/web/from {source} "quoted" ü\nsecond line'
    nodes[source].write(path, source)
    assert synchronise(nodes[source]).returncode == 0
    assert nodes[target].read(path) == source
    nodes[source].out("rm", path)
    assert synchronise(nodes[source]).returncode == 0
    assert nodes[target].read(path) is None


def test_excluded_files_stay(nodes: Nodes) -> None:
    """What the group excludes is not sent."""
    nodes["n1"].write("/srv/web/draft~", "x")
    assert synchronise(nodes["n1"]).returncode == 0
    assert nodes["n2"].read("/srv/web/draft~") is None


@pytest.mark.parametrize(("source", "target"), [("n1", "n2"), ("n2", "n1")])
def test_change_is_sent_at_once_and_does_not_echo(nodes: Nodes, source: str, target: str) -> None:
    """A change arrives within seconds without anybody starting anything, and the receiver sends nothing back."""
    for node in nodes.values():
        node.out("systemctl", "stop", "csync2-sync.timer")
    # Started anew: what it tells late of a change of its own, in the test before this one, is no echo
    nodes[target].out("systemctl", "restart", "csync2-watch.service")
    invocation = nodes[target].out("systemctl", "show", "-P", "InvocationID", "csync2-watch.service").strip()
    told = ("journalctl", f"_SYSTEMD_INVOCATION_ID={invocation}", "--no-pager", "-o", "cat")
    before = wait_for(lambda: nodes[target].out(*told), "the first run of the watch", limit=30)
    path = f"/srv/web/deep/er/{source}"
    nodes[source].out("mkdir", "-p", "/srv/web/deep/er")
    nodes[source].write(path, "quick")
    # At once; or, where a busy peer could not take it in time, when it is tried again after half a minute
    wait_for(lambda: nodes[target].read(path) == "quick", "the change", limit=90)
    nodes[source].out("rm", "-r", "/srv/web/deep")
    wait_for(lambda: nodes[target].run("test", "-e", "/srv/web/deep").returncode != 0, "the deletion", limit=90)
    assert nodes[target].out(*told) == before
    for node in nodes.values():
        node.out("systemctl", "start", "csync2-sync.timer")


def test_action_runs_once_for_a_burst(nodes: Nodes) -> None:
    """Many files that arrive together restart the service on the receiver once, and not on the sender."""
    before = {name: starts(node) for name, node in nodes.items()}
    nodes["n1"].out("sh", "-c", "mkdir -p /srv/web/app && for i in $(seq 30); do echo $i > /srv/web/app/$i; done")
    wait_for(lambda: nodes["n2"].read("/srv/web/app/30"), "the last file", limit=10)
    wait_for(lambda: starts(nodes["n2"]) > before["n2"], "the restart", limit=10)
    # One more second than the action settles: a second run would have begun
    time.sleep(2)
    assert {name: starts(node) - before[name] for name, node in nodes.items()} == {"n1": 0, "n2": 1}


@pytest.mark.parametrize(("name", "daemon"), [("n1", "at-once"), ("n2", "at-once"), ("n2", "settled")])
def test_a_daemon_that_an_action_starts_goes_on(nodes: Nodes, by_hand: None, name: str, daemon: str) -> None:
    """What an action's init script starts is not ended with the unit that ran the action, on neither side."""
    node = nodes[name]
    node.out("rm", "-f", f"/run/{daemon}.pid")
    nodes["n1"].out("mkdir", "-p", "/srv/web/daemons")
    nodes["n1"].write(f"/srv/web/daemons/{daemon} {name}", "x")
    assert synchronise(nodes["n1"]).returncode == 0
    number = str(wait_for(lambda: node.read(f"/run/{daemon}.pid"), "the daemon", limit=30)).strip()
    unit = node.out("cat", f"/proc/{number}/cgroup").strip().rpartition("/")[2]
    assert unit.endswith(".service")
    ended = ("systemctl", "show", "-P", "ActiveState", unit)
    wait_for(lambda: node.out(*ended).strip() in {"inactive", "failed"}, f"the end of {unit}", limit=30)
    assert node.read(f"/proc/{number}/comm") == "sleep\n", unit
    node.out("kill", number)


def test_conflict_does_not_run_the_action_again_and_again(nodes: Nodes, by_hand: None) -> None:
    """A conflict fails every run until it is decided, without asking the peer again; other files are sent meanwhile."""
    for node in nodes.values():
        node.write("/srv/web/app/contested", f"version of {node.name}, of another length{'!' * int(node.name[1:])}")
    for node in nodes.values():
        node.out("csync2", "-N", node.name, "-cr", "/")
    before = starts(nodes["n2"])
    nodes["n1"].write("/srv/web/free", "of any conflict")
    for _attempt in range(4):
        done = nodes["n1"].run("clusterkit-csync2", "run", "--name", "n1")
        assert done.returncode == 65 and "conflict: changed here and on the peer" in done.stdout, done
    assert nodes["n2"].read("/srv/web/free") == "of any conflict"
    assert synchronise(nodes["n1"]).returncode != 0
    time.sleep(2)
    assert starts(nodes["n2"]) - before <= 1
    nodes["n1"].out("csync2", "-N", "n1", "-f", "/srv/web/app/contested")
    assert nodes["n1"].run("clusterkit-csync2", "run", "--name", "n1").returncode == 0
    assert "version of n1" in str(nodes["n2"].read("/srv/web/app/contested"))


def test_timer_synchronises_by_itself(nodes: Nodes, by_hand: None) -> None:
    """Even without inotify a change arrives within the interval."""
    nodes["n1"].out("systemctl", "start", "csync2-sync.timer")
    nodes["n1"].write("/srv/web/by-timer", "tick")
    wait_for(lambda: nodes["n2"].read("/srv/web/by-timer") == "tick", "the timer's run", limit=70)


def test_conflict_is_reported_and_a_winner_ends_it(scenario: Scenario, nodes: Nodes, by_hand: None) -> None:
    """A file changed on both sides is never overwritten silently: the run names it; a declared winner decides."""
    for node in nodes.values():
        node.write("/srv/web/contested", f"version of {node.name}, which differs in length{'!' * int(node.name[1:])}\n")
    for node in nodes.values():
        node.out("csync2", "-N", node.name, "-cr", "/")
    complaint = scenario.play().complaint()
    assert "/srv/web/contested to n2 (conflict" in complaint, complaint
    assert "version of n1" in str(nodes["n1"].read("/srv/web/contested"))
    assert "version of n2" in str(nodes["n2"].read("/srv/web/contested"))
    scenario.play(variables={"csync2_winner": "n2"}).check()
    for node in nodes.values():
        assert "version of n2" in str(node.read("/srv/web/contested"))
    assert scenario.play().check().changed == set()


def test_what_csync2_cannot_see_the_verification_names(scenario: Scenario, nodes: Nodes, by_hand: None) -> None:
    """A change that leaves size and time as they were is never sent; the file is named all the same."""
    nodes["n1"].write("/srv/web/unseen", "one")
    assert synchronise(nodes["n1"]).returncode == 0
    nodes["n2"].out(
        "sh", "-c", "cp -p /srv/web/unseen /tmp/u; printf two > /srv/web/unseen; touch -r /tmp/u /srv/web/unseen"
    )
    complaint = scenario.play("converge.yml", "--tags", "csync2_verify").complaint()
    assert "web: n1 and n2 differ in 1 files: /srv/web/unseen" in complaint, complaint
    nodes["n2"].out("rm", "/srv/web/unseen")
    assert synchronise(nodes["n2"]).returncode == 0


def test_check_mode_shows_what_would_be_sent_and_its_content_when_asked(
    scenario: Scenario, nodes: Nodes, by_hand: None
) -> None:
    """Check mode names the file that a run would send; what differs in it shows only when that is asked for."""
    nodes["n1"].write("/srv/web/shown", "old line\n")
    assert synchronise(nodes["n1"]).returncode == 0
    nodes["n1"].write("/srv/web/shown", "a new line of another length\n")
    # csync2's own dry run tells what it has noticed: the next run's own look comes before it sends
    nodes["n1"].out("csync2", "-N", "n1", "-cr", "/srv/web")
    task = ("n1", "clusterkit.middleware.csync2 : Send this member's files")
    plain = scenario.play("converge.yml", "--check", "--diff").check()
    assert "/srv/web/shown to n2" in str(plain.diffs[task]) and "new line" not in plain.output
    told = scenario.play("converge.yml", "--check", "--diff", variables={"csync2_show_content": True}).check()
    assert "-old line" in str(told.diffs[task]) and "+a new line of another length" in str(told.diffs[task])
    assert synchronise(nodes["n1"]).returncode == 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"csync2_groups": [{"name": "web", "include": ["srv/web"]}]}, "csync2_groups[0].include is 'srv/web'"),
        ({"csync2_groups": [{**WEB, "hosts": ["n1", "n3"]}]}, "csync2_groups[0].hosts has 'n3', which is no member"),
        ({"csync2_groups": [{**WEB, "hosts": ["n1"]}]}, "has one host or none (n1): two at least make a cluster"),
        ({"csync2_groups": []}, "csync2_groups is empty"),
        ({"csync2_name": "n9", "csync2_manage_hosts": True}, "csync2_name is n9 for both n1 and n2"),
        ({"csync2_winner": "n9"}, "csync2_winner is n9, which is no member"),
        ({"csync2_interval_minutes": 7}, "csync2_interval_minutes is 7"),
        ({"csync2_members_group": "nobody"}, "csync2_members_group is nobody"),
        ({"csync2_groups": [{"name": "web", "include": ["/bin"]}]}, "leads through a symbolic link"),
    ],
)
def test_bad_input_is_refused_before_a_change(scenario: Scenario, variables: dict[str, object], said: str) -> None:
    """One clear error that names the variable and the value, and nothing changed."""
    run = scenario.play(variables=variables)
    assert said in run.complaint()
    assert run.changed == set()


def test_export_gives_back_the_variables(scenario: Scenario) -> None:
    """What runs can be had in the role's own variables."""
    exported = scenario.play("export.yml").check().facts["n1"]["csync2_exported"]
    (group,) = exported["csync2_groups"]
    assert (group["name"], group["include"], group["hosts"]) == ("web", ["/srv/web"], ["n1", "n2"])
