"""What processes that train together tell each other. No library of networks takes part."""

import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from ldseg.errors import ConfigError
from ldseg.group import Group, _introduction, joined
from ldseg.hosts import Place

ROOT = Path(__file__).parents[1]

WORKER = """
import json, logging, os, signal, sys, time
from ldseg.errors import DataError
from ldseg.group import joined
from ldseg.hosts import Place
logging.basicConfig(format="%(message)s", level="ERROR")
port, count, index = map(int, sys.argv[1:4])
with joined(Place(host="127.0.0.1", port=port, count=count, index=index), 30) as group:
    found = [group.gather("a", [index, float("nan")]), group.share("b", {"x": [1.5]} if group.first else None)]
    print(json.dumps(found), flush=True)
    what = sys.argv[4] if index == int(sys.argv[5]) else ""
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "fail":
        raise DataError("no disk")
    if what == "differ":
        group.gather("something else", 1)
    if sys.argv[4]:
        time.sleep(60) if index % 2 else group.gather("never", 0)
"""


def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])


def run(count: int, what: str = "", who: int = -1) -> list[tuple[int, str, str]]:
    """Status, output and errors of each process."""
    port = free_port()
    commands = [[sys.executable, "-c", WORKER, *map(str, (port, count, index)), what, str(who)] for index in range(count)]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", "cwd": ROOT}
    processes = [subprocess.Popen(command, **options) for command in commands]
    told = [process.communicate(timeout=60) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, told, strict=True)]


def test_all_hear_the_same() -> None:
    found = run(3)
    assert [status for status, _, _ in found] == [0, 0, 0], found
    for _, out, _ in found:
        gathered, shared = json.loads(out)
        assert [row[0] for row in gathered] == [0, 1, 2]
        assert shared == {"x": [1.5]}


@pytest.mark.parametrize("who", [0, 1])
def test_a_death_ends_the_others_at_once(who: int) -> None:
    """Whether they wait for it or sleep."""
    began = time.monotonic()
    found = run(3, "die", who)
    assert time.monotonic() - began < 30
    assert found[who][0] == -9
    for index in {0, 1, 2} - {who}:
        status, _, error = found[index]
        assert status == 2
        assert f"error: process {who} of 3 is gone, so process {index} stops, too" in error
        assert "Traceback" not in error


@pytest.mark.parametrize("who", [0, 2])
def test_an_error_is_told(who: int) -> None:
    found = run(3, "fail", who)
    assert found[who][0] == 2 and "DataError: no disk" in found[who][2]
    for index in {0, 1, 2} - {who}:
        assert found[index][0] == 2
        assert f"error: process {who} of 3 has failed: no disk, so process {index} stops, too" in found[index][2]


def test_processes_that_are_at_different_places() -> None:
    found = run(2, "differ", 1)
    assert found[0][0] == 2
    assert "process 0 of 2 is at never, another one at something else" in found[0][2]


def test_alone() -> None:
    with joined(None) as group:
        assert group.first and group.count == 1 and type(group) is Group
        assert group.gather("a", {1: 2}) == [{1: 2}]
        assert group.share("a", "b") == "b"


def join(port: int, index: int, count: int, patience: float) -> str:
    """What is wrong when a process joins; empty if nothing is."""
    try:
        with joined(Place(host="127.0.0.1", port=port, count=count, index=index), patience):
            return ""
    except ConfigError as error:
        return str(error)


def test_those_that_do_not_come() -> None:
    port = free_port()
    waited = "expected 4 processes, of which 1, 2, 3 did not come within 0.2 s; this one waited at port"
    assert join(port, 0, 4, 0.2) == f"GPU.Hosts: {waited} {port}"
    asked = f"GPU.Hosts: expected the first of 2 processes at 127.0.0.1:{port} within 0.2 s: "
    assert join(port, 1, 2, 0.2).startswith(asked)
    with socket.create_server(("", port)):
        assert join(port, 0, 2, 0.2).startswith(f"GPU.Hosts: expected a free port, got {port}: ")


def test_one_that_says_half_a_word() -> None:
    """A message that never ends is waited for no longer than a silence, on either side."""
    ours, others = socket.socketpair()
    with others:
        others.sendall(b"\0\0\0\4")
        assert _introduction(Connection(ours.detach()), 0.2) is None
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        port = server.getsockname()[1]
        asked = pool.submit(join, port, 1, 2, 0.5)
        with server.accept()[0] as stranger:
            stranger.sendall(b"\0\0\0\4{")
            assert (
                asked.result(20)
                == f"GPU.Hosts: expected the first of 2 processes at 127.0.0.1:{port} within 0.5 s: no answer"
            )


def test_others_at_the_port() -> None:
    """Who is not one of ours is let go; one that is, and does not fit, ends the start with a line on both sides."""
    port = free_port()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(join, port, 0, 2, 20)
        for _ in range(100):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1) as stranger:
                    stranger.sendall(b"\0\0\0\4GET ")
                    stranger.recv(1)  # closed
                break
            except OSError:
                time.sleep(0.05)
        assert not first.done()
        second = pool.submit(join, port, 1, 3, 20)
        assert first.result(20) == second.result(20) == "GPU.Hosts: process 1 is one of 3, process 0 one of 2"
    assert not [thread for thread in threading.enumerate() if thread.name == "group"]
