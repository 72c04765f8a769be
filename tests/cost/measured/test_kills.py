"""Whether the kernel says that a process died for want of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from thriftune.cost.measured.kills import kill_counts, killed_for_memory


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_counters_of_control_groups_and_of_the_machine(tmp_path: Path) -> None:
    two = {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/b/memory.events": "low 0\noom 3\noom_kill 2\n",
        "proc/vmstat": "nr_free_pages 1\noom_kill 7\n",
    }
    one = {
        "proc/self/cgroup": "9:name=systemd:/\n4:memory:/x\n0::/\n",
        "sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 5\n",
    }
    assert kill_counts(write(tmp_path / "two", two)) == {"version 2": 2, "machine": 7}
    assert kill_counts(write(tmp_path / "one", one)) == {"version 1": 5}, "a container hides its group's path"
    assert kill_counts(tmp_path / "nothing") == {}


@pytest.mark.parametrize(
    ("before", "now", "log", "expected"),
    [
        ({"version 2": 1, "machine": 4}, {"version 2": 2, "machine": 5}, None, True),
        ({"version 2": 1, "machine": 4}, {"version 2": 1, "machine": 5}, None, False),
        ({"version 1": 0}, {"version 1": 1}, None, True),
        ({"version 1": 0, "machine": 4}, {"version 1": 0, "machine": 4}, None, False),
        ({"machine": 4}, {"machine": 5}, None, True),
        ({"machine": 4}, {"machine": 5}, "Out of memory: Killed process 12 (python)", True),
        ({"machine": 4}, {"machine": 5}, "Out of memory: Killed process 123 (python)", False),
        ({}, {}, None, False),
        ({}, {"machine": 5}, None, False),
    ],
)
def test_a_kill_is_for_memory_only_where_a_counter_rose(
    before: dict[str, int], now: dict[str, int], log: str | None, expected: bool
) -> None:
    assert killed_for_memory(before, now, 12, lambda: log) is expected
