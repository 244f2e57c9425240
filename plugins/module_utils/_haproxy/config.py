# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of HAProxy's configuration.

Paths are absolute throughout and `ca-base` and `crt-base` are not set: with them a name such as `@system-ca`, and each
path that somebody adds, would mean something else.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy.runtime import SOCKET
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy.services import HTTP_MODES, TLS_MODES

_MARK = "# Written by Ansible (clusterkit.middleware.haproxy)."
#: Sections that have traffic: a package brings a configuration without any.
_SECTIONS = ("frontend", "backend", "listen")
#: Where the balancer's own files are.
CERTIFICATES = "/etc/haproxy/certs"
AUTHORITIES = "/etc/haproxy/authorities"
STATE_FILE = "/var/lib/haproxy/server-state"
USERS = "clusterkit_users"
PEERS = "clusterkit_peers"
#: What clients of the last ten years can do, with forward secrecy (Mozilla's "intermediate" without DHE).
_CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
_TRY_CERTIFICATE = "import ssl, sys; ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(sys.argv[1])"
_TRY_AUTHORITY = "import ssl, sys; ssl.create_default_context(cafile=sys.argv[1])"
_CIPHERSUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"


def render(
    services: Sequence[Mapping[str, Any]],
    name: str,
    members: Sequence[Mapping[str, str]],
    *,
    hard_stop_seconds: int,
    max_connections: int,
    peers_port: int,
    stats_address: str,
    stats_port: int,
    stats_certificate: str,
    metrics_address: str,
    metrics_port: int,
    global_lines: Sequence[str],
) -> str:
    """Return the configuration of the balancer `name` for the services of `services.catalogue`.

    `members` are all balancers; a `stats_port` or `metrics_port` of 0 means no such page, `max_connections` of 0 what
    HAProxy finds right.
    """
    options = {
        "hard_stop_seconds": hard_stop_seconds,
        "max_connections": max_connections,
        "stats_address": stats_address,
        "stats_port": stats_port,
        "stats_certificate": stats_certificate,
        "metrics_address": metrics_address,
        "metrics_port": metrics_port,
        "global_lines": global_lines,
    }
    blocks = [_global(name, options), _defaults()]
    if len(members) > 1:
        blocks.append(_peers(members, int(peers_port)))
    for service in services:
        blocks += [_frontend(service), *_redirect(service), _backend(service, shared=len(members) > 1)]
    blocks += [*_stats(options), *_metrics(options)]
    return f"{_MARK}\n" + "\n".join(
        "\n".join([block[0], *(f"    {line}" for line in block[1:])]) + "\n" for block in blocks
    )


def foreign(text: str) -> list[str]:
    """Return the sections with traffic of a configuration that `render` did not write, such as 'frontend shop'."""
    if text.startswith(_MARK):
        return []
    words = (line.split() for line in text.splitlines())
    return [" ".join(line[:2]) for line in words if line and line[0] in _SECTIONS]


def users(user: str, password: str) -> str:
    """Return the file of the users of the statistics page, which has its secret and nothing else."""
    if not password:
        return "# Nobody: the statistics page has no password.\n"
    return f"userlist {USERS}\n    user {quoted(user)} insecure-password {quoted(password)}\n"


def quoted(text: str) -> str:
    """Return a text as one word of the configuration, whatever is in it."""
    for character in '\\"$':
        text = text.replace(character, f"\\{character}")
    return f'"{text}"'


def certificate_path(name: str) -> str:
    """Return where a certificate lies with its key: a name of haproxy_certificates, or a path."""
    return name if name.startswith("/") else f"{CERTIFICATES}/{name}.pem"


def authority_path(name: str) -> str:
    """Return where the certificate of an authority lies: a name of haproxy_authorities, or a path."""
    return name if name.startswith("/") else f"{AUTHORITIES}/{name}.pem"


def certificate_files(
    certificates: Mapping[str, str], authorities: Mapping[str, str], python: str
) -> list[dict[str, Any]]:
    """Return the files of certificates with their keys, and of authorities, as managed_service takes them.

    Each is tried, as TLS libraries use it, before it takes the place of another one; `python` is the interpreter.
    """
    out = []
    for contents, path_of, kind, trial in (
        (certificates, certificate_path, "secret_content", _TRY_CERTIFICATE),
        (authorities, authority_path, "content", _TRY_AUTHORITY),
    ):
        for name in sorted(contents):
            out.append(
                {
                    "path": path_of(name),
                    kind: contents[name].strip() + "\n",
                    "mode": "0600",
                    "validate": [python, "-c", trial, "%s"],
                    "reloads": ["haproxy.service"],
                }
            )
    return out


def _global(name: str, options: Mapping[str, Any]) -> list[str]:
    limit = int(options["max_connections"])
    return [
        "global",
        "log /dev/log local0",
        "log /dev/log local1 notice",
        "chroot /var/lib/haproxy",
        "user haproxy",
        "group haproxy",
        f"stats socket {SOCKET} mode 600 level admin",
        "stats timeout 30s",
        f"server-state-file {STATE_FILE}",
        f"localpeer {name}",
        # A tunnel that never ends would keep the former process for ever
        f"hard-stop-after {int(options['hard_stop_seconds'])}s",
        *([f"maxconn {limit}"] if limit else []),
        "ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
        f"ssl-default-bind-ciphers {_CIPHERS}",
        f"ssl-default-bind-ciphersuites {_CIPHERSUITES}",
        "ssl-default-server-options ssl-min-ver TLSv1.2",
        f"ssl-default-server-ciphers {_CIPHERS}",
        f"ssl-default-server-ciphersuites {_CIPHERSUITES}",
        *options["global_lines"],
    ]


def _defaults() -> list[str]:
    return [
        "defaults",
        "log global",
        "option dontlognull",
        "load-server-state-from-file global",
        # A server that refuses a connection has not seen the request: another one gets it. No more is tried again.
        "retries 3",
        "option redispatch 1",
        "timeout connect 5s",
        "timeout check 5s",
        "timeout queue 30s",
        "timeout http-request 15s",
        "timeout client-fin 30s",
        "timeout server-fin 30s",
    ]


def _peers(members: Sequence[Mapping[str, str]], port: int) -> list[str]:
    return [f"peers {PEERS}", *(f"peer {one['name']} {_at(one['address'], port)}" for one in members)]


def _at(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _binds(addresses: Iterable[str], port: int, more: str = "") -> list[str]:
    return [f"bind {_at(address, port)}{more}" for address in addresses]


def _frontend(service: Mapping[str, Any]) -> list[str]:
    mode = service["mode"]
    tls = f" ssl crt {certificate_path(service['certificate'])} alpn h2,http/1.1" if mode in TLS_MODES else ""
    block = [f"frontend {service['name']}", *_binds(service["addresses"], service["port"], tls)]
    block.append(f"timeout client {service['timeout_seconds']}s")
    if mode in HTTP_MODES:
        block += [
            "mode http",
            "option httplog",
            # A reload closes a kept-alive connection with its next answer, not under a request that is on its way
            "option idle-close-on-response",
            f"timeout http-keep-alive {service['timeout_seconds']}s",
            # What clients say of themselves is not believed
            "http-request del-header X-Forwarded-For",
            "http-request set-header X-Forwarded-Port %[dst_port]",
            f"http-request set-header X-Forwarded-Proto {'https' if mode in TLS_MODES else 'http'}",
            "option forwardfor",
        ]
    else:
        block += ["mode tcp", "option tcplog"]
    return [*block, *service["frontend_lines"], f"default_backend {service['name']}"]


def _redirect(service: Mapping[str, Any]) -> list[list[str]]:
    if not service["redirect_port"]:
        return []
    port = "" if int(service["port"]) == 443 else f":{service['port']}"
    return [
        [
            f"frontend {service['name']}-redirect",
            *_binds(service["addresses"], service["redirect_port"]),
            "mode http",
            "option httplog",
            f"timeout client {service['timeout_seconds']}s",
            # 308, not 301: what was a POST stays one
            f"http-request redirect code 308 location https://%[req.hdr(host),field(1,:)]{port}%[capture.req.uri]",
        ]
    ]


def _backend(service: Mapping[str, Any], shared: bool) -> list[str]:
    mode = service["mode"]
    block = [
        f"backend {service['name']}",
        f"mode {'http' if mode in HTTP_MODES else 'tcp'}",
        f"balance {service['balance']}",
        f"timeout server {service['timeout_seconds']}s",
        f"timeout tunnel {service['tunnel_seconds']}s",
    ]
    if service["affinity"] == "cookie":
        secure = " secure" if service["cookie_secure"] else ""
        block.append(f"cookie {service['cookie_name']} insert indirect nocache httponly{secure} attr SameSite=Lax")
    elif service["affinity"] == "source":
        peers = f" peers {PEERS}" if shared else ""
        block += [f"stick-table type ipv6 size 200k expire {service['affinity_minutes']}m{peers}", "stick on src"]
    block += _check(service["check"])
    block += service["backend_lines"]
    return [*block, *(_server(service, one) for one in service["members"])]


def _check(check: Mapping[str, Any]) -> list[str]:
    if not check["path"]:
        return []
    host = f" hdr Host {check['host']}" if check["host"] else ""
    version = " ver HTTP/1.1" if host else ""
    return [
        "option httpchk",
        f"http-check send meth {check['method']} uri {check['path']}{version}{host}",
        f"http-check expect status {check['status']}",
    ]


def _server(service: Mapping[str, Any], member: Mapping[str, Any]) -> str:
    check = service["check"]
    words = ["server", member["name"], _at(member["address"], member["port"]), "check"]
    words += [f"inter {round(float(check['interval_seconds']) * 1000)}ms"]
    words += [f"fall {check['fall']}", f"rise {check['rise']}"]
    if check["port"]:
        words.append(f"port {check['port']}")
    if service["affinity"] == "cookie":
        words.append(f"cookie {member['name']}")
    verified = service["verify_members"] and service["authority"]
    verify = f"verify required ca-file {authority_path(service['authority'])}" if verified else "verify none"
    if service["mode"] == "reencrypt":
        # The name is asked for and has to be in the certificate: one of another member would not do
        words += ["ssl", verify, f"sni str({member['name']})", f"verifyhost {member['name']}"]
        words += ["check-ssl" if check["tls"] else "no-check-ssl"]
    elif check["tls"]:
        words += ["check-ssl", verify]
    if check["tls"]:
        words.append(f"check-sni {member['name']}")
    return " ".join(str(word) for word in words)


def _stats(options: Mapping[str, Any]) -> list[list[str]]:
    port = int(options["stats_port"])
    if not port:
        return []
    certificate = str(options["stats_certificate"])
    tls = f" ssl crt {certificate_path(certificate)}" if certificate else ""
    return [
        [
            "frontend clusterkit-stats",
            *_binds([options["stats_address"]], port, tls),
            "mode http",
            "timeout client 30s",
            f"http-request auth realm HAProxy unless {{ http_auth({USERS}) }}",
            "stats enable",
            "stats uri /",
            "stats hide-version",
            "stats refresh 10s",
        ]
    ]


def _metrics(options: Mapping[str, Any]) -> list[list[str]]:
    port = int(options["metrics_port"])
    if not port:
        return []
    return [
        [
            "frontend clusterkit-metrics",
            *_binds([options["metrics_address"]], port),
            "mode http",
            "timeout client 30s",
            "monitor-uri /health",
            "http-request use-service prometheus-exporter if { path /metrics }",
            "http-request deny deny_status 404",
        ]
    ]
