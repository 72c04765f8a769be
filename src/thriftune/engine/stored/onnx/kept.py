"""ONNX graphs of stored transformers, kept in the cache folder under a hash of what they compute."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.endings import starting
from thriftune.engine.stored.onnx import make
from thriftune.folders import cache_folder, is_private
from thriftune.results.files import sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from thriftune.engine.stored.transformer import Transformer

GRAPH, NOTE = "model.onnx", "files.json"
MOST = 10
"""Graphs that are kept; those unused for longest go."""
ABANDONED_SECONDS = 3600.0
"""A graph that is being made changes all the time; what is untouched for so long was left by a process that died."""
FORMAT = 1
"""Raised where graphs of the same model come to be made in another way."""
CODE = "import json, sys; job = json.load(sys.stdin); sys.path[:] = job['path']; import {0}; {0}.main(job)"


class MakeError(Exception):
    """There is no graph of a model; says why."""


def graph_of(model: Transformer, folder: Path, say: Callable[[str], None]) -> Path:
    """The file of a transformer's fp32 graph, made in a process of its own where it is not kept or is damaged.

    `folder` holds the stored model. Of several processes that want the same graph one makes it. Raises `MakeError`
    where there can be none.
    """
    from filelock import FileLock

    place = cache_folder() / "onnx" / key_of(model)
    if is_sound(place):  # also in a folder that cannot be written to
        with suppress(OSError):
            os.utime(place / NOTE)
        return place / GRAPH
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.parent / f"{place.name}.lock", mode=0o600):
            if not is_sound(place):
                if place.exists():
                    say(f"{place} is damaged; the ONNX graph is made anew.")
                    _remove(place)
                _make(folder, place, say)
    except OSError as error:
        raise MakeError(f"{place.parent} cannot be written to ({error.strerror or error})") from error
    _tidy(place)
    return place / GRAPH


def key_of(model: Transformer) -> str:
    """A hash of a transformer's weights, architecture and reading, and of what its graph is made with."""
    network = model.network
    versions = [importlib.metadata.version(name) for name in ("torch", "transformers", "onnx", "onnxscript")]
    config = network.config.to_dict()
    about = [FORMAT, versions, config, asdict(model.reader.usage), list(network.labels)]
    made = hashlib.blake2b(json.dumps(about, sort_keys=True, default=str).encode(), digest_size=16)
    for name, tensor in sorted(network.root.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        made.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        made.update(_bytes(plain))
    return made.hexdigest()


def _bytes(tensor: Any) -> Any:
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy()


def is_sound(place: Path) -> bool:
    """Whether a kept graph is whole, this user's own, and what was written."""
    try:
        note = json.loads((place / NOTE).read_text(encoding="utf-8"))
        named = {str(name): str(digest) for name, digest in note.items()}
        return is_private(place) and GRAPH in named and all(sha256(place / name) == named[name] for name in named)
    except (OSError, ValueError, AttributeError):
        return False


def _make(folder: Path, place: Path, say: Callable[[str], None]) -> None:
    """Makes a graph beside its place, and moves it there when it is whole."""
    say("Making an ONNX graph of the model, once.")
    made = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=place.parent))
    try:
        job = {"path": sys.path, "folder": str(folder.absolute()), "graph": str(made / GRAPH)}
        failed = _in_a_process(job)
        if failed is None and not (made / GRAPH).is_file():
            failed = "nothing was written"
        if failed is not None:
            raise MakeError(failed)
        note = {path.name: sha256(path) for path in sorted(made.iterdir())}
        (made / NOTE).write_text(json.dumps(note), encoding="utf-8")
        made.replace(place)
    finally:
        _remove(made)


def _in_a_process(job: dict[str, Any]) -> str | None:
    """Why no graph was made, None where one was; torch's exporters take memory that this process shall not keep."""
    command = [sys.executable, "-W", "ignore", "-c", CODE.format(make.__name__)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with starting():
        process = subprocess.Popen(command, text=True, errors="replace", **pipes)  # noqa: S603 - this Python, our code
    try:
        said, complaint = process.communicate(json.dumps(job))
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode == 0:
        return None
    if process.returncode == make.CANNOT:
        return str(said).strip()
    last = (complaint.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
    return f"making its graph failed: {last[:300]}"


def _tidy(own: Path) -> None:
    """Lets the graphs go that were unused for longest, and what dead processes left."""
    now = time.time()
    with suppress(OSError):
        for left in own.parent.glob(".*.tmp"):
            if now - left.stat().st_mtime > ABANDONED_SECONDS:
                _remove(left)
        kept = sorted((each for each in own.parent.iterdir() if (each / NOTE).is_file()), key=_used)
        for old in kept[: max(0, len(kept) - MOST)]:
            if old != own:
                _remove(old)


def _used(place: Path) -> float:
    return (place / NOTE).stat().st_mtime


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
