"""Which differences a study will tell apart, before it runs: from its test texts and seeds, and what is assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb
from typing import Any

from thriftune import wording as f
from thriftune.analysis.statistics.detectable import POWER, Plan, detectable
from thriftune.results.prediction import Forecast

DISAGREEMENT = 0.15
"""Assumed share of the test texts that exactly one of two methods classifies correctly."""
SEED_SPREAD = 0.005
"""Assumed standard deviation of a method's accuracy over seeds."""
ALPHA = 0.05
SEEDS = 3
"""So many are proposed where there is one."""
UNKNOWN = "without data the number of test texts is not known"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What the comparison of one model's methods rests on, and what it will tell apart."""

    model: str
    methods: int
    seeds: int
    """Of each method, the fewest."""
    test_texts: int
    difference: float
    """The smallest true difference (a share) that is found with a chance of `power`."""
    level: float
    """Of the interval that has to exclude 0: adjusted for the number of pairs."""
    with_more_seeds: float | None
    """The same with three seeds; None where there are several."""
    power: float = POWER
    assumed_disagreement: float = DISAGREEMENT
    assumed_seed_spread: float = SEED_SPREAD


def planned(cells: Sequence[Forecast]) -> list[Planned]:
    """What the methods of each model will be told apart by; empty where the test texts are not known."""
    out = []
    for model in dict.fromkeys(cell.model for cell in cells):
        own = [cell for cell in cells if cell.model == model]
        texts = own[0].test_texts
        if not texts:
            continue
        methods, seeds = len(own), min(cell.seeds for cell in own)
        level = 1 - ALPHA / max(1, comb(methods, 2))

        def size(seeds: int, texts: int = texts, methods: int = max(2, methods), level: float = level) -> float:
            return detectable(Plan(texts, seeds, DISAGREEMENT, SEED_SPREAD, methods=methods), level)

        out.append(
            Planned(
                model=model,
                methods=methods,
                seeds=seeds,
                test_texts=texts,
                difference=size(seeds),
                level=level,
                with_more_seeds=size(SEEDS) if seeds == 1 else None,
            )
        )
    return out


def sentences(found: Sequence[Planned], grouped: bool = False) -> list[str]:
    """What the study will tell apart, in words; models with the same answer together."""
    groups: dict[tuple[Any, ...], list[Planned]] = {}
    for each in found:
        groups.setdefault((each.methods, each.seeds, each.test_texts), []).append(each)
    out = []
    for own in groups.values():
        one = own[0]
        where = f"On {f.listing([each.model for each in own])}: " if len(groups) > 1 else ""
        with_what = f"{f.plural(one.seeds, 'seed')} and {f.plural(one.test_texts, 'test text')}"
        text = f"{where}{'with' if where else 'With'} {with_what} this study tells apart differences from about "
        text += f"{f.points(one.difference)} on, with a chance of {f.percent(one.power, 0)}"
        text += f" (for {f.plural(comb(one.methods, 2), 'pair')} of methods)" if one.methods > 2 else ""
        assumed = f"two methods disagree on {f.percent(one.assumed_disagreement, 0)} of the texts"
        if one.seeds > 1:
            assumed += f", and seeds of one method vary by {f.points(one.assumed_seed_spread)}"
        if grouped:
            assumed += ", and texts of one group are unrelated (groups that err together make it more)"
        out.append(f"{text}. Assumed: {assumed}.")
        if one.with_more_seeds is not None:
            out.append(
                "With one seed that is about the trained models: no method will be called better than another. "
                f"seeds: [0, 1, 2] speaks of methods, from about {f.points(one.with_more_seeds)} on if their seeds "
                f"vary by {f.points(one.assumed_seed_spread)}."
            )
    return out


def document(found: Sequence[Planned]) -> dict[str, Any]:
    """What `estimate --json` prints of it."""
    if not found:
        return {"tells_apart": None, "tells_apart_reason": UNKNOWN}
    values = [asdict(each) for each in found]
    for each in values:
        if each["with_more_seeds"] is None:
            each["with_more_seeds_reason"] = "there are several seeds"
    return {"tells_apart": values}
