# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrows run downwards only: playbooks → product roles → capability roles → modules → module_utils."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator

from tests.gates import tree

RULES = ("product-role-named", "playbook-named", "product-named", "import-upwards")
#: Product roles by name; those that are planned are known before they are there.
PRODUCT_ROLE = re.compile(r"^(\w+_cluster|deploy_appdata)$")
PLANNED = {"gluu_cluster", "deploy_cluster", "wso2_cluster", "alfresco_sync_cluster", "deploy_appdata"}
#: Words of products, which only product roles, playbooks and documentation may know.
PRODUCT = re.compile(r"(?i)(?<![a-z])(gluu|oxauth|wso2|alfresco|urbancode|devops deploy|deploy server)(?![a-z])")
#: Below it a class may know which names a product's configuration format uses.
FORMATS = "plugins/module_utils/_formats/"

#: For the plugins of a kind: the directories below plugins/ that they may import from.
MAY_IMPORT = {
    "module_utils": {"module_utils"},
    "modules": {"module_utils"},
    "action": {"module_utils", "action"},
    "filter": {"module_utils", "filter"},
    "doc_fragments": set[str](),
}
#: Code that runs on targets, or is tested without Ansible, has no more of Ansible than what travels with modules.
ONLY_ANSIBLE_MODULE_UTILS = ("module_utils", "modules")


def findings(root: pathlib.Path) -> list[tree.Finding]:
    """Return every arrow that points upwards."""
    return [*_roles(root), *_product_words(root), *_imports(root)]


def is_product_role(name: str) -> bool:
    """Tell whether a role is one of a product."""
    return bool(PRODUCT_ROLE.match(name))


def _roles(root: pathlib.Path) -> Iterator[tree.Finding]:
    roles = [path.name for path in tree.role_directories(root)]
    product_roles = {name for name in roles if is_product_role(name)} | PLANNED
    playbooks = {path.stem for path in tree.files_below(root, "playbooks", suffixes=(".yml",))}
    known = {*roles, *tree.plugin_names(root, "modules"), *tree.plugin_names(root, "filter")}
    named = re.compile(rf"(?<!\w)({'|'.join(sorted(product_roles))})(?!\w)")
    # A playbook's name in the prose of a README is no dependency: users are told what to run
    by_name = [rf"{re.escape(tree.COLLECTION)}\.{one}\b" for one in sorted(playbooks - known)]
    called = re.compile("|".join(["import_playbook", "playbooks/", *by_name]))
    for role in tree.role_directories(root):
        for path in tree.files_below(root, tree.relative(root, role)):
            for number, line in enumerate(tree.text_of(path).splitlines(), 1):
                where = tree.relative(root, path), number
                word = named.search(line)
                if word and not is_product_role(role.name):
                    advice = f"a capability role knows no product role ({word[1]}): let that one pass a variable"
                    yield tree.Finding(*where, "product-role-named", advice)
                if path.name != "README.md" and (word := called.search(line)):
                    yield tree.Finding(*where, "playbook-named", f"a role calls no playbook ({word[0]})")


def _product_words(root: pathlib.Path) -> Iterator[tree.Finding]:
    for path in tree.files_below(root, "roles", "plugins"):
        name = tree.relative(root, path)
        role = path.relative_to(root).parts[1]
        if (
            name.startswith(FORMATS)
            or name.endswith("README.md")
            or (name.startswith("roles/") and is_product_role(role))
        ):
            continue
        for number, line in enumerate(tree.text_of(path).splitlines(), 1):
            if word := PRODUCT.search(line):
                advice = f"`{word[1]}` is a product: its services, paths and names belong into its product role"
                yield tree.Finding(name, number, "product-named", advice)


def _imports(root: pathlib.Path) -> Iterator[tree.Finding]:
    for path in tree.files_below(root, "plugins", suffixes=(".py",)):
        parts = path.relative_to(root / "plugins").parts
        kind, package = parts[0], parts[1] if len(parts) > 2 else ""
        for line, module in _imported(path, root):
            where = tree.relative(root, path), line
            below = module.removeprefix(f"ansible_collections.{tree.COLLECTION}.plugins.").split(".")
            if len(below) < module.count(".") + 1:
                if below[0] not in MAY_IMPORT.get(kind, {below[0]}):
                    yield tree.Finding(*where, "import-upwards", f"{kind} imports nothing from plugins/{below[0]}")
                elif kind == "module_utils" and package == "_common" and below[1:2] != ["_common"]:
                    yield tree.Finding(
                        *where, "import-upwards", "_common is shared by all topics and knows none of them"
                    )
            elif (top := module.partition(".")[0]) in ("lab", "tests"):
                yield tree.Finding(*where, "import-upwards", f"what users install imports nothing from {top}/")
            elif kind in ONLY_ANSIBLE_MODULE_UTILS and re.match(r"ansible(\.(?!module_utils\b)|$)", module):
                advice = f"{module} is not on targets: only ansible.module_utils travels with a module"
                yield tree.Finding(*where, "import-upwards", advice)


def _imported(path: pathlib.Path, root: pathlib.Path) -> Iterator[tuple[int, str]]:
    """Walk over the full names of what a file of the collection imports, relative ones resolved."""
    package = ["ansible_collections", *tree.COLLECTION.split("."), *path.relative_to(root).parts[:-1]]
    for node in ast.walk(ast.parse(tree.text_of(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"
