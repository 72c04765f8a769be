"""The model card: a README.md for the Hugging Face hub, filled from the study that made the model."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thriftune import wording as f
from thriftune.analysis.findings.deciding import macro_f1_interval
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.groups import interval, sentence
from thriftune.analysis.findings.runs import interval as wilson_of
from thriftune.analysis.findings.runs import is_baseline, protocol
from thriftune.analysis.findings.threats import OF_RUNS, threats
from thriftune.export.form import Checked, Form
from thriftune.export.metadata import HUB_NAME, metadata, model_name
from thriftune.results.record import RunRecord
from thriftune.results.scores import ClassScores, Scores
from thriftune.results.store import Results

MOST_CLASSES = 30
"""Rows of the table of classes; beyond them the weakest are shown."""
FEW = 20
"""Training or test texts of a class, below which its figures say little."""
LICENCE = """\
Not stated: whoever publishes this model chooses the licence. Replace the line `# license: ...` at the top of this file
(for example by `license: apache-2.0`), and keep to what the pretrained model and the data allow."""


def card(results: Results | None, run: RunRecord | None, base: Path | None, form: Form | None = None) -> str:
    """README.md of a run's model: the hub's metadata with the results, and what a user of the model must know.

    `base` is the folder of the pretrained model, absolute or seen from the card's folder, for a model that needs one
    and is not where the run's own files say; None otherwise. `form` says how the model lies in its folder: as the run
    stored it where it is left out. Without results or run, what they would tell is left out, and the card says so.
    """
    form = form or as_stored(results, run, base)
    parts = [
        f"# {_inline(model_name(results, run))}",
        *_introduction(results, run, form),
        *_use(form),
        *_checked(form.checked),
        *_performance(results, run),
        *_data(results),
        *_training(results, run),
        *_cost(run),
        *_limits(results, run),
        f"## Licence\n\n{LICENCE}",
    ]
    return metadata(results, run, form) + "\n" + "\n\n".join(parts) + "\n"


def as_stored(results: Results | None, run: RunRecord | None, base: Path | None) -> Form:
    """How a run's own model folder holds it."""
    folder = None if results is None or run is None else results.store.run(run.run_id).model_path
    if folder is None or not (folder / "thriftune.json").is_file():
        what = "What is in this folder is read by Thriftune: `thriftune predict FOLDER FILE --out FILE`."
        return Form(library=None, holds=(what,))
    from thriftune.models.trained.usage import Usage, code, is_path

    usage = Usage.read(folder)
    if base is not None and usage.base is not None:
        place = base.as_posix()
        usage = replace(usage, base=place if base.is_absolute() or is_path(place) else f"./{place}")
    adapter = usage.base is not None and not usage.frozen
    holds = "A PEFT adapter with its head." if adapter else "The weights in the format of transformers."
    if usage.frozen:
        holds = "A regression on the vectors of the pretrained model."
    named = usage.base if usage.base and HUB_NAME.fullmatch(usage.base) else hub_name(run)
    return Form(library="peft" if adapter else "transformers", holds=(holds,), code=code(usage), base=named)


def hub_name(run: RunRecord | None) -> str | None:
    """The hub's name of a run's pretrained model; None where it came from a folder."""
    from thriftune.models.pretrained.sources import DEMO_MODELS

    name = None if run is None else run.model
    if name is None:
        return None
    if name.startswith("demo:"):
        known = DEMO_MODELS.get(name.removeprefix("demo:"))
        return None if known is None else known.hub
    name = name.removeprefix("hub:")
    return name if HUB_NAME.fullmatch(name) and not name.startswith(".") and not Path(name).exists() else None


def _introduction(results: Results | None, run: RunRecord | None, form: Form) -> Iterator[str]:
    if results is None or run is None:
        yield (
            "A text classifier trained with Thriftune. The study that it was trained in was not at hand when this "
            "card was written, so nothing is said here of its data and how well it does."
        )
        return
    profile = results.study.profile
    columns = " and ".join(_inline(each) for each in run.method.get("text") or profile.text_columns)
    told = f"{f.plural(len(profile.labels), 'label')}: {', '.join(map(_inline, profile.labels[:20]))}"
    more = f" and {len(profile.labels) - 20} more" if len(profile.labels) > 20 else ""
    model = f", from {_inline(form.base or run.model)}" if run.model else ""
    yield (
        f"A text classifier for {_inline(profile.name)}: it reads {columns} and gives one of {told}{more}. "
        f"Method: {_inline(run.name)}{model}. Trained and tested with Thriftune."
    )


def _use(form: Form) -> Iterator[str]:
    yield "## Use\n\n" + " ".join(form.holds)
    if form.code:
        yield "Run this in the folder that holds this file, or set `folder` to it:"
        yield f"```python\n{form.code.strip()}\n```"
    if form.files:
        yield _table(("File", "Size", "What it is"), [(f"`{n}`", f.size(b), what) for n, b, what in form.files])


def _checked(found: Sequence[Checked]) -> Iterator[str]:
    if not found:
        return
    first = found[0]
    texts = f"{f.plural(first.texts, 'test text')} of the study" if first.of_study else f"{first.texts:,} other texts"
    yield "## Checked\n\n" + (
        f"The code above was run on {texts} in a process without Thriftune, and compared with {first.reference}."
    )
    yield _table(
        ("Model", "Size", "Largest difference", "Same label", "Accuracy", "Lost", "One text", "95% within",
         f"{first.batch} texts", "95% within"),
        [
            (
                each.variant, f.size(each.weight_bytes), f"{each.largest_difference:.1g}",
                f.percent(each.same_label, 2),
                "–" if each.accuracy is None else f.percent(each.accuracy),
                "–" if each.lost is None else f.signed_points(each.lost) + " points",
                *(f"{1000 * each_time:.3g} ms" for each_time in (
                    each.seconds_one, each.p95_seconds_one, each.seconds_batch, each.p95_seconds_batch)),
            )
            for each in found
        ],
    )  # fmt: skip
    yield f"Measured on {_inline(first.machine)}. Differences are of probabilities."


def _performance(results: Results | None, run: RunRecord | None) -> Iterator[str]:
    if run is None or run.test is None:
        return
    yield "## How well it does"
    rows = [("Test", *_scores(results, run, run.test, "test"))]
    if run.validation is not None:
        rows.append(("Validation (settings were chosen on it)", *_scores(results, run, run.validation, "validation")))
    rows += [(_inline(name), *_scores(results, run, scores, name)) for name, scores in run.robustness.items()]
    yield _table(("Split", "Texts", "Accuracy", "95% interval", "Macro F1", "95% interval", "Loss"), rows)
    if results is not None:
        grouped = sentence(results)
        standing = decide(results).of(run.cell)
        told = [grouped] if grouped else []
        if standing is not None:
            place = standing.words.split(";")[0]
            told.append(f"Among the study's {f.plural(len(decide(results).standings), 'method')}: {place}.")
        if told:
            yield " ".join(told)
    yield from _classes(results, run.test)


def _scores(results: Results | None, run: RunRecord, scores: Scores, split: str) -> tuple[str, ...]:
    test = split == "test" and results is not None
    low, high = interval(results, run) if test and results is not None else wilson_of(scores)
    found = macro_f1_interval(results, run) if test and results is not None else {}
    return (
        f.count(scores.texts),
        f.percent(scores.accuracy),
        f.percent_range(low, high),
        f.percent(scores.macro_f1),
        found.get("macro_f1_interval", "–"),
        "–" if scores.loss is None else f.number(scores.loss),
    )


def _classes(results: Results | None, test: Scores) -> Iterator[str]:
    train = {} if results is None else results.study.profile.label_counts.get("train", {})
    shown = list(test.per_class.items())
    if len(shown) > MOST_CLASSES:
        shown = sorted((each for each in shown if each[1].support), key=lambda each: each[1].f1)[:MOST_CLASSES]
        yield f"The {len(shown)} weakest of {len(test.per_class)} labels:"

    def row(name: str, each: ClassScores) -> tuple[str, ...]:
        values = (f.percent(each.precision), f.percent(each.recall), f.percent(each.f1), f.count(each.support))
        return (_inline(name), *values, f.count(train[name]) if name in train else "–")

    yield _table(("Label", "Precision", "Recall", "F1", "Test texts", "Training texts"), [row(*each) for each in shown])


def _data(results: Results | None) -> Iterator[str]:
    if results is None:
        return
    profile = results.study.profile
    source = results.study.study.get("data", {}).get("source")
    named = source if isinstance(source, str) else ", ".join(f"{k}: {v}" for k, v in (source or {}).items())
    rows = ", ".join(f"{f.count(count)} {split}" for split, count in profile.rows.items() if count)
    yield (
        f"## Data\n\nSource: {_inline(_short(named))}. Rows: {rows}. Text columns: "
        + f"{', '.join(map(_inline, profile.text_columns))}; label column: {_inline(profile.label_column)}."
    )
    tokens = next(iter(profile.tokens), None)
    if tokens is not None and (cut := tokens.truncated_share.get("test")):
        yield f"{f.percent(cut)} of the test texts are longer than {tokens.max_tokens} tokens and were cut there."
    if profile.dropped:
        dropped = ", ".join(f"{f.count(each.count)} ({_inline(each.reason)})" for each in profile.dropped[:6])
        yield f"Rows that were left out: {dropped}."


def _short(named: str) -> str:
    """A source without the folders around it, which say nothing elsewhere."""
    return ", ".join(part if ":" in part and "/" not in part.split(":")[0] and part.startswith(("hub:", "demo:"))
                     else part.replace("\\", "/").rsplit("/", 1)[-1] for part in named.split(", "))  # fmt: skip


def _training(results: Results | None, run: RunRecord | None) -> Iterator[str]:
    if run is None:
        return
    method = {
        key: value for key, value in run.method.items() if key not in ("name", "learning_rate") and value is not None
    }
    said = [f"Method: {_inline(str(run.method.get('name')))}" + (f" ({_inline(f.settings(method))})" if method else "")]
    if run.learning_rate is not None:
        said.append(f"learning rate {run.learning_rate:g}")
    if run.best_epoch is not None:
        said.append(f"weights kept from epoch {f.epochs(run.best_epoch)}")
    said.append(f"seed {run.seed}")
    yield f"## Training\n\n{'; '.join(said)}."
    known = protocol(run, machine=False)
    if is_baseline(run):
        known = {key: value for key, value in known.items() if key == "max tokens"}
    if known:
        yield _table(("Setting", "Value"), [(_inline(key), _inline(value)) for key, value in known.items()])
    versions = [f"{name} {run.environment[name]}" for name in ("thriftune", "torch", "transformers", "peft")
                if name in run.environment]  # fmt: skip
    if versions:
        yield f"Versions: {', '.join(versions)}."


def _cost(run: RunRecord | None) -> Iterator[str]:
    cost = None if run is None else run.cost
    if run is None or cost is None:
        return
    rows: list[tuple[str, str]] = [("Training", f.seconds(cost.train_seconds + cost.prefix_seconds))]

    def add(name: str, value: Any, write: Any) -> None:
        if value:
            rows.append((name, write(value)))

    add("Peak memory of training", cost.peak_memory_bytes, f.size)
    add("Energy of training", cost.energy_joules, lambda joules: f"{f.number(joules)} J")
    add("Trained parameters", cost.trained_parameters, f.count)
    add("All parameters", cost.total_parameters, f.count)
    add("Stored by the run", cost.stored_bytes, f.size)
    add("One text, median", getattr(cost, "latency_seconds", None), f.seconds)
    add("One text, 95% within", getattr(cost, "latency_p95_seconds", None), f.seconds)
    add("Texts per second in batches of 32", getattr(cost, "predict_texts_per_second", None), f.number)
    add("Memory when predicting", getattr(cost, "predict_memory_bytes", None), f.size)
    where = ", ".join(str(run.environment[key]) for key in ("gpu", "processor", "device") if run.environment.get(key))
    yield "## Cost" + (f"\n\nMeasured by the study on {_inline(where)}." if where else "")
    yield _table(("", ""), rows)


def _limits(results: Results | None, run: RunRecord | None) -> Iterator[str]:
    said: list[str] = ["It gives one of its labels to every text, also to texts that none of them fits."]
    if run is not None and run.test is not None:
        said += _few(results, run.test)
    if results is not None:
        said += [each.words for each in threats(results) if each.kind not in OF_RUNS]
        standing = None if run is None else decide(results).of(run.cell)
        if standing is not None and standing.still_improving:
            said.append("Its training ended while validation still improved: longer training may make it better.")
        if decide(results).one_seed:
            said.append("The study trained every method once: another seed gives other scores.")
    yield "## Limits\n\n" + "\n".join(f"- {_inline(each)}" for each in said)


def _few(results: Results | None, test: Scores) -> Iterator[str]:
    train = {} if results is None else results.study.profile.label_counts.get("train", {})
    tested = [name for name, each in test.per_class.items() if each.support < FEW]
    taught = [name for name in test.per_class if train and train.get(name, 0) < FEW]
    if tested:
        yield f"Labels with fewer than {FEW} test texts, of which the figures say little: {f.listing(tested)}."
    if taught:
        yield f"Labels with fewer than {FEW} training texts: {f.listing(taught)}."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _inline(text: object) -> str:
    """A user's text in Markdown: on one line, and neither HTML, nor a link, nor the end of a table's cell."""
    plain = html.escape(f.plain(f.one_line(str(text))), quote=False)
    return "".join(f"\\{c}" if c in "\\|*_`[]~#$" else c for c in plain)
