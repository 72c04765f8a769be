"""CPU quotas from made-up control groups, what a process got of the processors, and brief waits."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from thriftune import processors
from thriftune.processors import ProcessorTime, bound_caches, brief_waits, cpu_quota, usable_processors, wait_briefly


def machine(root: Path, groups: str, **files: str) -> Path:
    """A root folder with /proc/self/cgroup and files below /sys/fs/cgroup (`__` for /, `_DOT_` for a dot)."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(groups, encoding="utf-8")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


V1 = "9:name=systemd:/\n4:memory:/x\n2:cpuacct,cpu:/docker/abc\n0::/\n"


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu_DOT_max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu_DOT_max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"a__b__cpu_DOT_max": "max 100000\n", "a__cpu_DOT_max": "200000 100000\n"}, 2.0),
        ("0::/a/b\n", {"a__b__cpu_DOT_max": "50000 100000\n", "a__cpu_DOT_max": "200000 100000\n"}, 0.5),
        ("0::/../other\n", {"cpu_DOT_max": "300000 100000\n"}, 3.0),
        ("0::/unseen\n", {"cpu_DOT_max": "400000\n"}, 4.0),
        ("1:cpu:/\n0::/\n", {"unified__cpu_DOT_max": "100000 50000\n"}, 2.0),
        (V1, {"cpu__cpu_DOT_cfs_quota_us": "250000\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"}, 2.5),
        (V1, {"cpu__cpu_DOT_cfs_quota_us": "-1\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"}, None),
        (
            V1,
            {
                "cpu,cpuacct__docker__abc__cpu_DOT_cfs_quota_us": "100000",
                "cpu,cpuacct__docker__abc__cpu_DOT_cfs_period_us": "100000",
                "cpu,cpuacct__docker__cpu_DOT_cfs_quota_us": "-1",
                "cpu,cpuacct__docker__cpu_DOT_cfs_period_us": "100000",
            },
            1.0,
        ),
        ("3:memory:/\nnonsense\n\n", {"cpu_DOT_max": "1 0"}, None),
        ("0::/\n", {"cpu_DOT_max": "much 100000"}, None),
        ("0::/\n", {"cpu_DOT_max": ""}, None),
    ],
)
def test_quota(tmp_path: Path, groups: str, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(machine(tmp_path, groups, **files)) == quota


def test_no_control_groups(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "count"), [(None, 8), (0.2, 1), (1.5, 2), (2.0, 2), (64.0, 8)])
def test_usable_processors_are_the_fewer(monkeypatch: pytest.MonkeyPatch, quota: float | None, count: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(processors, "cpu_quota", lambda: quota)
    assert usable_processors() == count


@pytest.mark.parametrize("chosen", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_waits_are_brief_unless_the_user_chose(monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str]) -> None:
    variables = dict(chosen)
    wait_briefly(variables)
    assert variables == (chosen or {"GOMP_SPINCOUNT": "2000"})
    for name in processors.CHOICES:
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with brief_waits():
        assert {name: os.environ[name] for name in processors.CHOICES if name in os.environ} == variables
    assert dict(os.environ) == before


def test_processor_time_counts_work_and_not_sleep() -> None:
    before = ProcessorTime.now()
    time.sleep(0.05)
    idle = ProcessorTime.now().since(before)
    before = ProcessorTime.now()
    sum(i * i for i in range(300_000))
    worked = ProcessorTime.now().since(before)
    assert 0 <= idle.used < worked.used
    total = idle + worked
    assert total.used == pytest.approx(idle.used + worked.used)
    assert total.waited is None or total.waited >= 0
    assert (idle + ProcessorTime(1.0, None)).waited is None


def test_what_the_user_set_of_caches_stays() -> None:
    own = {"LRU_CACHE_CAPACITY": "7"}
    bound_caches(own)
    assert own == {"LRU_CACHE_CAPACITY": "7", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128"}
