"""Which processes train together: from ``[GPU] Hosts``, and from what launchers set for each process that they start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ldseg.base.options import AUTO
from ldseg.errors import ConfigError

ALONE = "none"
"""One process, whatever launchers say."""

EXPECTED = f"{AUTO}, {ALONE}, or HOST:PORT, N, I (N processes, of which this is I, from 0), such as node1:29400, 4, 0"

PORT = 29400
"""Where the first process listens, if nothing says another port and no number of a job makes one."""

MOST = 65536
"""Processes that train together, at most."""

_TEXT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})(?:\s*,\s*(\d{1,6})(?:\s*,\s*(\d{1,6}))?)?")


@dataclass(frozen=True, kw_only=True)
class Place:
    """One of several processes that train together.

    Attributes:
        host: the machine of the first of them, a name or an address.
        port: where that one listens.
        count: how many they are, two or more.
        index: which this one is, from 0.

    Raises:
        ConfigError: there is no such port or number.
    """

    host: str
    port: int
    count: int
    index: int

    def __post_init__(self) -> None:
        try:
            _check(self.port, self.count, self.index)
        except ValueError as error:
            raise ConfigError(f"GPU.Hosts: {error}") from error


@dataclass(frozen=True)
class Launcher:
    """The variables that a program sets for each of the processes that it starts.

    Attributes:
        name: of the program.
        index: the variable with the number of the process, from 0.
        count: that with their number; empty where there is none.
    """

    name: str
    index: str
    count: str = ""


# In this order: mpirun and torchrun may themselves be started by srun, which then counts machines.
LAUNCHERS = (
    Launcher("torchrun, Ray Train or Kubeflow", "RANK", "WORLD_SIZE"),
    Launcher("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    Launcher("Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    Launcher("MPICH or Intel MPI", "PMI_RANK", "PMI_SIZE"),
    Launcher("Kubernetes", "JOB_COMPLETION_INDEX"),
)


def check_hosts(text: str) -> None:
    """Raise ValueError where a text is nothing that ``[GPU] Hosts`` may be."""
    if text not in (AUTO, ALONE):
        _parts(text)


def _parts(text: str) -> tuple[str, int, int | None, int | None]:
    found = _TEXT.fullmatch(text)
    if not found:
        raise ValueError(f"expected {EXPECTED}, got {text!r}")
    host, port = found[1].strip("[]"), int(found[2])
    count, index = (None if part is None else int(part) for part in found.groups()[2:])
    _check(port, count, index)
    return host, port, count, index


def _check(port: int, count: int | None, index: int | None) -> None:
    """Raise ValueError where numbers of a place are out of range; None is one that is not known yet."""
    if not 1 <= port <= 65535:
        raise ValueError(f"expected a port from 1 to 65535, got {port}")
    if count is not None and not 1 <= count <= MOST:
        raise ValueError(f"expected 1 to {MOST} processes, got {count}")
    if count is not None and index is not None and index >= count:
        raise ValueError(f"expected a process from 0 to {count - 1} for {count} of them, got {index}")


def place_of(text: str, environment: Mapping[str, str]) -> Place | None:
    """This process among those that train together; None where it trains alone.

    Args:
        text: of ``[GPU] Hosts``. What it leaves open, the launcher of the process has to say.
        environment: the variables of the process.

    Raises:
        ConfigError: the text is wrong, something is said nowhere, or a launcher says what cannot be.
    """
    if text == ALONE:
        return None
    launcher = next((one for one in LAUNCHERS if {one.index, one.count or one.index} <= set(environment)), None)
    if text == AUTO:
        count = _number(environment, launcher.count) if launcher and launcher.count else 1
        if launcher is None or count == 1:
            return None
        host, port = _address(launcher, environment)
        index = _number(environment, launcher.index)
    else:
        try:
            host, port, said, own = _parts(text)
        except ValueError as error:
            raise ConfigError(f"GPU.Hosts: {error}") from error
        if said is None:
            if launcher is None or not launcher.count:
                raise ConfigError(f"GPU.Hosts: expected the number of processes behind {host}:{port}, got none")
            said = _number(environment, launcher.count)
        count = said
        if own is None:
            if launcher is None:
                wanted = f"expected the number of this process, from 0, behind {host}:{port}, {count}"
                raise ConfigError(f"GPU.Hosts: {wanted}; no launcher of processes has said it")
            own = _number(environment, launcher.index)
        index = own
    if count == 1:
        return None
    return Place(host=host, port=port, count=count, index=index)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment[name].strip()
    if not text.isdecimal():
        raise ConfigError(f"GPU.Hosts = {AUTO}: expected a whole number in the variable {name}, got {text!r}")
    return int(text)


def _address(launcher: Launcher, environment: Mapping[str, str]) -> tuple[str, int]:
    """Where the first process listens, by what its launcher has told all of them."""
    if environment.get("MASTER_ADDR"):
        port = _number(environment, "MASTER_PORT") if environment.get("MASTER_PORT") else PORT
        # Where torchrun itself listens, nobody else can.
        return environment["MASTER_ADDR"], port + ("TORCHELASTIC_RUN_ID" in environment)
    if environment.get("SLURM_STEP_NODELIST"):
        return _first_node(environment["SLURM_STEP_NODELIST"]), _port_of(environment.get("SLURM_JOB_ID", ""))
    # Open MPI 4 names the machine of mpirun, which is that of the first process unless a list of hosts says otherwise.
    if found := re.match(r"(\d+)\.\d+;tcp6?://\[?([^],:\]]+|[0-9a-f:]+)", environment.get("OMPI_MCA_orte_hnp_uri", "")):
        return found[2], _port_of(str(int(found[1]) >> 12))
    raise ConfigError(
        f"GPU.Hosts = {AUTO}: {launcher.name} has started several processes, and nothing says where the first one listens; "
        "set GPU.Hosts = HOST:PORT with the machine of the first"
    )


def _first_node(nodes: str) -> str:
    """The first of a list as Slurm writes it: ``gpu[007-015,020],login`` has gpu007."""
    found = re.match(r"([^,\[]+)(?:\[(\w+)[^\]]*\]([^,\[]*))?", nodes)
    return "".join(part or "" for part in found.groups()) if found else nodes


def _port_of(job: str) -> int:
    """A port that two jobs on one machine hardly share, below those that systems give to connections that go out."""
    return 20000 + int(job) % 8192 if job.isdecimal() else PORT
