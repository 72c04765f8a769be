"""Which differences a study will tell apart, before it runs: from its test texts and seeds, and what is assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import comb
from typing import Any

from thriftune import wording as f
from thriftune.analysis.statistics.detectable import POWER, Plan, detectable
from thriftune.results.prediction import Forecast

DISAGREEMENT = 0.15
"""Assumed share of the test texts that exactly one of two methods classifies correctly."""
SEED_SPREAD = 0.005
"""Assumed standard deviation of a method's accuracy over seeds."""
CORRELATION = 0.1
"""Assumed correlation of two methods' difference between texts of one group (`data.group`): a guess."""
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
    test_groups: int | None = None
    """Groups that the test texts make (`data.group`); None where each stands for itself."""
    group_size: float | None = None
    """Texts of the group that a test text is in, on average over the texts."""
    assumed_correlation: float | None = None
    """Of two methods' difference between texts of one group; None without groups."""

    @property
    def worth(self) -> float:
        """Unrelated texts that tell as much as the test texts do, if the assumed correlation holds."""
        return self.test_texts / _design_effect(self.group_size)


def _design_effect(group_size: float | None) -> float:
    """How many times the variance over texts is that of unrelated ones (Kish, 1965), at the assumed correlation."""
    return 1.0 if group_size is None else 1 + (group_size - 1) * CORRELATION


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

        groups, group_size = own[0].test_groups, own[0].test_group_size
        base = Plan(
            texts,
            seeds,
            DISAGREEMENT,
            SEED_SPREAD,
            methods=max(2, methods),
            design_effect=_design_effect(group_size),
            groups=groups,
        )
        out.append(
            Planned(
                model=model,
                methods=methods,
                seeds=seeds,
                test_texts=texts,
                difference=detectable(base, level),
                level=level,
                with_more_seeds=detectable(replace(base, seeds=SEEDS), level) if seeds == 1 else None,
                test_groups=groups,
                group_size=group_size,
                assumed_correlation=None if groups is None else CORRELATION,
            )
        )
    return out


def sentences(found: Sequence[Planned]) -> list[str]:
    """What the study will tell apart, in words; models with the same answer together."""
    groups: dict[tuple[Any, ...], list[Planned]] = {}
    for each in found:
        groups.setdefault((each.methods, each.seeds, each.test_texts, each.test_groups), []).append(each)
    out = []
    for own in groups.values():
        one = own[0]
        where = f"On {f.listing([each.model for each in own])}: " if len(groups) > 1 else ""
        with_what = f"{f.plural(one.seeds, 'seed')} and {f.plural(one.test_texts, 'test text')}"
        with_what += f" in {f.plural(one.test_groups, 'group')}" if one.test_groups else ""
        text = f"{where}{'with' if where else 'With'} {with_what} this study tells apart differences from about "
        text += f"{f.points(one.difference)} on, with a chance of {f.percent(one.power, 0)}"
        text += f" (for {f.plural(comb(one.methods, 2), 'pair')} of methods)" if one.methods > 2 else ""
        assumed = f"two methods disagree on {f.percent(one.assumed_disagreement, 0)} of the texts"
        if one.seeds > 1:
            assumed += f", and seeds of one method vary by {f.points(one.assumed_seed_spread)}"
        if one.test_groups:
            assumed += (
                f"; texts of one group are related by {one.assumed_correlation} (a guess), so that all are worth "
                f"{f.count(one.worth)} unrelated ones"
            )
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
        if each["test_groups"] is None:
            reasons = ("test_groups", "group_size", "assumed_correlation")
            each |= {f"{name}_reason": "no test texts belong together (data.group)" for name in reasons}
    return {"tells_apart": values}
