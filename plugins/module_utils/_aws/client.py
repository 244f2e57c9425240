# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules reach AWS: boto3, with credentials from where it looks for them by itself, and none as options."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Mapping

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    HAS_BOTO3 = True
except ImportError:
    HAS_BOTO3 = False
    ClientError = Exception  # for those that import it from here; Account says what is missing

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: The options of fragment `clusterkit.middleware.aws`.
CONNECTION: dict[str, dict[str, Any]] = {
    "region": {"type": "str"},
    "profile": {"type": "str"},
    "endpoint_url": {"type": "str"},
}


class Account:
    """An account of AWS in one region."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raise ClusterkitError where boto3 is missing, or a profile is not there."""
        if not HAS_BOTO3:
            raise ClusterkitError("this module needs the Python library boto3 where it runs: install it there")
        with told("the session"):
            self._session = boto3.session.Session(
                profile_name=options.get("profile") or None, region_name=options.get("region") or None
            )
        self._endpoint = options.get("endpoint_url") or None
        self._clients: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """Return the client of a service."""
        if service not in self._clients:
            config = Config(retries={"mode": "standard", "max_attempts": 8}, connect_timeout=10, read_timeout=60)
            with told(service):
                self._clients[service] = self._session.client(service, endpoint_url=self._endpoint, config=config)
        return self._clients[service]

    @property
    def region(self) -> str:
        """The region by name."""
        return str(self._session.region_name)


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Let an answer of AWS that is an error reach the user as the one error of the collection."""
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        raise ClusterkitError(f"AWS refused {what}: {said.get('Code')}: {said.get('Message')}") from error
    except BotoCoreError as error:
        raise ClusterkitError(f"AWS could not be asked for {what}: {error}") from error


def code_of(error: Exception) -> str:
    """Return the code by which AWS names an error."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def caller(account: Account) -> dict[str, str]:
    """Return the account as `id`, `partition` and `region`. Raises ClusterkitError."""
    with told("who is asking"):
        who = account("sts").get_caller_identity()
    return {"id": str(who["Account"]), "partition": who["Arn"].split(":")[1], "region": account.region}
