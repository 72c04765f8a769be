"""How large the output of frozen layers will be that a study keeps on disk, before it is made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thriftune.errors import InputError
from thriftune.methods.base import TransformerMethod
from thriftune.study.file.plan import PlannedRun
from thriftune.study.run.job import Job
from thriftune.wording import first_of, size

if TYPE_CHECKING:
    from thriftune.data.tokens import Tokens

MOST_KINDS = 30
"""Of more kinds of runs nothing is said: looking at each model's shapes would keep the first run waiting."""
SHOWN = 3


@dataclass(frozen=True)
class Cut:
    """Which frozen layers of a run run once, and what one text leaves."""

    layers: int
    per_text: bool
    """Whether one vector is kept of each text, rather than of each token."""
    row_bytes: int
    """Of train, which may be rounded."""
    whole_row_bytes: int
    """Of the other splits."""

    def bytes_of(self, tokens: float, texts: int, split: str) -> int:
        """What so many texts of a split, of so many tokens together, take."""
        row = self.row_bytes if split == "train" else self.whole_row_bytes
        return int(row * (texts if self.per_text else tokens))


@dataclass(frozen=True)
class Kept:
    """What the runs of a study keep together, each output once."""

    bytes: int
    folder: Path
    limit: int
    too_large: dict[str, int]
    """Bytes of the runs whose output alone has no room, by name: their frozen layers run in every step."""
    room: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        said = []
        if self.bytes:
            said.append(
                f"Output of the frozen layers: {size(self.bytes)} on disk in {self.folder} (limit {size(self.limit)})."
            )
        if self.bytes > self.room:
            said.append("It is not all there at once: what was not used for longest makes room.")
        if self.too_large:
            names = first_of([f"{name} ({size(needed)})" for name, needed in self.too_large.items()], SHOWN)
            said.append(
                f"No room for that of {names}, where {size(self.room)} could be had: the frozen layers run in every "
                "step. THRIFTUNE_CACHE_LIMIT allows more, THRIFTUNE_CACHE names another folder, and "
                "protocol.prefix: bf16 halves it."
            )
        return " ".join(said)


def cut_of(run: PlannedRun, folder: Path, labels: tuple[str, ...]) -> Cut | None:
    """Which of a run's layers run once; None where none does, or its method does not fit its model."""
    import torch

    from thriftune.data.tokens import Tokens
    from thriftune.engine.frozen.layers import has_constant_prefix
    from thriftune.engine.frozen.prefix import prefix_bytes
    from thriftune.models.pretrained.load import skeleton

    if not isinstance(run.method, TransformerMethod):
        return None
    try:
        shapes = skeleton(folder, labels, run.head, run.model, "cpu" if run.method.reads_weights else "meta")
        run.method.apply(shapes, torch.Generator().manual_seed(run.seed))
    except InputError:
        return None
    if not has_constant_prefix(shapes, run.protocol):
        return None
    two = Tokens(np.zeros(2, dtype=np.int32), None, np.array([0, 2]), 0)  # one text of two tokens
    per_text = shapes.cut == len(shapes.layers)
    rows = 1 if per_text else 2
    kept, whole = prefix_bytes(shapes, two, run.protocol.prefix), prefix_bytes(shapes, two)
    return Cut(shapes.cut or 0, per_text, kept // rows, whole // rows)


def kept_output(jobs: Sequence[Job]) -> Kept | None:
    """What the runs to be made keep; None where they keep nothing, or are too many to look at."""
    from thriftune.data.tokens import Tokens
    from thriftune.engine.frozen.cache import PrefixCache

    cuts: dict[str, Cut | None] = {}
    counts: dict[Path, Tokens] = {}
    sizes: dict[tuple[str, ...], int] = {}
    too_large: dict[str, int] = {}
    cache, room = PrefixCache.of_user(), 0
    tuned = [job for job in jobs if job.model is not None and isinstance(job.planned.method, TransformerMethod)]
    for job in tuned:
        run = job.planned
        key = json.dumps([run.model, run.method.flat(), asdict(run.head), run.protocol.prefix], default=str)
        if key not in cuts and len(cuts) == MOST_KINDS:
            return None
        if key not in cuts:
            assert job.model is not None
            cuts[key] = cut_of(run, job.model, job.labels)
        cut = cuts[key]
        if cut is None or run.protocol.frozen_dropout == "on" or run.protocol.padding != "none":
            continue
        room = room or cache.room()
        needed: dict[tuple[str, ...], int] = {}
        for split, path in job.tokens.items():
            if split not in job.robustness:
                tokens = counts.setdefault(path, Tokens.load(path, mmap=True))
                kind = run.protocol.prefix if split == "train" else "fp32"
                part = str(run.model), str(cut.layers), kind, str(path)
                needed[part] = cut.bytes_of(int(tokens.offsets[-1]), len(tokens), split)
        if sum(needed.values()) > room:
            too_large[run.cell] = sum(needed.values())
        else:
            sizes |= needed
    if not sizes and not too_large:
        return None
    assert cache.folder is not None
    return Kept(sum(sizes.values()), cache.folder, cache.limit_bytes, too_large, room)
