from pathlib import Path

import pytest

from ldseg.base.shards import Shard, whole
from ldseg.config import Config
from ldseg.errors import ConfigError


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
def test_shares_hold_each_case_once_and_join_in_order(count: int) -> None:
    cases = [f"case{index}" for index in range(10)]
    shares = [Shard(index, count).of(cases) for index in range(1, count + 1)]
    assert sorted(case for share in shares for case in share) == sorted(cases)
    assert whole(shares) == cases
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3", "01/2", "1 /2", "1.0/2"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(ValueError, match="expected i/n with i from 1 to n"):
        Shard.of_text(text)
    with pytest.raises(ConfigError, match=r"Data.Shard: expected i/n"):
        Config().with_values({"Data.Shard": text})


def test_a_folder_of_a_share(tmp_path: Path) -> None:
    shard = Shard.of_text("2/8")
    assert str(shard) == "2/8"
    assert Shard.of_folder(tmp_path / shard.folder) is None  # it is not there
    (tmp_path / shard.folder).mkdir()
    assert Shard.of_folder(tmp_path / shard.folder) == shard
    assert Shard.of_folder(tmp_path) is None


def test_tests_are_not_shared_out() -> None:
    with pytest.raises(ConfigError, match=r"Data.Shard: expected nothing for Evaluation.Robustness"):
        Config().with_values({"Data.Shard": "1/2", "Evaluation.Robustness": True})
