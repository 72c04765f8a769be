"""`compare`, `propose`, `estimate` and `recommend` from Python, from a table to a classifier."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from multiprocessing import spawn
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.study.small_study import small_study, write_pairs
from tests.tiny_data import pairs
from tests.tiny_models import model_folder

import thriftune
from thriftune import Results
from thriftune.errors import InputError
from thriftune.methods.lora import Lora
from thriftune.methods.tfidf import Tfidf
from thriftune.results.store import Store
from thriftune.study.events import Event, Notice, RunStarted
from thriftune.study.run import process

ASKED: dict[str, Any] = {
    "text": ["premise", "hypothesis"],
    "label": "mood",
    "methods": ["majority", {"tfidf": {"features": "word"}}, Lora(learning_rate=0.01)],
    "model": str(model_folder("bert")),
    "overrides": {"protocol.epochs": 1, "protocol.device": "cpu", "head": {"type": "own"}},
    "probe": False,
}


def frame(rows: int = 150) -> pl.DataFrame:
    first, second, truth = pairs(rows)
    moods = ["no", "maybe", "yes"]
    return pl.DataFrame({"premise": first, "hypothesis": second, "mood": [moods[i] for i in truth]})


@cache
def made() -> Results:
    """The results of a small comparison, which lie there as long as the tests run."""
    return thriftune.compare(frame(), Path(mkdtemp(prefix="thriftune-python-")) / "out", isolate=False, **ASKED)


class TestCompare:
    def test_a_table(self) -> None:
        results = made()
        assert [run.status for run in results.runs] == ["done"] * 3
        assert results.study.study["data"]["source"] == "data/table.parquet"
        assert results.runs[2].method["learning_rate"] == 0.01
        assert results.study.statistics
        texts = frame().select("premise", "hypothesis")
        best = results.best()
        assert set(best.predict(texts)) <= {"no", "maybe", "yes"}
        assert best.predict(texts.to_pandas()) == best.predict(texts.rows())
        assert results.best("tfidf").source.name == "tfidf"

    def test_the_same_call_goes_on(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        shutil.copytree(made().path, out)
        events: list[Event] = []
        again = thriftune.compare(frame().to_pandas().convert_dtypes(), out, events.append, False, **ASKED)
        assert not [event for event in events if isinstance(event, RunStarted)]
        assert [run.run_id for run in again.runs] == [run.run_id for run in made().runs]
        by_folder = thriftune.compare(str(out), listener=events.append, isolate=False)
        by_file = thriftune.compare(out / "study.yaml", out, events.append, False, seeds=[0])
        assert not [event for event in events if isinstance(event, RunStarted)]
        assert by_folder.path == by_file.path == out
        with pytest.raises(InputError, match="Name another folder"):
            thriftune.compare(frame(120), out, **ASKED)
        assert len(Store(out).load().done) == 3

    def test_a_file_and_given_splits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        path = write_pairs(tmp_path / "pairs.csv")
        events: list[Event] = []
        found = thriftune.compare("pairs.csv", None, events.append, False, methods=["majority"], probe=False)
        assert found.path == Path("results-pairs")
        assert any(isinstance(each, Notice) and "is the label" in each.text for each in events)
        assert thriftune.compare(path, "there", isolate=False, methods=["majority"], probe=False).done
        parts = {"train": frame(100), "test": frame(40).to_pandas()}
        found = thriftune.compare(parts, "splits", isolate=False, name="by hand", methods=["majority"], probe=False)
        assert found.study.profile.rows["test"] == 40
        assert found.study.name == "by hand"

    def test_a_study_as_before(self, tmp_path: Path) -> None:
        study = small_study(tmp_path, methods=["majority"], models=None, protocol=None)
        events: list[Event] = []
        results = thriftune.compare(study, tmp_path / "out", events.append, False, only=["majority"])
        assert isinstance(results, Results)
        assert events
        changed = thriftune.compare(study, tmp_path / "other", isolate=False, methods=[Tfidf(features="word")])
        assert [run.name for run in changed.runs] == ["tfidf"]

    def test_what_cannot_be_used(self, tmp_path: Path) -> None:
        for data, changes, said in (
            (frame(), {"label": "moood"}, "moood"),
            (frame(), {"methods": "lora"}, "takes a list"),
            (frame(), {"seeds": 3}, "takes a list"),
            (frame(), {"methods": ["lorra"]}, "lorra"),
            (frame(), {"overrides": {"protocol.epoks": 1}}, "epoks"),
            (3, {}, "A int is given"),
            ([1], {}, "A list is given"),
            ("nowhere.csv", {}, "not found"),
            ("nowhere.yaml", {}, "no study file"),
        ):
            with pytest.raises(InputError, match=said):
                thriftune.compare(data, tmp_path / "out", **{**ASKED, **changes})  # type: ignore[arg-type]
        assert not (tmp_path / "out" / "results.json").exists()
        columns = {"text": ASKED["text"], "label": "mood"}
        for further in ({"model": ASKED["model"]}, {"overrides": ASKED["overrides"]}):
            with pytest.raises(InputError, match="has no effect"):
                thriftune.compare(frame(), tmp_path / "out", methods=["majority"], probe=False, **columns, **further)
        assert thriftune.compare(
            frame(), tmp_path / "out", isolate=False, methods=["majority"], probe=False, **columns
        ).done


SCRIPT = """
import sys
import polars as pl
import thriftune
from thriftune.testing.texts import pairs
print("once")
first, second, truth = pairs(150)
frame = pl.DataFrame({{"text": first, "label": [str(each) for each in truth]}})
found = thriftune.compare(frame, {out!r}, methods=["majority", "tfidf"], probe=False)
print([run.status for run in found.runs])
"""
GUARDED = """
from dataclasses import dataclass
from pathlib import Path
from thriftune.methods.majority import Majority
import thriftune

@dataclass(frozen=True, kw_only=True)
class Own(Majority):
    "As the majority, by another name."

if {guard}:
    found = thriftune.compare({source!r}, {out!r}, text=["premise", "hypothesis"], methods=[Own()], probe=False)
    print([(run.status, run.message) for run in found.runs], found.runs[0].message)
"""


class TestScripts:
    def test_a_process_does_not_run_the_script_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(spawn, "get_preparation_data", lambda name: {"name": name, "init_main_from_path": "me.py"})
        assert any(key.startswith("init_main") for key in spawn.get_preparation_data("before"))
        with process._without_main():
            assert not any(key.startswith("init_main") for key in spawn.get_preparation_data("inside"))
        assert any(key.startswith("init_main") for key in spawn.get_preparation_data("after"))

    @pytest.mark.slow
    def test_needs_no_guard(self, tmp_path: Path) -> None:
        (tmp_path / "script.py").write_text(SCRIPT.format(out=str(tmp_path / "out")), encoding="utf-8")
        done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout.splitlines() == ["once", "['done', 'done']"], done.stderr

    @pytest.mark.slow
    @pytest.mark.parametrize("guard", ["True", "__name__ == '__main__'"])
    def test_a_method_of_its_own_does(self, guard: str, tmp_path: Path) -> None:
        source = str(write_pairs(tmp_path / "pairs.csv"))
        text = GUARDED.format(guard=guard, source=source, out=str(tmp_path / "out"))
        (tmp_path / "script.py").write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ("('done', None)" if guard != "True" else "put the calls below") in done.stdout, done.stderr


class TestProposals:
    def test_of_a_table(self, tmp_path: Path) -> None:
        proposed = thriftune.propose(frame(), tmp_path / "out", probe=False)
        assert proposed.study.data.text == ("premise", "hypothesis")
        assert proposed.study.data.label == "mood"
        assert [method.NAME for method in proposed.study.methods][:2] == ["majority", "tfidf"]
        assert any("is the label" in reason for reason in proposed.reasons)
        written = proposed.write(tmp_path / "elsewhere.yaml")
        assert thriftune.load_study(written).data.text == proposed.study.data.text
        assert "# " in str(proposed)
        assert "<pre>" in proposed._repr_html_()
        results = thriftune.compare(proposed, tmp_path / "out", isolate=False, methods=["majority"])
        assert results.path == tmp_path / "out"
        with pytest.raises(InputError, match="a study already"):
            thriftune.propose(proposed)

    def test_a_bare_name_takes_what_is_proposed(self, tmp_path: Path) -> None:
        study = thriftune.propose(frame(), tmp_path / "out", methods=["lora", "bitfit"], probe=False).study
        first, second = study.methods
        assert isinstance(first, Lora)
        assert first.learning_rate == "auto"
        assert second.NAME == "bitfit"

    def test_estimates(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        asked = {key: value for key, value in ASKED.items() if key != "probe"}
        found = thriftune.estimate(frame(), memory="8GB", probe=False, **asked)
        assert found.table()["fits"].to_list() == [True]
        assert "<table>" in found._repr_html_()
        study = small_study(tmp_path)
        before = thriftune.estimate(study, thriftune.Question(probe=False))
        assert [each.name for each in before] == ["full"]
        assert [path.name for path in tmp_path.iterdir()] == ["pairs.csv"]
        with pytest.raises(InputError, match="belong into it"):
            thriftune.estimate(study, thriftune.Question(), memory="8GB")


class TestResults:
    def test_what_is_recommended(self) -> None:
        results = made()
        assert results.recommended is not None
        advice = results.recommend(memory="8GB")
        assert advice.method == results.recommended.cell
        assert advice.measured
        assert advice.table()["name"].to_list()[0] == advice.method
        assert "<table>" in advice._repr_html_()
        assert str(advice) == "\n".join(advice.reasons)
        for latency in ("20ms", 0.02):
            assert results.recommend(latency=latency).advice.limits.latency_seconds == 0.02
        nothing = thriftune.recommend(results.path, memory=1, tasks=3)
        assert nothing.method is None
        for limits, said in (
            ({"tasks": 0}, "at least one"),
            ({"memory": -1}, "positive"),
            ({"time": "soon"}, "soon"),
            ({"latency": "1h"}, "one text"),
        ):
            with pytest.raises(InputError, match=said):
                thriftune.recommend(results, **limits)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="There is no nowhere"):
            thriftune.recommend("nowhere")

    def test_of_a_study_it_is_what_is_predicted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.yaml").write_text(
            "{name: a, data: {source: 'demo:snli', text: [premise, hypothesis]}, methods: [majority]}"
        )
        heard: list[str] = []

        def estimated(study: object, question: object, report: Any) -> list[Any]:
            report("timing")
            heard.append(study.name)  # type: ignore[attr-defined]
            return []

        monkeypatch.setattr("thriftune.study.forecast.estimate.estimate", estimated)
        advice = thriftune.recommend(tmp_path / "a.yaml", memory="8GB")
        assert (advice.measured, advice.method, heard) == (False, None, ["a"])

    def test_tables(self) -> None:
        results = made()
        table = results.table()
        assert table["method"].to_list()[0] == results.decision.standings[0].name
        assert table["take"].sum() == 1
        assert table["accuracy"].is_not_null().all()
        runs = results.table("runs")
        assert runs["run"].to_list() == [run.name for run in results.runs]
        assert runs["train_seconds"].is_not_null().all()
        assert isinstance(results.table(to="pandas"), pd.DataFrame)
        for wrong in ({"rows": "methodes"}, {"to": "excel"}):
            with pytest.raises(InputError, match="is not known"):
                results.table(**wrong)  # type: ignore[call-overload]

    def test_charts(self, tmp_path: Path) -> None:
        results = made()
        assert results.chart("cost").chart.name in results.charts
        bundle = results.chart(results.charts[0])._repr_mimebundle_()
        assert bundle["image/svg+xml"].startswith("<svg")
        assert bundle["text/plain"]
        path = results.chart("cost").save(tmp_path / "cost.svg")
        assert path.read_text(encoding="utf-8").startswith("<svg")
        with pytest.raises(InputError, match="is not known"):
            results.chart("costs-of-living")

    def test_what_a_notebook_shows(self) -> None:
        shown = made()._repr_html_()
        assert "tfidf" in shown
        assert "<b>Take" in shown
        assert "<script" not in shown
        assert "take" in repr(made())
        best = made().best()
        assert "maybe, no, yes" in repr(best)
        assert "accuracy" in best._repr_html_()

    def test_user_text_is_escaped(self, tmp_path: Path) -> None:
        odd = frame().with_columns(mood=pl.col("mood").replace({"no": "<script>x</script>"}))
        asked = {key: ASKED[key] for key in ("text", "label", "probe")}
        found = thriftune.compare(odd, tmp_path / "out", isolate=False, methods=[Tfidf(features="word")], **asked)
        shown = found._repr_html_() + found.best()._repr_html_()
        assert "&lt;script" in shown
        assert "<script" not in shown

    def test_loaded_results_do_the_same(self) -> None:
        loaded = thriftune.load_results(str(made().path))
        assert loaded.table().equals(made().table())
        assert loaded.charts == made().charts
        np.testing.assert_array_equal(
            loaded.best().predict_proba(frame().select("premise", "hypothesis")),
            made().best().predict_proba(frame().select("premise", "hypothesis").to_arrow()),
        )
