"""A data file's study file: written where there is none, gone on with where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from thriftune.cli.output import working
from thriftune.errors import InputError, printable
from thriftune.paths import check_new_file, source_name, status, user_path

if TYPE_CHECKING:
    from thriftune.study.file.config import Study

STUDY_ENDINGS = (".yaml", ".yml")


def is_data(source: str) -> bool:
    """Whether what `compare` was given is data (a file by its ending, a folder, hub:, demo: ...) and no study file."""
    from thriftune.data.readers.formats import is_data_file
    from thriftune.data.readers.plug_ins import scheme_of

    path = user_path(source)
    if path.suffix.lower() in STUDY_ENDINGS and not path.is_dir():
        return False
    if scheme_of(source) is not None and status(path) is None:
        return True
    return path.is_dir() or is_data_file(path)


def is_results(folder: Path) -> bool:
    """Whether a folder is one that `compare` wrote, with the study file to go on with."""
    from thriftune.results.store import Store

    store = Store(folder)
    return store.results_path.is_file() or (store.study_path.is_file() and store.runs_path.is_dir())


def study_of(source: str, out: Path | None, text: Sequence[str], label: str | None, probe: bool = True) -> Path:
    """The study file for a data source: the one that is there, as it is, or a new one.

    Raises `InputError` where the one that is there is about other data, or has other columns than those named.
    """
    path = out or Path(f"{source_name(source)}.yaml")
    if status(user_path(str(path))) is None and not path.is_symlink():
        write_study(source, path, text, label, probe, warn=False)  # compare says the same of the data
        typer.echo(f"Wrote {path}: edit it and repeat the command to compare otherwise.")
        return path
    from thriftune.study.file.config import load_study

    study = load_study(path)
    another = "Name another study file: thriftune init FILE --run --out OTHER.yaml --results FOLDER"
    if not _is_about(study, source):
        raise InputError(f"{path} is there already and is about other data ({study.data.source}). {another}")
    differs = [f"the text {', '.join(study.data.text)}"] if text and tuple(text) != study.data.text else []
    differs += [f"the label {study.data.label}"] if label and label != study.data.label else []
    if differs:
        raise InputError(f"{path} is there already and has {' and '.join(differs)}. Edit or remove it. {another}")
    typer.echo(f"{path} is there already: going on with it as it is.")
    return path


def write_study(
    source: str, path: Path, text: Sequence[str], label: str | None, probe: bool, warn: bool = True
) -> None:
    """Writes a study file that fits some data, and says what was guessed and how long it will take.

    Raises `InputError` where the file exists, or the data cannot be read.
    """
    from thriftune.data.guess.inspect import guess
    from thriftune.results.files import write_text
    from thriftune.study.proposal.draft import MODEL, draft
    from thriftune.study.proposal.max_tokens import token_room
    from thriftune.study.proposal.propose import initial

    check_new_file(path)
    guessed = guess(source, text, label)
    space = token_room(guessed.texts, MODEL)
    proposal = initial(guessed, space, MODEL, probe, working)
    try:
        write_text(path, draft(guessed, space, proposal, source_name(source), path.resolve().parent))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}). Name another file with --out.") from error
    for reason in [*guessed.reasons, space.reason, *proposal.reasons]:
        typer.echo(f"- {printable(reason)}")
    for warning in guessed.warnings if warn else ():
        typer.echo(f"! {printable(warning.text)}")
    if guessed.problem:
        typer.echo(f"! As they are, compare refuses these data: {printable(guessed.problem)}")


def _is_about(study: Study, source: str) -> bool:
    """Whether a study reads a source: it, a folder of it, or one of its splits."""
    from thriftune.data.readers.plug_ins import scheme_of

    given = study.data.source
    named = [given] if isinstance(given, str) else list(given.values())
    if scheme_of(source) is not None:
        return source in named
    wanted = user_path(source).resolve()
    read = {(study.folder / user_path(each)).resolve() for each in named if scheme_of(each) is None}
    return wanted in read or (wanted.is_dir() and bool(read) and all(wanted in each.parents for each in read))
