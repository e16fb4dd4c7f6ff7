"""Which processes train together, by a setting and by what launchers say."""

import pytest

from ldseg.config import Config
from ldseg.errors import ConfigError
from ldseg.hosts import PORT, Place, place_of

SLURM = {
    "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NODELIST": "gpu[007-010],login2", "SLURM_JOB_ID": "81920",
}  # fmt: skip
MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
TORCH = {"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"}


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("auto", {}, None),
        ("none", TORCH, None),
        ("auto", SLURM, ("gpu007", 20000, 8, 5)),
        ("auto", SLURM | {"SLURM_STEP_NODELIST": "node1", "SLURM_JOB_ID": "81923"}, ("node1", 20003, 8, 5)),
        ("auto", SLURM | {"SLURM_STEP_NODELIST": "a-1,b[1-2]"}, ("a-1", 20000, 8, 5)),
        ("auto", SLURM | {"SLURM_STEP_NODELIST": "rack[2,4]-n,b"}, ("rack2-n", 20000, 8, 5)),
        ("auto", SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, None),
        ("auto", {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "1"}, None),  # in a script, without srun
        ("auto", TORCH, ("10.0.0.1", 1234, 4, 3)),
        ("auto", {**TORCH, "MASTER_PORT": ""}, ("10.0.0.1", PORT, 4, 3)),
        ("auto", {**TORCH, "TORCHELASTIC_RUN_ID": "x"}, ("10.0.0.1", 1235, 4, 3)),
        ("auto", SLURM | MPI, ("gpu007", 20000, 2, 1)),  # mpirun, whose daemons srun has started
        ("auto", MPI | {"OMPI_MCA_orte_hnp_uri": "1314521088.0;tcp://10.96.0.1,10.1.0.1:34911"}, ("10.96.0.1", 21440, 2, 1)),
        ("auto", {"JOB_COMPLETION_INDEX": "2"}, None),  # a Job of many trainings
        ("train-0.train:29400, 4", {"JOB_COMPLETION_INDEX": "2"}, ("train-0.train", 29400, 4, 2)),
        ("node1:29400", MPI, ("node1", 29400, 2, 1)),
        ("node1:29400,3,2", MPI, ("node1", 29400, 3, 2)),
        ("[fe80::1]:29400, 3, 0", {}, ("fe80::1", 29400, 3, 0)),
        ("node1:29400, 1, 0", {}, None),
    ],
)
def test_places(text: str, environment: dict[str, str], expected: tuple[str, int, int, int] | None) -> None:
    found = place_of(Config().with_values({"GPU.Hosts": text}).gpu.hosts, environment)
    assert found == (
        None if expected is None else Place(**dict(zip(("host", "port", "count", "index"), expected, strict=True)))
    )


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("auto", MPI, "Open MPI has started several processes, and nothing says where the first one listens"),
        ("auto", {**TORCH, "RANK": "x"}, "expected a whole number in the variable RANK, got 'x'"),
        ("auto", {**TORCH, "RANK": "4"}, "expected a process from 0 to 3 for 4 of them, got 4"),
        (
            "auto",
            {**TORCH, "MASTER_PORT": "65535", "TORCHELASTIC_RUN_ID": "x"},
            "expected a port from 1 to 65535, got 65536",
        ),
        ("auto", {**TORCH, "WORLD_SIZE": "100000"}, "expected 1 to 65536 processes, got 100000"),
        ("node1:29400", {**TORCH, "WORLD_SIZE": "0"}, "expected 1 to 65536 processes, got 0"),
        ("node1:29400", {}, "expected the number of processes behind node1:29400"),
        ("node1:29400", {"JOB_COMPLETION_INDEX": "2"}, "expected the number of processes behind node1:29400"),
        ("node1:29400, 4", {}, "expected the number of this process, from 0, behind node1:29400, 4"),
    ],
)
def test_what_is_said_nowhere(text: str, environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=rf"GPU\.Hosts.*{said}"):
        place_of(text, environment)


@pytest.mark.parametrize(
    "text", ["node1", "node1:0,2,0", "node1:99999, 2", "node1:29400, 2, 2", "node1:29400, 0", "a b:1, 2", ""]
)
def test_a_wrong_setting(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^GPU\.Hosts: expected "):
        Config().with_values({"GPU.Hosts": text})
