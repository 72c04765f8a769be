"""The command's arguments as classifiers, and what each alone says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.use.many.stored import METHODS, store
from tests.use.trained import study

from thriftune.errors import InputError
from thriftune.serve.limits import Limits
from thriftune.serve.models import load, named
from thriftune.use.classifier import Classifier


def test_names_and_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "model", "bert", METHODS["head"], "own")
    (tmp_path / "model").rename(tmp_path / "a=b")
    assert named(["a=b"]) == [("a=b", "a=b")]
    assert named(["x=a=b", "y.2=elsewhere"]) == [("x", "a=b"), ("y.2", "elsewhere")]
    for given, said in ((["=x"], "NAME=MODEL"), (["x="], "NAME=MODEL"), (["x=1", "x=2"], 'called "x"')):
        with pytest.raises(InputError, match=said):
            named(given)
    with pytest.raises(InputError, match="nowhere"):
        named(["nowhere"])


@pytest.mark.slow
def test_one_is_calibrated_as_predict_has_it() -> None:
    results = study()
    path = f"{results.store.path}:full"
    rows = results.test.select("premise", "hypothesis").rows()[:6]
    columns = [list(column) for column in zip(*rows, strict=True)]
    said: list[str] = []
    for calibrate in (True, False):
        found = load([("full", path)], calibrate=calibrate, device="cpu", threads=None, say=said.append)
        expected = Classifier.load(path, calibrated=calibrate).predict_proba(rows)
        parts = found.predict([("full", [column[:2] for column in columns]), ("full", [c[2:] for c in columns])])
        assert [len(part) for part in parts] == [2, 4]
        np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)
        assert found.served["full"].calibrated is calibrate
    assert said == []


def test_what_cannot_be_calibrated_is_said(tmp_path: Path) -> None:
    paths = [(name, str(store(tmp_path / name, "bert", METHODS[name], "own"))) for name in ("first", "head")]
    for some in (paths, paths[:1]):
        said: list[str] = []
        load(some, calibrate=True, device="cpu", threads=None, say=said.append)
        assert [line.partition(":")[0] for line in said] == [name for name, _ in some]


def test_bounds_that_no_request_could_keep() -> None:
    Limits().check()
    for bounds, said in (({"texts": 0}, "--max-texts 0"), ({"wait": 60}, "60000"), ({"timeout": float("nan")}, "nan")):
        with pytest.raises(InputError, match=said):
            Limits(**bounds).check()  # type: ignore[arg-type]
