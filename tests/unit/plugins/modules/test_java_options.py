# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of Java in a start script: what a shell and a real Java machine make of them, and what stays."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._java.options import StartScript, no_proxy
from ansible_collections.clusterkit.middleware.plugins.modules import java_options

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "fixtures" / "wso2_carbon" / "bin" / "wso2server.sh"
PROXY = {"https.proxyHost": "proxy.example.org", "https.proxyPort": "3128"}
HOSTS = ["localhost", "127.0.0.1", "*.local"]
SELECTS = """
import java.net.*;
public class Selects {
    public static void main(String[] hosts) throws Exception {
        for (String host : hosts) {
            System.out.println(host + " " + ProxySelector.getDefault().select(new URI("https://" + host + "/")).get(0));
        }
    }
}
"""


def run(path: pathlib.Path, check: bool = False, **options: Any) -> dict[str, Any]:
    """Return what the module returns."""
    wanted = {"path": str(path), "properties": {}, "absent": [], "no_proxy_hosts": [], **options}
    return java_options.run(mock.Mock(params=wanted, check_mode=check))


def arguments(script: pathlib.Path) -> list[str]:
    """Return the arguments that Java gets from a script."""
    fake = script.parent / "java"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    fake.chmod(0o755)
    (script.parent / "bin").mkdir(exist_ok=True)
    shutil.copy(fake, script.parent / "bin" / "java")
    done = subprocess.run(
        ["sh", str(script)],
        env={"JAVA_HOME": str(script.parent), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().splitlines()


@pytest.fixture
def script(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a copy of a server's script."""
    (tmp_path / "home" / "bin").mkdir(parents=True)
    copy = tmp_path / "home" / "bin" / "server.sh"
    shutil.copy(SCRIPT, copy)
    return copy


def test_set_and_removed(script: pathlib.Path) -> None:
    """The lines go into the block, Java gets them, a second time nothing changes, and removed they leave no trace."""
    old = script.read_bytes()
    told = run(script, check=True, properties=PROXY, no_proxy_hosts=HOSTS)
    assert told["changed"] and script.read_bytes() == old
    assert run(script, properties=PROXY, no_proxy_hosts=HOSTS) == told
    got = arguments(script)
    assert "-Dhttps.proxyHost=proxy.example.org" in got and "-Dhttp.nonProxyHosts=localhost|127.0.0.1|*.local" in got
    assert got[-1] == "fixture.Launcher"
    new = script.read_bytes()
    assert [line for line in new.splitlines() if b"roxy" not in line] == old.splitlines()
    assert not run(script, properties=PROXY, no_proxy_hosts=HOSTS)["changed"]
    told = run(script, properties={"https.proxyHost": "other"})
    assert told["diff"]["before"] == {"https.proxyHost": "proxy.example.org"}
    assert run(script, absent=[*PROXY, "http.nonProxyHosts"])["changed"] and script.read_bytes() == old
    assert script.stat().st_mode & 0o777 == SCRIPT.stat().st_mode & 0o777


def test_a_real_java_goes_past_the_proxy_where_it_should(tmp_path: pathlib.Path) -> None:
    (tmp_path / "Selects.java").write_text(SELECTS, encoding="utf-8")
    options = [f"-D{name}={value}" for name, value in PROXY.items()]
    hosts = [
        "localhost",
        "a.local",
        "a.b.local",
        "local",
        "ec2.us-east-1.amazonaws.com",
        "127.0.0.1",
        "169.254.169.254",
    ]
    pattern = no_proxy([*HOSTS, "169.254.169.254"])
    argv = ["java", *options, f"-Dhttp.nonProxyHosts={pattern}", str(tmp_path / "Selects.java"), *hosts]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    proxied = {line.split()[0] for line in said.splitlines() if " HTTP @ " in line}
    assert proxied == {"local", "ec2.us-east-1.amazonaws.com"}, said


@pytest.mark.parametrize("host", ["a*b", ".*.local", ".local", "a b", "", 'x"'])
def test_hosts_that_java_would_not_match(host: str) -> None:
    with pytest.raises(ClusterkitError, match="matches no host for Java"):
        no_proxy([host])


def test_scripts_that_cannot_be_changed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "server.sh"
    with pytest.raises(ClusterkitError, match="no file"):
        run(path, properties=PROXY)
    assert not run(path, absent=["x"])["changed"]
    path.write_text("#!/bin/sh\nexec java -Da=b Main\n", encoding="utf-8")
    with pytest.raises(ClusterkitError, match="it has none blocks of options of Java"):
        run(path, properties=PROXY)
    path.write_text("java \\\n -Da=b \\\n Main\njava \\\n -Da=b \\\n Main\n", encoding="utf-8")
    with pytest.raises(ClusterkitError, match=r"it has 2 \(lines 2, 5\) blocks"):
        run(path, properties=PROXY)
    path.write_text("java \\\n -Da=b \\\n Main\n", encoding="utf-8")
    for wanted, complaint in (({"a b": "c"}, "is no name of a property"), ({"a": "b\nc"}, "has control characters")):
        with pytest.raises(ClusterkitError, match=complaint):
            run(path, properties=wanted)


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs"]), max_size=20))
def test_any_value_reaches_java(value: str) -> None:
    """As the shell itself hands it on; what stood there twice stands there once."""
    old = b"printf '%s' \\\n  -Da=1 \\\n\t-Db=\"x y\" \\\n  -Da=2 \\\n  end\n"
    new = StartScript(old).changed({"b": value, "a": "3"})
    said = subprocess.run(["sh"], input=new, capture_output=True, check=True).stdout.decode()
    assert said == f"-Db={value}-Da=3end"
    script = StartScript(new)
    assert script.values == {"a": "3", "b": value}
    assert script.changed({"b": value, "a": "3"}) == new
    assert re.sub(rb"\t-Db=.*\n", b"", new) == b"printf '%s' \\\n  -Da=3 \\\n  end\n"
