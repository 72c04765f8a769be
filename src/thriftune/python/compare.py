"""`compare` and `estimate` of whatever holds data: studies, files, tables in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from thriftune.amounts import parse_bytes
from thriftune.comparison import compare_and_analyse, kept_up
from thriftune.data.readers.plug_ins import scheme_of
from thriftune.errors import InputError
from thriftune.paths import results_folder, user_path
from thriftune.progress import noting
from thriftune.python import frames
from thriftune.python import proposal as proposals
from thriftune.python.proposal import UNNAMED, Asked, MethodLike, Proposed
from thriftune.python.results import Results
from thriftune.python.watching import watched
from thriftune.remote.output import Output, output
from thriftune.remote.reading import study_there
from thriftune.results.prediction import Forecast
from thriftune.results.store import Store
from thriftune.study.crew.ray.settings import RaySettings, settings_of
from thriftune.study.events import Listener, Notice
from thriftune.study.file.config import Study, load_study
from thriftune.study.forecast.estimate import Question
from thriftune.tracking.base import check
from thriftune.tracking.listener import tracked


class PandasFrame(Protocol):
    """A pandas DataFrame: pandas itself is not needed."""

    @property
    def iloc(self) -> Any:
        """Its values by place."""
        ...

    @property
    def columns(self) -> Any:
        """Its columns' names."""
        ...


if TYPE_CHECKING:
    import datasets
    import polars as pl
    import pyarrow as pa

    Frame: TypeAlias = pl.DataFrame | pl.LazyFrame | PandasFrame | pa.Table | pa.RecordBatch | datasets.Dataset
    Data: TypeAlias = Study | Proposed | Path | str | Frame | datasets.DatasetDict | Mapping[str, Frame]

STUDY_FILES = (".yaml", ".yml")


def compare(
    data: Data,
    out: Path | str | None = None,
    listener: Listener | None = None,
    isolate: bool = True,
    *,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    name: str | None = None,
    methods: Sequence[MethodLike] | None = None,
    model: str | Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    workers: int | str = 1,
    processes: int = 1,
    probe: bool = True,
    progress: bool | None = None,
    ray: str | Mapping[str, Any] | RaySettings | None = None,
    track: str | Sequence[str] = (),
) -> Results:
    """Compares fine-tuning methods and returns the results, statistics included; the page is `results.report()`.

    `data` is a study, a study file, an output folder (which goes on), a data file or folder, `demo:NAME`,
    `hub:OWNER/NAME`, a pandas or polars DataFrame, a pyarrow Table, a datasets.Dataset or DatasetDict, or a mapping of
    train, validation and test to tables. What of a study is not said is proposed as `thriftune init` does: `text` (one
    column or two) and `label`, `methods` as in a study file or as instances, `model` (several names are several
    models), `seeds`. `overrides` are keys of the study file: `{"protocol.epochs": 1}`, or texts as `--set` takes them.

    `out` is the folder for everything, `results-NAME` where none is given. Tables in memory are written into it, so
    that the study file there says it all; the same call, or `thriftune compare OUT`, goes on with the study. `only` and
    `without` name runs; `workers` are made at once (a number, or "auto"), and `processes` train each run together. Each
    run executes in a process of its own, or in this one without `isolate`. `listener` is told of every event;
    `progress` shows them here, by default in notebooks and on terminals. `probe`: whether this machine may be timed,
    for seconds, once, to say how long the study takes. `out` may be a URL (`s3://BUCKET/FOLDER`): the results are then
    in a copy here and there. `track` names trackers: wandb, mlflow, tensorboard, trackio. `ray`: the cluster that makes
    the runs, as `--ray` takes it, or with more settings:
    `{"address": "auto", "threads": 4, "retries": 3, "wait_seconds": 30}`.

    Raises `InputError` before anything is trained where the data, or no run at all, can be used. An interrupt keeps
    what is done.
    """
    _only_first()
    cluster = None if ray is None else settings_of(ray)
    if cluster is not None and workers != 1:
        raise InputError("workers shares out this machine, ray a cluster: give one of them.")
    asked = Asked(text=text, label=label, name=name, methods=methods, model=model, seeds=seeds, overrides=overrides)
    trackers = check([track] if isinstance(track, str) else track)
    if isinstance(data, str | Path) and (there := study_there(data)) is not None:
        data, out = there.here, out or there.out
    means: dict[str, Any] = {"workers": workers, "processes": processes, "ray": cluster}
    with watched(listener, progress) as heard, _output(out, heard) as place:
        study, folder = _study(data, None if place is None else place.path, asked, probe, heard)
        told = heard if place is None else kept_up(place, heard)
        with tracked(trackers, study.name, folder, told) as listening:
            analysis = compare_and_analyse(study, folder, listening, isolate, only=only, without=without, **means)
            if trackers or (place is not None and place.elsewhere):
                from thriftune.report.render import write_page

                listening.report(write_page(analysis))
        if place is not None and (said := place.push()) is not None and heard is not None:
            heard(Notice(said))
        found = Results.of(analysis.results)
        found.analysis = analysis
        return found


@contextmanager
def _output(out: Path | str | None, listener: Listener | None) -> Iterator[Output | None]:
    """The folder that is given, as a path here; None where none is."""
    if out is None:
        yield None
        return
    with output(out, noting(listener or (lambda event: None))) as place:
        yield place


def _only_first() -> None:
    """Of the processes that torchrun has started the first goes on; the others serve its study, and end with it."""
    from thriftune.study.run.team.serving import serve_studies
    from thriftune.study.run.team.torchrun import launched

    if (launch := launched()) is not None and launch.rank:
        serve_studies(launch)
        raise SystemExit(0)


def propose(
    data: Data,
    out: Path | str | None = None,
    *,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    name: str | None = None,
    methods: Sequence[MethodLike] | None = None,
    model: str | Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    probe: bool = True,
) -> Proposed:
    """The study that `compare` would make of the same arguments, with the reasons; nothing is trained.

    Tables in memory are written into `out`, where `compare` then takes them from. Raises `InputError` as `compare`.
    """
    asked = Asked(text=text, label=label, name=name, methods=methods, model=model, seeds=seeds, overrides=overrides)
    if isinstance(data, Study | Proposed) or _is_study(data):
        raise InputError("This is a study already, so there is nothing to propose; load_study reads it.")
    _check(data)
    return proposals.propose(data, asked, None if out is None else Path(out), probe)


class Estimates(list[Forecast]):
    """What every method of a study would cost; a notebook shows it as a table."""

    def table(self) -> pl.DataFrame:
        """One row per method: seconds, bytes and counts, all of them predicted; null where one is not known."""
        import polars as pl

        return pl.DataFrame([_row(each) for each in self], infer_schema_length=None)

    def _repr_html_(self) -> str:
        from thriftune.report.forecast import remarks, rows
        from thriftune.report.inline import listed, table

        return table(rows(self)) + listed(remarks(self))


def estimate(
    study: Data,
    question: Question | None = None,
    report: Callable[[str], None] = lambda text: None,
    *,
    memory: str | int | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    probe: bool = True,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    methods: Sequence[MethodLike] | None = None,
    model: str | Sequence[str] | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
) -> Estimates:
    """What each method that trains a transformer would cost, before any weight is loaded.

    `study` is whatever `compare` takes; nothing is written. `memory` ("8GB", or bytes) asks what fits, `device` names
    another one (h100), `batch_size` another batch; a `question` asks everything at once instead. `report` is told what
    is being done, and what cannot be estimated. Raises `InputError` where nothing can be.
    """
    from thriftune.study.forecast import estimate as forecast

    if question is None:
        limit = parse_bytes(memory) if isinstance(memory, str) else memory
        question = Question(
            memory_bytes=None if limit is None else int(limit), device=device, batch_size=batch_size, probe=probe
        )
    elif (memory, device, batch_size) != (None, None, None):
        raise InputError("A question is given, so memory, device and batch_size belong into it.")
    asked = Asked(text=text, label=label, methods=methods, model=model, overrides=overrides)
    with TemporaryDirectory(prefix="thriftune-estimate-") as folder:
        found, _ = _study(study, Path(folder) / "out", asked, probe, lambda event: None)
        return Estimates(forecast.estimate(found, question, report))


def _row(each: Forecast) -> dict[str, Any]:
    predicted = each.predicted
    times = (predicted.train_seconds, predicted.prefix_seconds)
    return {
        "method": each.name,
        "model": each.model,
        "batch_size": each.batch_size,
        "seconds": None if times[0] is None or times[1] is None else times[0] + times[1],
        "memory_bytes": predicted.peak_memory_bytes,
        "stored_bytes": predicted.stored_bytes,
        "trained_parameters": predicted.trained_parameters,
        "fits": each.fits,
        "largest_batch_size": each.largest_batch_size,
    }


def _study(data: Any, out: Path | None, asked: Asked, probe: bool, listener: Listener | None) -> tuple[Study, Path]:
    """The study that is meant, and its output folder."""
    if isinstance(data, Proposed):
        data = data.study
    if isinstance(data, Study):
        study = proposals.changed(data, asked)
        return study, out or results_folder(study.name)
    if _is_study(data):
        path = user_path(str(data))
        inside = Store(path).study_path if path.is_dir() else path
        study = proposals.changed(load_study(inside), asked)
        return study, out or (path if path.is_dir() else results_folder(study.name))
    _check(data)
    return _proposed(data, out, asked, probe, listener)


def _proposed(data: Any, out: Path | None, asked: Asked, probe: bool, listener: Listener | None) -> tuple[Study, Path]:
    def say(line: str) -> None:
        if listener is not None:
            listener(Notice(line))

    in_memory = frames.is_frame(data)
    if in_memory:
        found = frames.tables(data, [*asked.columns, *([asked.label] if asked.label else [])])
        out = out or results_folder(asked.name or found.name or UNNAMED)
        source = proposals.written(found, out).name
    else:
        source = str(data)
    if out is not None and (before := proposals.earlier(asked, source, out)) is not None:
        return before, out
    made = proposals.propose(data, asked, out, probe, say)
    for line in [*made.reasons, *(f"! {warning}" for warning in made.warnings)]:
        say(line)
    if made.problem is not None:
        raise InputError(made.problem)
    out = out or results_folder(made.study.name)
    if (before := proposals.earlier(asked, source, out)) is not None:
        return before, out
    proposals.remember(asked, source, out)
    return made.study, out


def _is_study(data: object) -> bool:
    """Whether it names a study file, or an output folder with one."""
    if not isinstance(data, str | Path) or scheme_of(str(data)):
        return False
    path = user_path(str(data))
    return (path.suffix in STUDY_FILES and not path.is_dir()) or (path.is_dir() and Store(path).study_path.is_file())


def _check(data: object) -> None:
    if not (isinstance(data, str | Path) or frames.is_frame(data)):
        raise InputError(f"A {type(data).__name__} is given; give {frames.WANTED}.")
