"""Writes a run's classifier in a format, checks it there, and gives the folder its name when all of it is right."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from thriftune import wording as f
from thriftune.errors import InputError
from thriftune.export.card import card, hub_name
from thriftune.export.checking import Effort, checked
from thriftune.export.form import Checked
from thriftune.export.formats import check, find
from thriftune.export.formats.base import Options, Written
from thriftune.export.trained import Trained, examples, trained
from thriftune.paths import check_new_folder, user_path
from thriftune.results.files import flush, write_json
from thriftune.use.source import Source

MARK = "export.json"
"""Says that a folder is an export of ours, and what was found of it."""


@dataclass(frozen=True)
class Exported:
    """What was made."""

    folder: Path
    format: str
    run: str
    checked: tuple[Checked, ...]
    notes: tuple[str, ...]

    def table(self) -> list[dict[str, str]]:
        """A row for each model in the folder."""
        return [
            {
                "Model": each.variant,
                "Size": f.short_size(each.weight_bytes),
                "Largest difference": f"{each.largest_difference:.1g}",
                "Same label": f.percent(each.same_label),
                "Acc. %": "–" if each.accuracy is None else f.bare_percent(each.accuracy),
                "Points lost": "–" if each.lost is None else f.signed_points(each.lost),
                "1 text": _milliseconds(each.seconds_one, each.p95_seconds_one),
                f"{each.batch} texts": _milliseconds(each.seconds_batch, each.p95_seconds_batch),
            }
            for each in self.checked
        ]

    def sentences(self) -> list[str]:
        """What the table does not say."""
        first = self.checked[0]
        texts = "test texts of the study" if first.of_study else "bundled texts, as the study's are not at hand"
        return [
            *self.notes,
            f"Checked on {first.texts:,} {texts}, in a process without Thriftune: differences are of probabilities, "
            f"from {first.reference}; times are medians, with what 95% of calls stay below.",
            f"{self.folder} holds {self.run} as {self.format}, with a card (README.md) whose code runs as it stands. "
            "The licence is yours to add there.",
        ]


def _milliseconds(median: float, most: float) -> str:
    return f"{1000 * median:.3g} ({1000 * most:.3g}) ms"


def export(
    source: Source,
    to: Path,
    format: str,
    *,
    replace_old: bool = False,
    temperature: float | None = None,
    effort: Effort | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Exports a classifier into a new folder.

    The folder appears when everything in it is written and checked; where anything fails there is none, and one that
    `replace_old` would have replaced stays. Raises `InputError` for a folder that exists and is no export of ours (or
    is one, without `replace_old`), for a format that the classifier cannot have, and where the check fails.
    """
    form, effort = find(format), effort or Effort()
    out = check_target(to, replace_old)
    found = trained(source)
    check(form, found)
    if temperature is not None and form.NAME != "onnx":
        raise InputError(
            f"--calibrated is given, and {form.NAME} has no place for a temperature. Use --format onnx, or leave it "
            "out."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name[:100]}.", dir=out.parent))
    try:
        work.chmod(0o755)
        say(f"Writing {source.name} as {form.NAME} ...")
        options = Options(temperature)
        written = form.write(found, work, options)
        texts = examples(found, effort.texts)
        say(f"Running it on {f.plural(len(texts), 'text')} with the other library alone ...")
        checks, notes = checked(found, work, written, texts, options, effort)
        _finish(found, work, written, checks, form.NAME)
        _put(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Exported(out, form.NAME, source.name, checks, (*written.notes, *notes))


def check_target(to: Path, replace_old: bool) -> Path:
    """The folder to write; raises `InputError` where it cannot be, or holds what is not to be replaced."""
    check_new_folder(to)
    out = user_path(str(to))
    if out.is_symlink() or (out.exists() and any(out.iterdir())):
        if out.is_symlink() or not (out / MARK).is_file():
            raise InputError(f"{out} holds something already, and no export. Give a new folder with --to.")
        if not replace_old:
            raise InputError(f"{out} holds an export already. Add --replace to replace it, or give another --to.")
    return out.absolute()


def _finish(found: Trained, work: Path, written: Written, checks: tuple[Checked, ...], name: str) -> None:
    """The card, and the mark with the figures."""
    from dataclasses import asdict

    source = found.source
    base = written.form.base or hub_name(source.record) or _hub_base(found)
    files = [(path.name, path.stat().st_size, PURPOSE.get(path.name, "")) for path in sorted(work.iterdir())]
    form = replace(written.form, base=base, checked=checks, files=tuple(each for each in files if each[1] and each[2]))
    (work / "README.md").write_text(card(source.results, source.record, None, form), encoding="utf-8")
    record = source.record
    write_json(
        work / MARK,
        {
            "format": name,
            "run": None if record is None else record.run_id,
            "name": source.name,
            "labels": list(found.labels),
            "checked": [asdict(each) for each in checks],
        },
    )


PURPOSE = {
    "model.onnx": "the graph in fp32",
    "model-int8.onnx": "the same with int8 weights",
    "model.safetensors": "the weights",
    "adapter_model.safetensors": "the adapter",
    "head.safetensors": "the classification head",
    "tokenizer.json": "how texts become tokens",
    "modeling_pooled.py": "the class that loads the weights",
}


def _hub_base(found: Trained) -> str | None:
    return found.usage.base if found.base is None else None


def _put(work: Path, out: Path) -> None:
    """Gives the folder its name; the old one goes after the new one is whole."""
    for path in work.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            flush(path)
    old = None
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name[:100]}.old.", dir=out.parent))
        out.rename(old / "old")
    try:
        work.rename(out)
    except OSError:
        if old is not None:
            (old / "old").rename(out)
        raise
    flush(out.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
