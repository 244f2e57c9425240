# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking Java processes through JMX.

JMX is spoken by Java alone: a program of one file is compiled and run by `java` itself (JEP 330, from Java 11 on); it
asks all processes at once. It is handed over in memory, and what is asked, passwords among it, by standard input.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: Seconds that Java may take to start and to compile the program, beside those of the answers.
_START = 30.0
#: Of what a process answers, only classes of Java itself are made: a process must not run code here.
_FILTER = "maxdepth=40;java.base/*;java.logging/*;java.management/*;java.management.rmi/*;java.rmi/*;!*"

_PROGRAM = """
import java.lang.reflect.Array;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Scanner;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import javax.management.MBeanServerConnection;
import javax.management.ObjectName;
import javax.management.remote.JMXConnector;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/** Reads lines (limit, port, user, password; then addresses; then questions), and prints a line for each answer. */
public final class Ask {
    private static String text(String encoded) {
        return new String(Base64.getDecoder().decode(encoded), StandardCharsets.UTF_8);
    }

    private static synchronized void tell(String address, String name, String kind, String said) {
        byte[] bytes = said.getBytes(StandardCharsets.UTF_8);
        System.out.println(address + " " + name + " " + kind + " " + Base64.getEncoder().encodeToString(bytes));
    }

    private static void tellValue(String address, String name, Object value) {
        if (value instanceof Boolean || value instanceof Integer || value instanceof Long || value instanceof Short) {
            tell(address, name, "literal", value.toString());
        } else if (value == null) {
            tell(address, name, "literal", "null");
        } else if (value.getClass().isArray() || value instanceof Collection) {
            List<Object> all = new ArrayList<>();
            if (value instanceof Collection) {
                all.addAll((Collection<?>) value);
            } else {
                for (int i = 0; i < Array.getLength(value); i++) {
                    all.add(Array.get(value, i));
                }
            }
            tell(address, name, "list", "");
            for (Object one : all) {
                tell(address, name, "item", String.valueOf(one));
            }
        } else {
            tell(address, name, "text", value.toString());
        }
    }

    private static void ask(String address, int port, String user, String password, int limit, List<String[]> questions)
            throws Exception {
        try (Socket probe = new Socket()) {
            probe.connect(new InetSocketAddress(address, port), limit);
        }
        Map<String, Object> how = new HashMap<>();
        if (!user.isEmpty()) {
            how.put(JMXConnector.CREDENTIALS, new String[] {user, password});
        }
        String host = address.contains(":") ? "[" + address + "]" : address;
        JMXServiceURL url = new JMXServiceURL("service:jmx:rmi:///jndi/rmi://" + host + ":" + port + "/jmxrmi");
        try (JMXConnector connector = JMXConnectorFactory.connect(url, how)) {
            MBeanServerConnection server = connector.getMBeanServerConnection();
            for (String[] one : questions) {
                try {
                    ObjectName bean = new ObjectName(text(one[2]));
                    tellValue(address, one[0], one[1].equals("attribute")
                        ? server.getAttribute(bean, text(one[3]))
                        : server.invoke(bean, text(one[3]), new Object[0], new String[0]));
                } catch (Exception error) {
                    tell(address, one[0], "error", String.valueOf(error));
                }
            }
        }
    }

    public static void main(String[] none) throws Exception {
        Scanner in = new Scanner(System.in, StandardCharsets.US_ASCII);
        int limit = Integer.parseInt(in.nextLine());
        int port = Integer.parseInt(in.nextLine());
        String user = text(in.nextLine());
        String password = text(in.nextLine());
        List<String> addresses = Arrays.asList(in.nextLine().split(" "));
        List<String[]> questions = new ArrayList<>();
        while (in.hasNextLine()) {
            questions.add(in.nextLine().split(" ", -1));
        }
        ExecutorService workers = Executors.newFixedThreadPool(Math.min(8, addresses.size()), work -> {
            Thread thread = new Thread(work);
            thread.setDaemon(true);
            return thread;
        });
        Map<String, Future<?>> asked = new HashMap<>();
        for (String address : addresses) {
            asked.put(address, workers.submit(() -> {
                ask(address, port, user, password, limit, questions);
                return null;
            }));
        }
        for (String address : addresses) {
            try {
                asked.get(address).get(limit, TimeUnit.MILLISECONDS);
                tell(address, "", "answered", "");
            } catch (TimeoutException error) {
                tell(address, "", "error", "no answer within " + limit + " ms");
            } catch (Exception error) {
                tell(address, "", "error", String.valueOf(error.getCause()));
            }
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
"""


@dataclass(frozen=True)
class Question:
    """What is asked under a name: an attribute of an object, or an operation without arguments."""

    name: str
    bean: str
    attribute: str = ""
    operation: str = ""

    @property
    def line(self) -> str:
        """The question as the program reads it."""
        kind = "attribute" if self.attribute else "operation"
        return f"{self.name} {kind} {_encoded(self.bean)} {_encoded(self.attribute or self.operation)}"


@dataclass(frozen=True)
class Access:
    """How processes are reached: `limit` is the seconds that each has for all its answers."""

    port: int
    user: str = ""
    password: str = ""
    limit: float = 10.0
    java: str = "java"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def ask(
    addresses: Sequence[str], access: Access, questions: Sequence[Question], runner: Runner
) -> dict[str, dict[str, Any]]:
    """Ask the processes at all addresses; return for each `error` (empty where it answered), `values` and `errors`.

    Raises ClusterkitError where Java cannot be run, or brings no compiler.
    """
    lines = [
        str(int(access.limit * 1000)),
        str(access.port),
        _encoded(access.user),
        _encoded(access.password),
        " ".join(addresses),
        *(one.line for one in questions),
    ]
    argv = [access.java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx96m", f"-Djdk.serialFilter={_FILTER}"]
    secrets = [one for one in (access.password, _encoded(access.password)) if one]
    with runner.secret_files(_PROGRAM) as (source,):
        done = runner.run(
            [*argv, "--source", "11", source],
            stdin="\n".join(lines) + "\n",
            limit=_START + access.limit * (len(addresses) // 8 + 1),
            accept=None,
            secrets=secrets,
        )
    if done.rc:
        said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise ClusterkitError(
            f"{access.java} could not run a program of one file: {said}. It has to be a JDK from 11 on, such as "
            "default-jdk-headless: a JRE has no compiler"
        )
    return read(done.stdout, addresses)


def read(said: str, addresses: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the answers that the program has printed."""
    found: dict[str, dict[str, Any]] = {
        one: {"error": "it was not asked to the end", "values": {}, "errors": {}} for one in addresses
    }
    for line in said.splitlines():
        address, name, kind, encoded = line.split(" ")
        text = base64.b64decode(encoded).decode()
        values, errors = found[address]["values"], found[address]["errors"]
        if not name:
            found[address]["error"] = text
        elif kind == "error":
            errors[name] = text
        elif kind == "list":
            values[name] = []
        elif kind == "item":
            values[name].append(text)
        else:
            values[name] = json.loads(text) if kind == "literal" else text
    return found


def access_of(options: Mapping[str, Any]) -> Access:
    """Return how processes are reached, from the options of a module."""
    return Access(options["port"], options["user"], options["password"] or "", options["limit"], options["java"])


def argument_spec() -> dict[str, dict[str, Any]]:
    """Return the options that modules share."""
    return {
        "port": {"type": "int", "required": True},
        "user": {"type": "str", "default": ""},
        "password": {"type": "str", "no_log": True},
        "limit": {"type": "float", "default": 10.0},
        "java": {"type": "str", "default": "java"},
    }
