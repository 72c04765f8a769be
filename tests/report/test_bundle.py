"""The charts' script is put together once, and taken from the cache folder where nobody else can have written it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from thriftune.report import bundle as bundles


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was put together, in an empty cache folder."""
    found: list[str] = []

    def together() -> str:
        found.append(f"script {len(found)}")
        return found[-1]

    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path))
    monkeypatch.setattr(bundles.vl_convert, "javascript_bundle", together)
    return found


def test_it_is_put_together_once(made: list[str]) -> None:
    assert bundles.bundle() == bundles.bundle() == "script 0"
    assert made == ["script 0"]


def test_what_was_altered_or_is_open_to_others_is_made_anew(made: list[str], tmp_path: Path) -> None:
    bundles.bundle()
    (script,) = (tmp_path / "scripts").glob("*.js")
    script.write_text("alert()")
    assert bundles.bundle() == "script 1"
    script.chmod(script.stat().st_mode | stat.S_IWOTH)
    assert bundles.bundle() == "script 2"
    script.with_suffix(".sha256").unlink()
    assert bundles.bundle() == "script 3"
    assert bundles.bundle() == "script 3"


def test_without_a_cache_folder_it_is_made_each_time(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "file"))
    assert [bundles.bundle(), bundles.bundle()] == ["script 0", "script 1"]
