"""What a run says of its training, and what rests on one that was still improving."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.summarised import asking, summarised
from tests.report.synthetic import Variant, ended, write
from typer.testing import CliRunner

from thriftune import cli
from thriftune.analysis.analyse import analyse
from thriftune.analysis.display.panel import Panel
from thriftune.analysis.findings import training
from thriftune.analysis.findings.answers import verdicts as said
from thriftune.analysis.findings.answers.performance import performance
from thriftune.analysis.findings.caution import caution
from thriftune.analysis.findings.choice import Limits, advise, measured, reasons
from thriftune.analysis.findings.judgement import judge
from thriftune.analysis.findings.training import AT, earlier_state, trained
from thriftune.analysis.panels.answers import hypotheses, recommendation, summary, verdicts
from thriftune.analysis.panels.cost import batch_sweep
from thriftune.analysis.panels.performance import curves
from thriftune.report.printed.table import summary_remarks, summary_rows, summary_training
from thriftune.report.render import page
from thriftune.results.history import EpochPoint
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.results.training import Training

FLAT, RISING = ended(0.002), ended(0.024)
LIMIT, PLATEAU = ended(0.001, how="max_epochs"), ended(0.0, how="plateau", epochs=4.25)
CLAIMS = re.compile(r"better than|worse|is equivalent|classified best|best classifier|\btake \w|not beaten in", re.I)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return asking(write(tmp_path_factory.mktemp("plain"), Variant(troubled=False, texts=900)).load())


def _with(results: Results, changes: dict[str, Any], **study: Any) -> Results:
    """The results with other trainings by cell, as `dataclasses.replace` takes them, or none."""
    runs = [
        dataclasses.replace(run, **({"training": found} if isinstance(found, Training | None) else found))
        if (found := changes.get(run.cell, run.training)) is not run.training
        else run
        for run in results.runs
    ]
    return Results(results.store, dataclasses.replace(results.study, runs=runs, **study))


def _panel(module: Any, results: Results) -> Panel:
    panel = module.build(results)
    assert isinstance(panel, Panel)
    return panel


def _run(results: Results, cell: str) -> RunRecord:
    return next(run for run in results.runs if run.cell == cell)


def test_states_and_their_sentences(plain: Results) -> None:
    solved = ended(None, None, how="solved", epochs=0)
    results = _with(plain, {"full": RISING, "lora r8": LIMIT, "top_layers 2": PLATEAU})
    assert [each.state for each in trained(results).runs] == ["improving", "plateau", "limit"]
    full, top, lora = (each.sentence for each in trained(results).runs)
    assert full == "full was still improving (+2.4 points in its last epoch)"
    assert top == "top_layers 2 had reached a plateau (+0.0 points in its last epoch)"
    assert "lora r8 was stopped by the budget's limit, with no measurable gain" in lora
    results = _with(plain, {"full": solved, "lora r8": ended(None, None)})
    assert [each.state for each in trained(results).runs] == ["plateau", "plateau", "unknown"]
    assert "solved head" in trained(results).runs[0].sentence
    assert "is not known" in trained(results).runs[2].sentence
    assert not trained(results).improving
    assert trained(results).more is None


def test_the_first_screen_says_how_the_others_ended(plain: Results) -> None:
    def said(**found: Training | None) -> str:
        results = _with(plain, {"lora r8": found.pop("lora", FLAT), "top_layers 2": found.pop("top", FLAT)} | found)
        text = training.others(results)
        assert all(
            each in _panel(summary, results).sentences and each in summary_remarks(summarised(results)) for each in text
        )
        return "".join(text)

    every = "Every fine-tuned method had reached a plateau when training ended."
    assert said(full=FLAT) == every
    assert said(full=RISING) == "When training ended: a plateau for top_layers 2 and lora r8."
    assert "stopped by the limit without a measurable gain: full" in said(full=LIMIT)
    assert "whether full would have improved further is not known" in said(full=ended(None, None))
    assert said(full=RISING, lora=RISING, top=RISING) == ""


def test_a_method_is_improving_where_any_seed_is(tmp_path: Path) -> None:
    results = write(tmp_path, Variant(troubled=False, texts=300, seeds=2)).load()
    runs = [dataclasses.replace(run, training=RISING if run.name == "full seed 1" else FLAT) for run in results.runs]
    results = Results(results.store, dataclasses.replace(results.study, runs=runs))
    assert summary_training(results)[0][0].startswith("Still improving in the last epoch: full (+2.4 points)")
    assert all(v.at_this_budget == ("full" in (v.first.name, v.second.name)) for v in judge(results).verdicts)


def test_the_studys_margin_decides_anew(plain: Results) -> None:
    assert trained(_with(plain, {"full": RISING})).improving
    assert not trained(_with(plain, {"full": RISING}, margin=3.0)).improving


@pytest.mark.parametrize(
    ("before", "after", "texts", "state"),
    [
        (0.50, 0.90, 1000, "improving"),  # more than if all that can have changed did
        (0.70, 0.702, 1000, "plateau"),  # within the margin
        (0.70, 0.65, 1000, "plateau"),
        (0.70, 0.71, 200, "plateau"),  # less than chance, were even no other text changed
        (0.60, 0.63, 1000, "unknown"),
    ],
)
def test_records_of_earlier_versions_say_only_what_is_certain(
    before: float, after: float, texts: int, state: str
) -> None:
    looks = [_look(epoch, accuracy) for epoch, accuracy in ((1, before), (2, after))]
    assert earlier_state(looks, texts, 0.5) == state
    assert earlier_state(looks[1:], texts, 0.5) == "unknown"
    assert earlier_state(looks, 0, 0.5) == "unknown"
    assert earlier_state([], texts, 0.5) == "unknown"


def _look(epoch: float, accuracy: float | None, train_loss: float = 0.5, loss: float | None = 0.6) -> EpochPoint:
    return EpochPoint(epoch, round(94 * epoch), train_loss, 0.8, loss, accuracy, accuracy, 1e-5, 2.0, 0.01)


def test_a_loss_at_chance_is_said(tmp_path: Path) -> None:
    store = write(tmp_path, Variant(texts=300, labels=tuple("abcd"), columns=("text",)))
    chance = math.log(4)
    for name, train, loss in (("lost", 1.39, 1.39), ("lora_r8-1-0", 1.4, 1.2), ("full-1-0", 0.9, 1.5)):
        store.run(name).write_history([_look(epoch, 0.3, train, loss) for epoch in (1, 2, 3)])
    results = store.load()
    found = {each.run.run_id: each for each in trained(results).runs}
    assert found["lost"].sentence.startswith("lora r64 did not learn: its loss stayed at chance (ln K = 1.39)")
    assert found["lost"].chance == pytest.approx(chance)
    assert found["lora_r8-1-0"].loss_words == "stayed at chance (ln K = 1.39)"
    assert found["full-1-0"].validation_at_chance
    assert found["full-1-0"].loss_words is None
    text = " ".join(_panel(curves, results).sentences)
    assert "The loss of lora r8 stayed at chance (ln K = 1.39)." in text
    assert "validation loss of full was not below that of a guess" in text
    assert "lora r8 and lora r64: their loss stayed at chance (ln K = 1.39)." in summary_remarks(summarised(results))
    assert "lora r8 and lora r64: their loss stayed at chance" in " ".join(_panel(summary, results).sentences)


def test_a_run_that_did_not_learn_and_was_still_improving(tmp_path: Path) -> None:
    results = write(tmp_path, Variant(texts=300)).load()
    results = _with(results, {"lora r64": RISING})
    assert "lora r64 did not learn" in performance(results).text
    assert "did not learn at this budget" in " ".join(said.sentences(results))
    assert "↗ Did not learn at this budget: lora r64." in summary_remarks(summarised(results))
    assert trained(results).more is not None
    assert performance(results).text.startswith("At this budget, ")


def _claims(texts: Iterable[str]) -> list[str]:
    """The parts of sentences that say something of a method against others."""
    return [part for text in texts for part in re.split(r"(?<=[.;:]) ", text) if CLAIMS.search(part)]


def _said(results: Results) -> list[str]:
    panels = [_panel(module, results) for module in (summary, recommendation, verdicts, hypotheses)]
    return [sentence for panel in panels for sentence in panel.sentences]


@pytest.mark.parametrize("states", list(product("ri", repeat=3)), ids="".join)
def test_no_claim_rests_on_a_run_that_was_still_improving_without_the_words(
    plain: Results, states: tuple[str, ...]
) -> None:
    rising = {"r": RISING, "i": (FLAT, LIMIT, PLATEAU)}
    cells = ("full", "top_layers 2", "lora r8")
    chosen = {
        name: RISING if state == "r" else rising["i"][i]  # type: ignore[index]
        for i, (name, state) in enumerate(zip(cells, states, strict=True))
    }
    results = _with(plain, chosen)
    still = {name for name, state in zip(cells, states, strict=True) if state == "r"}
    for verdict in judge(results).verdicts:
        assert verdict.at_this_budget == bool({verdict.first.name, verdict.second.name} & still)
    for flag, pair in zip(judge(results).verdicts, _panel(verdicts, results).statistics["pairs"], strict=True):
        assert pair["at_this_budget"] == flag.at_this_budget
    for row, verdict in zip(_panel(verdicts, results).tables[0].rows, judge(results).verdicts, strict=True):
        assert (AT in row["outcome"]) == verdict.at_this_budget
    for part in _claims(_said(results)):
        named = [name for name in still if name in part]
        assert AT in part.lower() or not named, part
    text = " ".join(_said(results))
    assert (AT in text.lower()) == bool(still)
    lead = _panel(recommendation, results).sentences[0]
    assert lead.startswith("At this budget, take " if still else "Take ")
    found = caution(results)
    assert performance(results).text.startswith("At this budget, ") == bool(still)
    assert bool(found and "still improving" in found.text) == bool(still)
    assert bool(found and "every method was still" in found.text) == (len(still) == 3)
    careful, command = summary_training(results)
    assert bool(careful) == bool(command) == bool(still)
    assert all(name in careful[0] for name in still)
    if still:
        assert "(predicted about " in careful[1]
        assert text.count("The summary holds the command that would tell (predicted about ") == 3


def test_a_baseline_ahead_of_methods_that_were_still_improving(plain: Results) -> None:
    test = _run(plain, "tfidf").test
    assert test is not None
    ahead: dict[str, Any] = {"tfidf": {"test": dataclasses.replace(test, accuracy=0.99)}}
    assert performance(_with(plain, ahead)).text
    assert performance(_with(plain, ahead | {"lora r8": RISING})).text.startswith("At this budget, ")


def test_equivalence_and_batch_sizes_say_so_too(tmp_path: Path, plain: Results) -> None:
    verdict = next(v for v in judge(_with(plain, {"lora r8": RISING})).verdicts if v.at_this_budget and not v.baseline)
    for outcome in ("equivalent", "undecided", "better"):
        changed = dataclasses.replace(verdict, outcome=outcome)
        texts = [
            *said._differences([changed]),
            *said._equivalent([changed], 5),
            *said._undecided([changed]),
        ]
        assert len(texts) == 1
        assert AT in texts[0]
    runs = [
        dataclasses.replace(
            run,
            cell=f"full batch {size}",
            name=f"full batch {size}",
            method={"name": "full"},
            protocol=run.protocol | {"batch_size": size},
            training=found,
        )
        for run, size, found in zip(plain.runs[:2], (8, 32), (FLAT, RISING), strict=True)
    ]
    swept = Results(plain.store, dataclasses.replace(plain.study, runs=runs))
    (text,) = _panel(batch_sweep, swept).sentences
    assert "at this budget, peak memory" in text
    assert "Still improving in the last epoch with batches of 32 (+2.4 points)." in text
    assert "would tell" in text


def test_recommendation_with_limits_rests_on_what_fits(plain: Results) -> None:
    results = _with(plain, {"full": RISING})
    candidates = measured(results)
    assert [each.name for each in candidates if each.still_improving] == ["full"]
    assert reasons(advise(candidates, Limits(), results))[0].startswith("At this budget, take")
    tight = Limits(memory_bytes=1.7e9)  # full does not fit, whatever its accuracy
    assert reasons(advise(candidates, tight, results))[0].startswith("Take")


def test_recommend_prints_the_words_and_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "my out"
    write(out, Variant(troubled=False, texts=300, training=(("full", RISING),)))
    printed = CliRunner().invoke(cli.app, ["recommend", str(out)]).stdout
    assert "At this budget, take" in printed
    assert "↗ " in printed
    assert f"  thriftune compare '{out}/study.yaml' --out '{out}' --set protocol.epochs=6\n" in printed
    document = json.loads(CliRunner().invoke(cli.app, ["recommend", str(out), "--json"]).stdout)
    assert document["at_this_budget"] is True
    assert document["command"].endswith("protocol.epochs=6")
    assert {cell["candidate"]["name"]: cell["candidate"]["still_improving"] for cell in document["cells"]}["full"]


def test_the_terminal_marks_runs_that_were_still_improving(plain: Results) -> None:
    rows = {row["Run"]: row for row in summary_rows(summarised(_with(plain, {"full": RISING})))}
    assert rows["full"]["Acc. %"].startswith("↗ ")
    assert not rows["lora r8"]["Acc. %"].startswith("↗")
    assert summary_remarks(summarised(_with(plain, {"full": RISING})))[0] == "↗ Still improving: full."
    assert not any("↗" in text for text in summary_remarks(summarised(plain)))


def test_predicted_time_is_that_of_the_runs(plain: Results) -> None:
    more = trained(_with(plain, {"full": RISING})).more
    assert more is not None
    costs = [run.cost for run in plain.runs if run.model is not None and run.cost is not None]
    expected = sum(
        each.load_seconds
        + (0 if each.prefix_reused else each.prefix_seconds)
        + 2 * (each.train_seconds + each.evaluate_seconds)
        for each in costs
    )
    assert more.seconds == pytest.approx(expected)
    unknown = trained(_with(plain, {"full": {"training": RISING}, "lora r8": {"cost": None}})).more
    assert unknown is not None
    assert unknown.seconds is None
    assert "cannot be predicted" in unknown.sentence


@pytest.mark.parametrize(
    ("how", "key"), [("max_epochs", "protocol.budget.max_epochs=60"), ("seconds", "protocol.budget.seconds=1200")]
)
def test_a_budgets_limit_is_raised(plain: Results, how: str, key: str) -> None:
    budget = {"epochs": "auto", "budget": {"max_epochs": 30, "seconds": 600.0}}
    changes = {
        run.cell: {"protocol": run.protocol | budget, "training": PLATEAU}
        for run in plain.runs
        if run.model is not None
    }
    changes["full"] = {**changes["full"], "training": ended(0.024, how=how)}
    more = trained(_with(plain, changes)).more
    assert more is not None
    assert more.command.endswith(f"--set {key}")
    assert "predicted at most" in more.sentence
    full, top = _run(plain, "full").cost, _run(plain, "top_layers 2").cost
    assert full is not None
    assert top is not None
    twice = trained(_with(plain, {"full": RISING})).more
    assert twice is not None
    assert more.seconds is not None
    assert twice.seconds is not None
    assert more.seconds < twice.seconds  # runs at their plateau end where they did


def test_a_list_of_runs_is_raised_run_by_run(plain: Results) -> None:
    listed = [
        {"name": "full", "model": "demo:minilm", "protocol": {"epochs": 3}},
        {"name": "tfidf", "model": None, "protocol": {"epochs": 3}},
        {"name": "other", "model": "bert", "protocol": {"epochs": 3}},
        {"name": "lora r8", "model": "demo:minilm", "protocol": {"epochs": 5}},
    ]
    more = trained(_with(plain, {"full": RISING}, study={"name": "x", "runs": listed})).more
    assert more is not None
    assert more.command.endswith("--set runs.0.protocol.epochs=6 --set runs.3.protocol.epochs=10")
    assert more.sentence.startswith("Twice the budget")


def test_epochs_cannot_be_raised_beyond_what_a_study_takes(plain: Results) -> None:
    changes = {"full": {"training": RISING, "protocol": {"epochs": 100_000}}}
    results = _with(plain, changes)
    assert trained(results).more is None
    found = training.statistics(results)
    assert found["command"] is None
    assert "cannot be raised" in found["command_reason"]
    assert summary_training(results)[1] is None
    assert "At this budget" in _panel(recommendation, results).sentences[0]


def test_looks_within_an_epoch_and_many_of_them(tmp_path: Path) -> None:
    store = write(tmp_path, Variant(troubled=False, texts=300, training=(("full", RISING),)))
    run = next(run for run in store.load().runs if run.cell == "full")
    store.run(run.run_id).write_history([_look(i / 8, 0.5 + i / 400, loss=1 - i / 200) for i in range(1, 101)])
    results = _with(store.load(), {"full": {"best_epoch": 8 / 3, "training": RISING}})
    rows = [row for row in _panel(curves, results).tables[1].rows if row["run"] == "full"]
    assert len(rows) <= curves.LOOKS
    assert [rows[0]["epoch"], rows[-1]["epoch"]] == [0.125, 12.5]
    results = _with(store.load(), {"full": {"best_epoch": 9.375, "training": RISING}})
    table = _panel(curves, results).tables[1]
    assert [row["epoch"] for row in table.rows if row["run"] == "full" and row["kept"]] == [9.375]
    assert "at most 40 of a run" in table.caption
    text = " ".join(_panel(curves, results).sentences)
    assert "lowest at the end of training for full: more epochs might help" in text
    flat = " ".join(_panel(curves, _with(store.load(), {"full": PLATEAU})).sentences)
    assert "might help" not in flat
    assert "plateau" in flat
    endings = _panel(curves, results).tables[0]
    assert {row["run"]: row["state"] for row in endings.rows}["full"] == "still improving"
    html_text = page(analyse(results))
    assert '<td class="number">9.38</td>' in html_text


def test_the_page_says_it_first_and_results_json_keeps_it(tmp_path: Path) -> None:
    store = write(tmp_path, Variant(troubled=False, texts=300, training=(("full", RISING), ("lora r8", FLAT))))
    results = store.load()
    text = page(analyse(results))
    head = text[text.index("<header") : text.index("</header>")]
    assert "At this budget, take" in head
    assert "full was still improving (last epoch: +2.4 points)" in head
    command = re.search(r'<code title="(.*?)">', head)
    assert command is not None
    assert html.unescape(command[1]).startswith(training.statistics(results)["command"])
    found = training.statistics(results)
    json.dumps(found, allow_nan=False)
    assert found["still_improving"] == ["full"]
    assert found["predicted_seconds"] > 0
    states = {each["run"]: each["state"] for each in found["runs"]}
    assert states == {"full-1-0": "improving", "top_layers_2-1-0": "plateau", "lora_r8-1-0": "plateau"}
    sentences = [sentence for section in analyse(results).sections for sentence in section.panel.sentences]
    assert not [part for part in _claims(sentences) if "full" in part and AT not in part.lower()]
    quiet = _with(results, {"full": FLAT})
    assert "still improving" not in (caution(quiet) or caution(results)).words
