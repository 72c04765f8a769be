"""Reads text files without columns: `__label__` lines (fastText), and lines that start with their label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from thriftune.data.readers.content import Content
from thriftune.data.table import ReadOptions, SourceTable, text_table
from thriftune.errors import InputError

_PREFIX = "__label__"
_COARSE = re.compile(r"[A-Za-z]\w*:[\w-]+")
_TOKEN = re.compile(r"[\w:&/+.-]+")
_FUNCTION_WORDS = frozenset(
    """
    a an the this that these those i you he she it we they my your his her our their what which who whom whose
    where when why how is are was were am be do does did have has had can could will should may might in on at
    by for from of to with as if but and or not no there here please
    """.split()  # noqa: SIM905
)
_MOST = 200
_REPEATS = 5


def is_fasttext(content: Content) -> bool:
    """Whether the first line that is not blank starts with `__label__`."""
    with content.lines(content.line_end()) as file:
        return next((line for line in file if line.strip()), "").lstrip().startswith(_PREFIX)


def read_fasttext(content: Content, reading: ReadOptions) -> SourceTable:
    """Columns label and text of lines such as `__label__pos a fine film`.

    Raises `InputError` for a line with several labels.
    """
    labels: list[str | None] = []
    texts: list[str] = []
    for line, text in _lines(content):
        words = text.split()
        found = [word for word in words if word.startswith(_PREFIX) and word != _PREFIX]
        if len(set(found)) > 1:
            shown = " and ".join(word.removeprefix(_PREFIX) for word in found[:2])
            raise InputError(
                f"{content.path}, line {line} has several labels ({shown}): that is multi-label data. Thriftune "
                "compares classifiers with one label a text; leave one label in each line."
            )
        labels.append(found[0].removeprefix(_PREFIX) if found else None)
        texts.append(_after(text, words, found))
    note = f'{content.path.name} has {_PREFIX} lines (fastText): the columns are "label" and "text".'
    return text_table({"label": labels, "text": texts}, reading, str(content.path), (*content.notes, note))


def read_first_word(content: Content, reading: ReadOptions, *, coarse: bool) -> SourceTable | None:
    """Columns label and text of lines whose first word is a label; None where the first words are not labels.

    With `coarse`, labels such as DESC:manner (question types), which give a column "coarse" with the part before the
    colon besides; without, words of any form that are few and repeat.
    """
    lines = [text for _, text in _lines(content)]
    words = [text.split(maxsplit=1)[0] for text in lines]
    if coarse and not all(_COARSE.fullmatch(word) for word in words):
        return None
    if coarse and not _are_labels([word.split(":")[0] for word in words]):
        return None
    if not coarse and (not _are_labels(words) or _start_sentences(words, lines)):
        return None
    columns = {
        "label": words,
        "text": [text.removeprefix(word).strip() for word, text in zip(words, lines, strict=True)],
    }
    note = f'{content.path.name} has no columns; the first word of each line is its "label", the rest its "text".'
    if coarse:
        columns["coarse"] = [word.split(":")[0] for word in words]
        note += ' "coarse" is the part of the label before the colon.'
    return text_table(columns, reading, str(content.path), (*content.notes, note))


def read_last_part(content: Content, reading: ReadOptions) -> SourceTable | None:
    """Columns text and label of lines such as `Profit rose to 9 million .@positive`; None where lines do not end so."""
    lines = [text.rpartition("@") for _, text in _lines(content)]
    if not all(mark and text.strip() for text, mark, _ in lines) or not _are_labels([label for *_, label in lines]):
        return None
    columns = {"text": [text.strip() for text, *_ in lines], "label": [label for *_, label in lines]}
    note = f'{content.path.name} has no columns; what follows the last @ of each line is its "label".'
    return text_table(columns, reading, str(content.path), (*content.notes, note))


def _lines(content: Content) -> Iterator[tuple[int, str]]:
    with content.lines(content.line_end()) as file:
        for line, text in enumerate(file, start=1):
            if text.strip():
                yield line, text.strip()


def _after(text: str, words: list[str], found: list[str]) -> str:
    """The text without its label; blanks inside stay where the label comes first."""
    if not found:
        return text
    if words[0] == found[0]:
        rest = text.removeprefix(found[0]).strip()
        return rest if found.count(found[0]) == 1 else " ".join(word for word in words if word != found[0])
    return " ".join(word for word in words if word != found[0])


def _are_labels(words: list[str]) -> bool:
    """Whether first words are labels: few, so that each stands in several lines."""
    counts = Counter(words)
    few = 2 <= len(counts) <= min(_MOST, max(len(words) // _REPEATS, 2))
    return few and len(words) > len(counts) and all(_TOKEN.fullmatch(word) for word in counts)


def _start_sentences(words: list[str], lines: list[str]) -> bool:
    """Whether first words are rather those of the sentences: "What", "the", or capitals before a line in small letters.

    A text without labels whose lines start alike would else be read as labelled.
    """
    counts = Counter(words)
    function = sum(word.lower() in _FUNCTION_WORDS for word in counts)
    if min(counts.values()) < 2 or function > 0.2 * len(counts):
        return True
    if not all(word.istitle() for word in counts):
        return False
    rests = [line[len(word) :].strip()[:1] for word, line in zip(words, lines, strict=True)]
    return sum(rest.islower() for rest in rests) > 0.2 * len(rests)
