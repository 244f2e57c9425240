# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive that users install: what is in it, what Galaxy says of it, and that it works where nothing else is."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import shutil
import tarfile

import pytest

from tests.gates import tree

WORK = tree.BUILD / "archive"
#: What users need from the archive.
NEEDED = ("README.md", "COPYING", "MANIFEST.json", "FILES.json", "meta/runtime.yml", "playbooks/site.yml")
#: First parts of a path, and endings, that never belong into it.
FORBIDDEN = (".git", ".ci", ".ansible", ".venv", "build", "tests/output", ".mypy_cache", ".ruff_cache", ".pytest_cache")
FORBIDDEN_ENDINGS = (".pyc", ".tar.gz", ".retry", ".log", "~", ".swp")


@dataclasses.dataclass(frozen=True)
class Installed:
    """The archive, and the collections path it was installed into."""

    archive: pathlib.Path
    collections: pathlib.Path

    def environment(self) -> dict[str, str]:
        """Return an environment that knows this installation, and neither the checkout nor anyone's home directory."""
        home = str(WORK / "home")
        return tree.environment(
            ANSIBLE_COLLECTIONS_PATH=str(self.collections),
            HOME=home,
            ANSIBLE_HOME=f"{home}/.ansible",
            ANSIBLE_CONFIG=f"{home}/ansible.cfg",
        )


@pytest.fixture(scope="module")
def installed() -> Installed:
    """Build the archive from the checkout and install it into a clean collections path."""
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "home").mkdir(parents=True)
    (WORK / "home" / "ansible.cfg").touch()
    built = tree.run(["ansible-galaxy", "collection", "build", "--output-path", str(WORK), str(tree.ROOT)])
    tree.require(built, "The archive cannot be built.")
    (archive,) = WORK.glob("*.tar.gz")
    result = Installed(archive, WORK / "collections")
    # Dependencies come with the `ansible` package of the environment: nothing is asked of a server
    argv = ["ansible-galaxy", "collection", "install", str(archive), "-p", str(result.collections), "--offline"]
    tree.require(tree.run(argv, env=result.environment(), cwd=WORK), "The archive cannot be installed.")
    assert (result.collections / "ansible_collections" / tree.NAMESPACE / tree.NAME / "MANIFEST.json").exists()
    return result


def test_content(installed: Installed) -> None:
    """The archive holds what git knows, nothing that was generated, and what users need."""
    with tarfile.open(installed.archive) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}
    listed = {tree.relative(tree.ROOT, path) for path in tree.listed_files(tree.ROOT)} | {"MANIFEST.json", "FILES.json"}
    unknown = sorted(names - listed)
    assert not unknown, f"in the archive but not in git, add to build_ignore of galaxy.yml: {', '.join(unknown[:20])}"
    bad = [name for name in names if name.endswith(FORBIDDEN_ENDINGS) or any(_is_below(name, top) for top in FORBIDDEN)]
    assert not bad, f"add to build_ignore of galaxy.yml: {', '.join(sorted(bad)[:20])}"
    missing = [name for name in NEEDED if name not in names]
    missing += [name for name in listed - names if name.startswith(("plugins/", "roles/", "playbooks/", "meta/"))]
    assert not missing, f"users need these, but the archive has not got them: {', '.join(sorted(missing)[:20])}"


def _is_below(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}/")


def test_galaxy_importer(installed: Installed) -> None:
    """Galaxy's own importer accepts the archive without a warning."""
    # ansible-lint has run over the checkout, with more rules than the importer gives it
    environment = {**installed.environment(), "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false"}
    done = tree.run(["python", "-m", "galaxy_importer.main", str(installed.archive)], env=environment, cwd=WORK)
    tree.require(done, "Galaxy would refuse the archive.")
    warnings = re.findall(r"^(?:WARNING|ERROR): (.*)", done.stdout + done.stderr, re.M)
    assert not warnings, "galaxy-importer warns:\n" + "\n".join(warnings)


@pytest.mark.parametrize("kind", ["module", "filter", "role"])
def test_documentation_is_shown(installed: Installed, kind: str) -> None:
    """ansible-doc shows each module (and so each action plugin), filter and role with all its entry points."""
    if kind == "role":
        names = [path.name for path in tree.role_directories(tree.ROOT)]
    elif kind == "filter":
        names = tree.filter_names(tree.ROOT)
    else:
        names = sorted({*tree.plugin_names(tree.ROOT, "modules"), *tree.plugin_names(tree.ROOT, "action")})
    if not names:
        return
    full = [f"{tree.COLLECTION}.{name}" for name in names]
    done = tree.run(["ansible-doc", "--json", "-t", kind, *full], env=installed.environment(), cwd=WORK)
    tree.require(done, "Mend the documentation.")
    shown = json.loads(done.stdout)
    assert sorted(shown) == sorted(full), (
        f"ansible-doc knows no {kind} {', '.join(set(full) - set(shown))}: {done.stderr}"
    )
    for name in full if kind == "role" else []:
        specs = tree.load(tree.ROOT / "roles" / name.rpartition(".")[2] / "meta" / "argument_specs.yml")
        assert set(shown[name]["entry_points"]) == set(specs["argument_specs"]), f"ansible-doc shows not all of {name}"


def test_site_runs_where_there_is_nothing_to_do(installed: Installed) -> None:
    """The playbook `site` is found by its name and ends well with an inventory that has none of the groups."""
    inventory = WORK / "home" / "inventory.yml"
    python = tree.tool("python")
    host = {"ansible_connection": "local", "ansible_python_interpreter": python}
    inventory.write_text(json.dumps({"all": {"hosts": {"bystander": host}}}), encoding="utf-8")
    argv = ["ansible-playbook", f"{tree.COLLECTION}.site", "-i", str(inventory)]
    done = tree.run(argv, env=installed.environment(), cwd=WORK / "home")
    tree.require(done, "An inventory without the collection's groups must be left alone.")
    warnings = re.findall(r"\[(?:DEPRECATION )?WARNING\]: (?!Could not match supplied host pattern)(.*)", done.stderr)
    assert not warnings, f"every user will see these warnings: {done.stderr}"
    recap = re.search(r"^bystander +: (.*)", done.stdout, re.M)
    assert not recap or re.search(r"changed=0 .*failed=0", recap[1]), f"a host of no group was acted on: {done.stdout}"
