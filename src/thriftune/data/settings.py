"""The `data:` part of a study file."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

from thriftune.settings import LARGEST_SEED, Settings, setting


@dataclass(frozen=True, kw_only=True)
class SplitSettings(Settings):
    """How splits that the source lacks are carved from train; shares are of the rows split."""

    test: float = setting(0.0, help="share of the rows that becomes the test split", minimum=0, below=1)
    validation: float = setting(0.0, help="share of the rows that becomes the validation split", minimum=0, below=1)
    stratify: bool = setting(True, help="keep the label shares equal across splits (not with group_by)")
    column: str | None = setting(
        None, help="column of the file that says each row's split: train, validation (dev, val, valid) or test"
    )
    group_by: str | None = setting(None, help="column whose equal values stay in one split, for example premise")
    seed: int = setting(42, help="seed of the random split", minimum=0, maximum=LARGEST_SEED)

    def problems(self) -> list[tuple[str, str]]:
        """Shares must leave rows to train on."""
        if self.test + self.validation >= 1:
            return [("test", f"test {self.test} + validation {self.validation} leaves no rows to train on")]
        return []


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """Where the texts and labels come from."""

    source: str | dict[str, str] = setting(
        help="demo:NAME, hub:OWNER/NAME, a file or folder, or one of these per split: {train: a.csv, test: b.csv}"
    )
    text: tuple[str, ...] = setting(help="the text column, or two for pairs")
    label: str = setting("label", help="the label column")
    labels: dict[str, str | int | None] = setting(
        factory=dict, help="other names for labels as written, {Pos: pos} merges the two; null leaves their rows out"
    )
    pair: Literal["segments", "one_segment"] = setting(
        "segments", help="pairs as the model was pretrained (segments), or one text joined by the separator token"
    )
    keep: tuple[str, ...] = setting((), help="further columns to carry into test.parquet")
    group: str | None = setting(
        None,
        help="column whose equal values belong together (premise, author): intervals count them, not single texts; "
        "null: the split's group_by",
    )
    split: Literal["given"] | SplitSettings = setting(
        "given", help="use the source's splits, or how to make those that it lacks"
    )
    encoding: str = setting(
        "auto", help="how text files are encoded (utf-8, cp1252, utf-16, gb18030, ...); auto finds it from the bytes"
    )
    header: Literal["auto", "yes", "no"] = setting(
        "auto", help="whether the first row of csv, tsv, txt and xlsx files names the columns; auto looks at the rows"
    )
    deduplicate: bool = setting(
        False,
        help="leave out of train what test or validation holds and repeated texts, out of validation what test holds",
    )
    limit: dict[str, int] = setting(
        factory=dict,
        help="at most so many rows per split, drawn at random, in train of every class one at least: {train: 3000}",
    )

    @property
    def grouping(self) -> str | None:
        """The column whose equal values belong together; None where single texts count."""
        if self.group is not None:
            return self.group
        return self.split.group_by if isinstance(self.split, SplitSettings) else None

    @property
    def carried(self) -> tuple[str, ...]:
        """The further columns that every split carries where it has them: `keep`, and the grouping column."""
        there = (None, *self.text, *self.keep)
        return self.keep if self.grouping in there else (*self.keep, str(self.grouping))

    def problems(self) -> list[tuple[str, str]]:
        """One or two text columns, labels that are no blanks, positive limits of known splits, a known encoding."""
        found = []
        if not _is_encoding(self.encoding):
            found.append(("encoding", f'"{self.encoding}" is no text encoding; give auto, utf-8, cp1252, utf-16, ...'))
        if not 1 <= len(self.text) <= 2:
            found.append(("text", f"{len(self.text)} columns are given; give one, or two for pairs"))
        for label, name in self.labels.items():
            if not str(label).strip() or (isinstance(name, str) and not name.strip()):
                found.append((f"labels.{label}", "a blank label is given; null leaves the rows of a label out"))
        for split, count in self.limit.items():
            if split not in SPLITS:
                found.append((f"limit.{split}", f"unknown split; known: {', '.join(SPLITS)}"))
            elif count < 1:
                found.append((f"limit.{split}", f"{count} is given, it must be at least 1"))
        return found


_NOT_OF_FILES = ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined")
SPLITS = ("train", "validation", "test")


def _is_encoding(name: str) -> bool:
    """Whether Python knows a text encoding under this name, of a kind that files have."""
    if name == "auto":
        return True
    try:
        found = codecs.lookup(name).name
        written = "a,b\n".encode(found).decode(found)
    except (LookupError, UnicodeError, ValueError, TypeError):
        return False
    return written == "a,b\n" and found.replace("-", "_") not in _NOT_OF_FILES
