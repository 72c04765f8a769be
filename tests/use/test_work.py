"""Unfinished output, and how far it is."""

from __future__ import annotations

from pathlib import Path

from thriftune.use.progress import Progress
from thriftune.use.work import Work


def test_a_torn_journal(tmp_path: Path) -> None:
    work, print_ = Work(tmp_path / "out.csv"), {"file": "a"}
    assert work.resume(print_) is None
    work.add(b"header\n", {"rows": 0})
    work.add(b"one\n", {"rows": 1})
    work.add(b"two\n", {"rows": 2})
    journal = work.journal.read_bytes()
    for cut, rows in ((1, 1), (10, 1), (len(journal.splitlines()[-1]) + 1, 1)):
        work.journal.write_bytes(journal[:-cut])
        work.part.write_bytes(b"header\none\ntwo\nhalf of thr")
        found = work.resume(print_)
        assert found is not None
        assert found["rows"] == rows
        assert work.part.read_bytes() == b"header\none\n"
    work.part.write_bytes(b"head")  # shorter than the journal says
    assert work.resume(print_) is None
    assert not work.part.exists()
    work.add(b"header\n", {"rows": 0})
    assert work.resume({"file": "b"}) is None
    work.drop_unbegun()
    assert not work.folder.exists()


def test_progress() -> None:
    now = [0.0]
    progress = Progress(rows=100, read=0.1, clock=lambda: now[0])
    now[0] = 10.0
    assert progress.text(1100, 0.6) == "1,100 rows, 100 rows/s, 8.00 s left"
    assert progress.text(100, 0.1) == "100 rows"
