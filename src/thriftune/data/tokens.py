"""Texts as token ids, packed without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from thriftune.data.large.arrays import Growing
from thriftune.data.plain_tokenizer import plain_tokenizer
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    import tokenizers

Pair = Literal["segments", "one_segment"]
Texts: TypeAlias = "Sequence[str] | pl.Series"

_CHUNK = 8192
_Encoded = tuple[list[int], list[int], bool]
"""Ids, token types and whether the text was cut."""


@dataclass(frozen=True)
class Tokens:
    """The token ids of many texts, one after another: text i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: npt.NDArray[np.int32]
    """(tokens,), special tokens included."""
    types: npt.NDArray[np.uint8] | None
    """(tokens,) segment of each token; None for models without token types."""
    offsets: npt.NDArray[np.int64]
    """(texts + 1,), from 0 to the number of tokens."""
    truncated: int
    """How many texts were cut to fit."""

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(texts,) tokens in each text."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def save(self, folder: Path) -> None:
        """Writes ids.npy, offsets.npy, truncated.npy and, where there are types, types.npy."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "ids.npy", self.ids)
        np.save(folder / "offsets.npy", self.offsets)
        np.save(folder / "truncated.npy", np.int64(self.truncated))
        (folder / "types.npy").unlink(missing_ok=True)
        if self.types is not None:
            np.save(folder / "types.npy", self.types)

    @classmethod
    def load(cls, folder: Path, mmap: bool = False) -> Tokens:
        """Reads what `save` wrote; with `mmap` the arrays stay on disk, read-only."""

        def read(name: str) -> Any:
            return np.load(folder / f"{name}.npy", mmap_mode="r" if mmap else None, allow_pickle=False)

        return cls(
            ids=read("ids"),
            types=read("types") if (folder / "types.npy").exists() else None,
            offsets=read("offsets"),
            truncated=int(np.load(folder / "truncated.npy", allow_pickle=False)),
        )


@dataclass(frozen=True)
class Join:
    """How two texts become one segment: before, first text, separator, second text, after."""

    before: tuple[int, ...]
    separator: int
    after: tuple[int, ...]
    room: int
    """The most tokens between `before` and `after`."""
    side: Literal["right", "left"]
    """Where what is too long is cut."""

    @classmethod
    def of(cls, tokenizer: Any, plain: tokenizers.Tokenizer, max_tokens: int) -> Join:
        """The tokenizer's own template of one text; raises `InputError` where it has no separator."""
        before, after = _single_template(plain)
        room = max_tokens - len(before) - len(after)
        if (separator := tokenizer.sep_token_id) is None:
            name = type(tokenizer).__name__
            raise InputError(f"The tokenizer {name} has no separator token. Set data.pair to segments.")
        return cls(tuple(before), int(separator), tuple(after), room, tokenizer.truncation_side)

    def __call__(self, first: list[int], second: list[int]) -> list[int]:
        """The ids of a pair from those of its texts."""
        body = [*first, self.separator, *second]
        return [*self.before, *(body[: self.room] if self.side == "right" else body[-self.room :]), *self.after]


def encode(
    tokenizer: Any, texts: Sequence[Texts], max_tokens: int, pair: Pair = "segments", *, token_types: bool
) -> Tokens:
    """Encodes texts as a transformers fast tokenizer would, at most `max_tokens` each.

    `texts` holds one list per text column (or a polars column, of which no more than some thousand texts are in memory
    at once), one column or two, all of one length. Pairs as `segments` follow the
    tokenizer's own pair template and are cut longest first; as `one_segment` they become first text, separator
    token, second text in the single-text template, types 0. All are cut on the tokenizer's own `truncation_side`.
    Structural special tokens written in a text stay text. Raises `InputError` where `max_tokens` leaves no room for
    text, or the tokenizer has no fast backend or no separator.
    """
    _check_columns(texts)
    plain = plain_tokenizer(tokenizer)
    joined = len(texts) == 2 and pair == "one_segment"
    special = plain.num_special_tokens_to_add(len(texts) == 2 and not joined) + joined
    if max_tokens <= special:
        raise InputError(f"max_tokens {max_tokens} leaves no room for text: {special} are special tokens. Raise it.")
    if joined:
        join = Join.of(tokenizer, plain, max_tokens)
        rows = _joined_rows(plain, texts, join)
    else:
        plain.enable_truncation(max_tokens, strategy="longest_first", direction=tokenizer.truncation_side)
        rows = _rows(plain, texts)
    return _pack(rows, token_types)


def _check_columns(texts: Sequence[Texts]) -> None:
    if len(texts) not in (1, 2):
        raise ValueError(f"{len(texts)} text columns are given, one or two are encoded")
    if len({len(column) for column in texts}) > 1:
        raise ValueError(f"text columns differ in length: {[len(column) for column in texts]}")


def _rows(plain: tokenizers.Tokenizer, texts: Sequence[Texts]) -> Iterator[_Encoded]:
    """Each text or pair through the tokenizer's own template and truncation."""
    for start in range(0, len(texts[0]), _CHUNK):
        columns = [_part(column, start) for column in texts]
        batch: Any = list(zip(*columns, strict=True)) if len(columns) == 2 else columns[0]
        for encoding in plain.encode_batch_fast(batch):
            yield encoding.ids, encoding.type_ids, bool(encoding.overflowing)


def _part(column: Texts, start: int) -> list[str]:
    """Some texts of a column, from the `start`th on."""
    part: Any = column[start : start + _CHUNK]
    return list(part) if isinstance(column, Sequence) else part.to_list()


def _joined_rows(plain: tokenizers.Tokenizer, texts: Sequence[Texts], join: Join) -> Iterator[_Encoded]:
    """Each pair as one text: template start, first text, separator, second text, template end."""
    first, second = texts
    for start in range(0, len(first), _CHUNK):
        batches = (_part(column, start) for column in (first, second))
        encoded = (plain.encode_batch_fast(batch, add_special_tokens=False) for batch in batches)
        for a, b in zip(*encoded, strict=True):
            ids = join(a.ids, b.ids)
            yield ids, [0] * len(ids), len(a.ids) + 1 + len(b.ids) > join.room


def _single_template(plain: tokenizers.Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that stand before and after a single text."""
    probe = plain.encode("a")
    text = [i for i, sequence in enumerate(probe.sequence_ids) if sequence is not None]
    return probe.ids[: text[0]], probe.ids[text[-1] + 1 :]


def _pack(rows: Iterator[_Encoded], token_types: bool) -> Tokens:
    # They grow in place at 4 bytes a token, where a list would hold an object for each; many go to a file as they come.
    ids, types, offsets = Growing(np.int32), Growing(np.uint8), Growing(np.int64)
    offsets.extend([0])
    truncated = 0
    for row_ids, row_types, cut in rows:
        ids.extend(row_ids)
        if token_types:
            types.extend(row_types)
        offsets.extend((len(ids),))
        truncated += cut
    return Tokens(
        ids=ids.finished(),
        types=types.finished() if token_types else None,
        offsets=offsets.finished(),
        truncated=truncated,
    )
