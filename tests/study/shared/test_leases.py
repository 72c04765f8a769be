"""Leases and presence: one holder at a time, and none for long that is dead."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from thriftune.errors import InputError
from thriftune.study.shared import holder, lease
from thriftune.study.shared.lease import Leases, create, standing
from thriftune.study.shared.presence import Presence, alone_at, at_work_in


@pytest.fixture
def leases(tmp_path: Path) -> Iterator[Leases]:
    yield from _leases(tmp_path)


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Leases]:
    yield from _leases(tmp_path)


def _leases(out: Path) -> Iterator[Leases]:
    (out / "leases").mkdir(exist_ok=True)
    with at_work_in(out, 60.0) as presence:
        yield Leases(out / "leases", presence)


def elsewhere(own: Leases) -> Leases:
    """As a process of another machine, which this one cannot look for."""
    own.presence.me = replace(own.presence.me, machine="elsewhere", host="node9")
    own.presence.write()
    return own


def age(path: Path, seconds: float) -> None:
    at = path.stat().st_mtime - seconds
    os.utime(path, (at, at))


def test_of_many_that_try_one_has_it(leases: Leases) -> None:
    for _ in range(20):
        key = f"run{_}"
        got: list[bool] = []
        barrier = threading.Barrier(8)

        def take(key: str = key, got: list[bool] = got, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            got.append(create(leases.folder / f"{key}.1", leases.presence.me))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [False] * 7 + [True]
    assert not [name for name in os.listdir(leases.folder) if name.startswith(".")]


def test_a_lease_is_taken_over_only_when_its_holder_is_dead(leases: Leases, others: Leases) -> None:
    elsewhere(others)
    theirs = others.take("run", others.standing())
    assert theirs is not None
    assert leases.take("run", leases.standing()) is None
    age(theirs.path, 59)
    assert leases.take("run", leases.standing()) is None
    age(theirs.path, 2)
    own = leases.take("run", leases.standing())
    assert own is not None
    assert (own.number, own.valid, theirs.valid) == (2, True, False)
    assert others.take("run", others.standing()) is None


def test_two_that_find_it_dead_do_not_both_get_it(leases: Leases, others: Leases) -> None:
    dead = replace(leases.presence.me, pid=2**22 + 1, token="dead")
    assert create(leases.folder / "run.1", dead)
    found = leases.standing()
    assert leases.take("run", found) is not None
    assert others.take("run", found) is None
    assert others.take("run", others.standing()) is None


def test_what_is_given_up_is_free_at_once_and_what_is_done_for_good(leases: Leases, others: Leases) -> None:
    theirs = elsewhere(others).take("run", others.standing())
    assert theirs is not None
    theirs.release()
    own = leases.take("run", leases.standing())
    assert own is not None
    own.done()
    assert standing(leases.folder).done == {"run"}


def test_a_holder_that_was_thought_dead_hears_of_it(tmp_path: Path) -> None:
    (tmp_path / "leases").mkdir()
    with at_work_in(tmp_path, 2.0) as presence:
        leases = Leases(tmp_path / "leases", presence)
        own = leases.take("run", leases.standing())
        assert own is not None
        assert create(leases.folder / "run.2", presence.me)
        until = time.monotonic() + 10
        while not presence.lost() and time.monotonic() < until:
            time.sleep(0.05)
        assert presence.lost() == {"run"}
        assert not own.valid


def test_where_links_are_not_known(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*given: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lease.os, "link", refuses)
    assert create(leases.folder / "run.1", leases.presence.me)
    assert not create(leases.folder / "run.1", leases.presence.me)
    assert leases.holder("run", 1) is not None


def test_a_file_that_is_not_whole_counts_by_its_age(leases: Leases) -> None:
    path = leases.folder / "run.1"
    path.write_text("{")
    assert leases.take("run", leases.standing()) is None
    age(path, holder.LEASE_SECONDS + 1)
    assert leases.take("run", leases.standing()) is not None


def test_a_process_number_that_another_has_now_is_not_the_holder() -> None:
    assert holder.lives(os.getpid(), holder.born(os.getpid()))
    assert not holder.lives(os.getpid(), "1")


class TestPresence:
    def test_compare_and_work_shut_each_other_out(self, tmp_path: Path) -> None:
        with at_work_in(tmp_path, 60.0):
            with at_work_in(tmp_path, 60.0):
                pass
            with pytest.raises(InputError, match="One process of `thriftune work` is at the study"), alone_at(tmp_path):
                pass
        refused = pytest.raises(InputError, match="`thriftune compare` is writing to")
        with alone_at(tmp_path), refused, at_work_in(tmp_path, 60.0):
            pass
        assert not any(tmp_path.iterdir())

    def test_the_dead_are_swept(self, tmp_path: Path) -> None:
        with at_work_in(tmp_path, 60.0) as presence:
            create(presence.folder / "dead", replace(presence.me, pid=2**22 + 1, token="dead"))
            assert presence.others() == []
            assert [path.name for path in presence.folder.iterdir()] == [presence.me.token]

    def test_its_file_is_written_again_where_it_went(self, tmp_path: Path) -> None:
        with at_work_in(tmp_path, 60.0) as presence:
            presence.path.unlink()
            assert abs(presence.now() - time.time()) < 60
            assert presence.path.exists()


def test_a_presence_ends_without_a_trace(tmp_path: Path) -> None:
    presence = Presence(tmp_path, "work")
    presence.begin()
    presence.end()
    assert not any(tmp_path.iterdir())
