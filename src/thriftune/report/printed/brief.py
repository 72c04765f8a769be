"""What the terminal says when a study has finished: the leading methods and at most six lines, about 120 words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from thriftune import wording as f
from thriftune.analysis.findings.answers.cost import cost
from thriftune.analysis.findings.answers.errors import errors
from thriftune.analysis.findings.caution import NO_RANKING, Caution, caution
from thriftune.analysis.findings.decision import Decision, Standing, decide
from thriftune.analysis.findings.threats import OF_RUNS, Threat, threats
from thriftune.paths import named
from thriftune.report.lead import lead, sentences
from thriftune.report.printed.board import LONG, board
from thriftune.results.store import Results

WORDS, WORDS_OF_MANY = 119, 139
"""Of all that is printed; the second for several models, whose names are longer, and for more than `FEW` methods."""
FEW = 9
ROWS = 12
"""Methods that the table holds at most; `--verbose` shows every run."""
LEAST = 3
"""Methods that it holds whatever the lines take."""
BEFORE_COSTS = 4
"""Methods that it holds before costs are said in a line of their own."""
HEAD = 11
"""Words of the table's headings."""
OTHERS = 6
"""Words of "and 3 more: --verbose" and of the report's path."""


@dataclass(frozen=True)
class Line:
    """One of the six."""

    name: str
    text: str
    command: bool = False
    """Whether the text is to be copied, and must not be wrapped."""

    @property
    def said(self) -> str:
        """As it is printed: what to take is a sentence of its own."""
        return self.text if self.name == "Take" else f"{self.name}: {self.text}"

    @property
    def words(self) -> int:
        """How many it has."""
        return len(self.said.split())


@dataclass(frozen=True)
class Brief:
    """All of it, but for the report's path."""

    rows: list[dict[str, str]]
    """One per method: short heading to value."""
    more: str | None
    """How many methods the table does not hold; None where it holds all."""
    lines: list[Line]


def brief(results: Results) -> Brief:
    """The lines by what they are worth, then as many of the methods as there is room for."""
    decision = decide(results)
    models = {run.model for run in results.runs} - {None}
    most = WORDS_OF_MANY if len(models) > 1 or len(decision.standings) > FEW else WORDS
    found = [replace(each, text=_named_shortly(decision, f.plain(each.text))) for each in _lines(results, decision)]
    table = board(decision, decision.standings)
    least = sum(_words(row) for row in table[:LEAST])
    left = most - HEAD - OTHERS - least - sum(each.words for each in found)
    for each in _further(results, decision):
        if each.name == "Cost":  # the table has costs too
            more = min(max(0, left), sum(_words(row) for row in table[LEAST:BEFORE_COSTS]))
            left, least = left - more, least + more
        shorter = replace(each, text=_named_shortly(decision, f.plain(each.text)))
        here = next((i for i, line in enumerate(found) if line.name == each.name), None)
        further = shorter.words - (0 if here is None else found[here].words)
        if further > left:
            continue
        left -= further
        if here is not None:
            found[here] = shorter
        else:
            found.append(shorter)
    shown = _shown(decision, [_words(row) for row in table], left + least)
    rest = len(decision.standings) - len(shown)
    return Brief(board(decision, shown), f"and {rest:,} more: --verbose" if rest else None, _in_order(found))


def _words(row: dict[str, str]) -> int:
    return sum(len(value.split()) for value in row.values())


def _shown(decision: Decision, words: list[int], room: int) -> list[Standing]:
    """The leading methods that there is room for, that to take and the best one without fine-tuning among them."""
    every = decision.standings
    count = next((n for n in range(min(ROWS, len(every)), LEAST, -1) if sum(words[:n]) <= room), LEAST)
    found = every[:count]
    baseline = next((each for each in every if each.baseline and each.place != "not learned"), None)
    for must, place in ((baseline, -1), (decision.taken, -2)):
        if must is not None and must not in found:
            found[place] = must
    return sorted(found, key=every.index)


def _lines(results: Results, decision: Decision) -> Iterator[Line]:
    """What to take, what threatens that, and the next command: never left out."""
    yield Line("Take", lead(decision, short=True))
    careful = caution(results)
    if careful:
        yield Line("Careful", _careful(results, careful))
    folder = shlex.quote(named(results.store.path))
    if careful and careful.command:
        yield Line(f"Next ({careful.time})" if careful.time else "Next", careful.command, command=True)
    elif remedy := first_remedy(results):
        yield Line("Next", remedy)
    elif decision.taken is not None:
        yield Line("Next", f"thriftune predict {folder} new.csv --out labelled.csv", command=True)


def _further(results: Results, decision: Decision) -> Iterator[Line]:
    """What is said where there is room, the more important first; a line of a name that is there takes its place."""
    careful = caution(results)
    severe = _severe(results)
    if careful and careful.command and severe:
        yield Line("Careful", f"{_careful(results, careful)} {severe[0].remedy}")
    if decision.taken is None:
        return
    yield Line("Errors", sentences(errors(results).text)[0])
    yield Line("Cost", re.sub(r"\((\S+) to (\S+)\)", r"(\1–\2)", sentences(cost(results).text)[0]))


def _in_order(found: list[Line]) -> list[Line]:
    order = ("Take", "Careful", "Cost", "Errors")
    return sorted(found, key=lambda each: order.index(each.name) if each.name in order else len(order))


def first_remedy(results: Results) -> str | None:
    """That of the first severe threat, where no command would settle what is to be careful of."""
    careful = caution(results)
    if careful is None or careful.command:
        return None
    return next((each.remedy for each in threats(results) if each.severe), None)


def _severe(results: Results) -> list[Threat]:
    return [each for each in threats(results) if each.severe and each.kind not in OF_RUNS]


def _careful(results: Results, found: Caution) -> str:
    """The caution without remedies and examples; every severe threat of the data is named."""
    severe = _severe(results)
    text = found.text
    for each in severe:
        text = text.replace(each.words, _found(each))
    bold = "" if any(text.startswith(_found(each)) for each in severe) else found.bold
    whole = f"{bold} {text}".strip()
    if bold == NO_RANKING:
        whole = f"No ranking: {text[0].lower()}{text[1:]}".replace("seed each: ", "seed each; ", 1)
        whole = whole.replace("; another seed may turn them round", "")
    return " ".join([whole, *(_found(each) for each in severe if _found(each) not in whole)])


def _found(threat: Threat) -> str:
    """What was found, without the examples and consequences behind it."""
    return re.split(r": |; | \(|, so that", threat.text)[0].removesuffix(".") + "."


def _named_shortly(decision: Decision, text: str) -> str:
    """The text with very long names of methods cut in the middle."""
    for name in sorted((each.name for each in decision.standings), key=len, reverse=True):
        if len(name) > LONG:
            text = text.replace(f.plain(name), f.middle_cut(name, LONG))
    return text
