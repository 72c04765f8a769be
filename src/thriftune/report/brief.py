"""What the terminal says when a study has finished: the methods, the best first, and at most six lines."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from thriftune import wording as f
from thriftune.analysis.findings.answers.cost import cost
from thriftune.analysis.findings.answers.errors import errors
from thriftune.analysis.findings.caution import caution
from thriftune.analysis.findings.decision import Decision, Standing, decide, headline
from thriftune.metrics import METRICS
from thriftune.results.store import Results

ROWS = 12
"""Methods that the table holds; `--verbose` shows every run."""
MARK = "*"
"""Beside the method to take."""


@dataclass(frozen=True)
class Line:
    """One of the six."""

    name: str
    text: str
    command: bool = False
    """Whether the text is to be copied, and must not be wrapped."""


def board(results: Results) -> list[dict[str, str]]:
    """One row per method: short heading to value; what is not known is a dash. The one to take is marked."""
    decision = decide(results)
    return [_row(decision, each) for each in shown(decision)]


def shown(decision: Decision) -> list[Standing]:
    """The first methods of the decision, that to take among them."""
    found = decision.standings[:ROWS]
    taken = decision.taken
    return found if taken is None or taken in found else [*found[:-1], taken]


def left_out(results: Results) -> str | None:
    """How many methods the table does not hold; None where it holds all."""
    decision = decide(results)
    more = len(decision.standings) - len(shown(decision))
    return f"{f.plural(more, 'more method')}: --verbose" if more else None


def _row(decision: Decision, each: Standing) -> dict[str, str]:
    cell = each.cell
    metric = METRICS[decision.metric]
    return {
        "Method": f"{each.name} {MARK}" if each is decision.taken else each.name,
        metric.short: decision.deciding.said(each.score.value).removesuffix("%"),
        "Points below": _below(decision, each),
        "Time": "–" if cell.seconds is None else f.short_seconds(cell.seconds),
        "Memory": "–" if cell.memory is None else f.short_size(cell.memory),
        "Stored": "–" if cell.stored is None else f.short_size(cell.stored),
    }


def _below(decision: Decision, each: Standing) -> str:
    if each.place == "not learned" or decision.best is None:
        return "did not learn"
    if each is decision.best:
        return "best"
    lag = decision.best.score.value - each.score.value
    if each.below is None:
        return f.signed_points(lag)
    least, most = (f.signed_points(end) for end in each.below)
    return f"{f.signed_points(lag)} ({least}…{most})"


def _first(text: str) -> str:
    """The first of some sentences; all stand on the page."""
    return text.partition(". ")[0].removesuffix(".") + "."


def lines(results: Results) -> list[Line]:
    """What to take, what to be careful of, costs, errors and the next command; the report's path is the sixth."""
    decision = decide(results)
    taken, careful = headline(decision), caution(results)
    out = [Line("Take", taken.removeprefix("Take "))]
    if careful:
        out.append(Line("Careful", careful.words))
    if decision.taken is not None:
        out += [Line("Cost", _first(cost(results).text)), Line("Errors", _first(errors(results).text))]
    if careful and careful.command:
        out.append(Line(f"Next ({careful.time})" if careful.time else "Next", careful.command, command=True))
    elif len(decision.standings) > 1 and decision.taken is not None:
        folder = shlex.quote(str(results.store.path))
        out.append(Line("Next", f"thriftune recommend {folder} --memory 8GB --time 10min", command=True))
    return [Line(each.name, f.plain(each.text), each.command) for each in out]
