# SPDX-License-Identifier: GPL-3.0-or-later
"""Install pip from the wheel that Python itself brings.

ansible-test bootstraps pip in each environment it makes with a script that it downloads, unless one lies in its cache.
The gate puts this one there, so that sanity tests need nothing but the package index.
"""

from __future__ import annotations

import ensurepip
import pathlib
import sys
import sysconfig


def main() -> int:
    """Let the bundled pip install what the arguments name; two options are known to the downloaded script only."""
    places = [pathlib.Path(ensurepip.__file__).parent / "_bundled"]
    if distribution := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        places.insert(0, pathlib.Path(distribution))
    wheels = sorted(wheel for place in places for wheel in place.glob("pip-*.whl"))
    if not wheels:
        print(f"no pip wheel in {' or '.join(map(str, places))}: install python3-venv", file=sys.stderr)
        return 1
    sys.path.insert(0, str(wheels[-1]))
    from pip._internal.cli.main import main as pip  # noqa: PLC0415 - it can be imported only now

    wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
    return int(pip(["install", *wanted]))


if __name__ == "__main__":
    sys.exit(main())
