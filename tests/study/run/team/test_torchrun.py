"""What a starter's variables say, and how many processes a study may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.study.small_study import small_study

from thriftune.errors import InputError
from thriftune.study.execute import compare
from thriftune.study.file.plan import plan
from thriftune.study.run.team.count import check_processes, processes_of
from thriftune.study.run.team.torchrun import launched

TORCHRUN = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "host",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}


def test_torchrun_says_who_this_process_is() -> None:
    found = launched(TORCHRUN)
    assert found is not None
    assert (found.rank, found.size, found.local_rank, found.local_size) == (1, 4, 1, 2)
    assert (found.host, found.port, found.hosted) == ("host", 29500, True)
    by_hand = launched({key: TORCHRUN[key] for key in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")})
    assert by_hand is not None
    assert not by_hand.hosted
    assert by_hand.local_size == 4


def test_one_process_is_none() -> None:
    assert launched({}) is None
    assert launched({**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}) is None
    assert launched({"WORLD_SIZE": "8"}) is None, "as some clusters set it for other ends"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"MASTER_PORT": None}, "but not MASTER_PORT"),
        ({"RANK": "first"}, "RANK is 'first', which is no number"),
        ({"RANK": "4"}, "a rank is from 0 to 3"),
    ],
)
def test_variables_that_cannot_be_are_said(changed: dict[str, str | None], message: str) -> None:
    given = {key: value for key, value in {**TORCHRUN, **changed}.items() if value is not None}
    with pytest.raises(InputError, match=message):
        launched(given)


@pytest.mark.parametrize("given", [0, -1, 5000, True, "2", 1.5])
def test_the_number_of_processes_is_a_number(given: object) -> None:
    with pytest.raises(InputError, match="--processes takes a number of processes from 1 to 1,024"):
        processes_of(given)


def test_under_torchrun_its_number_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in TORCHRUN.items():
        monkeypatch.setenv(key, value)
    assert processes_of(1) == processes_of(4) == 4
    with pytest.raises(InputError, match="torchrun has started 4"):
        processes_of(2)
    with pytest.raises(InputError, match="Leave --workers out"):
        processes_of(1, "2")


def test_a_batch_that_cannot_be_split_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    study = small_study(tmp_path, protocol={"epochs": 1, "batch_size": 1, "device": "cpu", "max_tokens": 32})
    with pytest.raises(InputError, match=r"a batch of 1 text \(protocol.batch_size\) cannot be split over 2 processes"):
        compare(study, tmp_path / "out", processes=2)
    assert not (tmp_path / "out").exists()


def test_baselines_do_not_ask_for_batches(tmp_path: Path) -> None:
    study = small_study(tmp_path, methods=["tfidf", "majority"], models=None, protocol=None)
    check_processes(plan(study), 128)
