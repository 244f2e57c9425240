# SPDX-License-Identifier: GPL-3.0-or-later
"""Original archives of programs that roles build or install, from where the machine, or a role, has them from."""

from __future__ import annotations

import hashlib
import pathlib
import re
from dataclasses import dataclass

from lab import image
from lab.steps import LAB, ROOT, LabError, locked, run, run_logged, say, write_atomically

DIRECTORY = LAB / "sources"
MAVEN = DIRECTORY / "maven"
_APT_HELPER = "/usr/lib/apt/apt-helper"


@dataclass(frozen=True)
class Archive:
    """The original archive of a Debian source package, and the SHA-256 that it has to have."""

    package: str
    sha256: str

    @property
    def path(self) -> pathlib.Path:
        """Where it is kept."""
        return DIRECTORY / f"{self.package}.orig.tar.gz"

    def uri(self) -> str:
        """Return where the machine's package sources have it. Raises LabError."""
        return _uri(self)


@dataclass(frozen=True)
class RoleArchive:
    """What a role downloads from a Maven repository, with the version and checksum that its defaults say."""

    role: str

    def _default(self, name: str) -> str:
        text = (ROOT / "roles" / self.role / "defaults" / "main.yml").read_text(encoding="utf-8")
        found = re.search(rf"^{self.role}_{name}: (\S+)$", text, re.M)
        if not found:
            raise LabError(f"the defaults of role {self.role} have no {self.role}_{name}")
        return found.group(1)

    @property
    def sha256(self) -> str:
        """The SHA-256 that it has to have."""
        return self._default("checksum").partition(":")[2]

    @property
    def path(self) -> pathlib.Path:
        """Where it is kept: as it is laid out in a Maven repository, so that nodes can be given one."""
        group, _colon, name = self._default("artifact").partition(":")
        version = self._default("version")
        return MAVEN / group.replace(".", "/") / name / version / f"{name}-{version}.zip"

    def uri(self) -> str:
        """Return where the central repository has it, as community.general knows that by default. Raises LabError."""
        return f"{_repository()}/{self.path.relative_to(MAVEN)}"


@dataclass(frozen=True)
class MavenFiles:
    """Files of a Maven repository, as a list says: SHA-256, path, and for what each is needed, `*` for all."""

    listing: str
    purpose: str

    def files(self) -> list[tuple[str, pathlib.Path]]:
        """Return their checksums and where they are kept."""
        found = []
        for line in (ROOT / self.listing).read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                checksum, path, purposes = line.split()
                if purposes == "*" or self.purpose in purposes.split(","):
                    found.append((checksum, MAVEN / path))
        return found


ARCHIVES: dict[str, Archive | RoleArchive] = {
    "opendj": RoleArchive("opendj_server"),
    "csync2": Archive("csync2", "89319ae251d7152818ec65886685098da686dfbe6dc2f069c1f816079b2a920c"),
}
#: Sets of files, by name.
FILES: dict[str, MavenFiles] = {
    "alfresco_sync": MavenFiles("tests/fixtures/alfresco_sync/jars.txt", "*"),
    **{
        f"wso2_carbon-{kernel}": MavenFiles("tests/fixtures/wso2_carbon/jars.txt", kernel)
        for kernel in ("4.4.35", "4.6.0", "4.9.0")
    },
}


def fetch(name: str) -> pathlib.Path:
    """Return the archive, downloaded where it is missing. Raises LabError."""
    archive = ARCHIVES[name]
    with locked("sources"):
        if not _is_there(archive.path, archive.sha256):
            say(f"downloading the archive of {name}")
            archive.path.parent.mkdir(parents=True, exist_ok=True)
            run([_APT_HELPER, "download-file", archive.uri(), str(archive.path), f"SHA256:{archive.sha256}"], limit=300)
    return archive.path


def fetch_files(name: str) -> list[pathlib.Path]:
    """Return the files of a set, downloaded where they are missing, all in one go. Raises LabError."""
    files = FILES[name].files()
    with locked("sources"):
        missing = [one for one in files if not _is_there(one[1], one[0])]
        if missing:
            say(f"downloading {len(missing)} files of {name}")
            base, arguments = _repository(), []
            for checksum, path in missing:
                path.parent.mkdir(parents=True, exist_ok=True)
                arguments += [f"{base}/{path.relative_to(MAVEN)}", str(path), f"SHA256:{checksum}"]
            run([_APT_HELPER, "download-file", *arguments], limit=300)
    return [path for _checksum, path in files]


def _is_there(path: pathlib.Path, checksum: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == checksum


def _repository() -> str:
    """Return the address of the central Maven repository, as community.general knows it. Raises LabError."""
    modules = ROOT.glob("build/venv/lib/python*/site-packages/ansible_collections/community/general/plugins/modules")
    for path in modules:
        found = re.search(
            r"repository_url=dict\(.*?default=[\"']([^\"']+)", (path / "maven_artifact.py").read_text("utf-8"), re.S
        )
        if found:
            return found.group(1).rstrip("/")
    raise LabError("the Python environment has no community.general.maven_artifact: run `python3 -m lab setup`")


def _uri(archive: Archive) -> str:
    """Return where the package source has the archive: apt is asked, in directories of its own."""
    lists = DIRECTORY / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    sources = DIRECTORY / "sources.list"
    write_atomically(sources, re.sub(r"(?m)^deb ", "deb-src ", image.package_sources()))
    options = [
        *("-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null"),
        *("-o", f"Dir::State::Lists={lists}", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
    ]
    run_logged("apt-sources", ["apt-get", *options, "update"], limit=300)
    # The Debian part may be missing on a mirror, so not all of the source package is asked for
    printed = run(["apt-get", *options, "source", "--print-uris", "--download-only", archive.package])
    found = re.search(r"^'(\S+\.orig\.tar\.\w+)' ", printed, re.M)
    if not found:
        raise LabError(f"the package sources of this machine have no original archive of {archive.package}")
    return found.group(1)
