"""What threatens a study's answer, each with its remedy: said before the answer (docs/study-files.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from thriftune import wording as f
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.groups import counted, groups_of
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import is_baseline, learned
from thriftune.analysis.findings.training import trained
from thriftune.analysis.statistics.metric_intervals import BY_CLASS, FEWEST_TEXTS
from thriftune.results.profile import DataWarning
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

Kind = Literal[
    "improving",
    "lost",
    "shared",
    "few_texts",
    "few_groups",
    "rare_in_test",
    "known_groups",
    "cut",
    "conflicting",
    "variants",
    "missing",
    "grouped",
    "repeated",
    "numbers",
    "absent",
    "dominant",
    "rare_in_train",
    "dropped",
]
OF_RUNS: tuple[Kind, ...] = ("improving", "lost")
"""Kinds that are about runs; the others are about the data."""

SHARED = 0.01
"""Of the test texts that stand in train too: fewer cannot move a score by a point, and are not said."""
SEVERE_CUT = 0.1
"""Of the texts that max_tokens cuts; said from 5% on."""
CONFLICTING, SEVERE_CONFLICTING = 0.01, 0.05
"""Of all rows, those whose text stands under several labels."""
MISSING = 0.01
"""Of all rows, those with a label that may mean that there is none."""
DROPPED, SEVERE_DROPPED = 0.01, 0.1
"""Of the rows of the source."""
FEW, SEVERE_FEW = 500, 200
"""Test texts, or groups of them where those count: 85% is then known to 3 and to 5 points."""
KNOWN_GROUPS = 0.1
"""Of the test texts, those whose group has training texts too."""
SEVERE_GROUPED = 0.5
"""Share of the test rows that repeat a text: two rows to a text."""
SEVERE_DOMINANT = 0.9
"""Of the training texts that have one label, where accuracy decides."""
SEVERE_RARE = 0.2
"""Of all classes, those with too few rows, where classes do not weigh alike."""
NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Threat:
    """Something that makes a study's answer say less than it seems to."""

    kind: Kind
    text: str
    """What was found, in one sentence."""
    remedy: str
    """What to do, in one sentence: a key of the study file or a command where there is one."""
    severe: bool
    """Whether it can change which method is taken, or by how much it leads."""
    share: float | None = None
    """Of the texts or rows that it concerns; None where it is not about a share."""

    @property
    def words(self) -> str:
        """Both sentences."""
        return f"{self.text} {self.remedy}"


@once
def threats(results: Results) -> list[Threat]:
    """All of them, the severe ones first; empty where nothing threatens the study."""
    finders = (_improving, _lost, _shared, _few, _rare_in_test, _known_groups, _of_data, _rare_in_train, _dropped)
    found = [threat for find in finders for threat in find(results)]
    return sorted(found, key=lambda threat: not threat.severe)


def statistics(results: Results) -> list[dict[str, Any]]:
    """What `results.json` keeps of them."""
    return [
        {"kind": each.kind, "severe": each.severe, "text": each.text, "remedy": each.remedy, "share": each.share}
        | ({} if each.share is not None else {"share_reason": "it is not about a share"})
        for each in threats(results)
    ]


def _improving(results: Results) -> Iterator[Threat]:
    training = trained(results)
    still = [each for each in decide(results).standings if each.still_improving]
    if not still:
        return
    names = f.listing(training.names([each.cell for each in still]), NAMED)
    more = training.more
    remedy = f"`{more.command}` would tell ({more.time})." if more else "Train for longer: raise protocol.epochs."
    yield Threat(kind="improving", text=f"Still improving in the last epoch: {names}.", remedy=remedy, severe=True)


_REMEDIES = {
    "out_of_memory": "protocol.fit_batch: true, a smaller protocol.batch_size, or another method would fit.",
    "killed": "Something from outside ended its process, for want of memory or not; the same command runs it again.",
    "diverged": "A lower learning_rate, or learning_rate: auto, keeps it from diverging.",
    "failed": "Its message in run.json says why; the same command runs it again.",
    "interrupted": "The same command goes on with it.",
    "did not learn": "learning_rate: auto finds a rate at which it learns, and more epochs give it time.",
}


def _lost(results: Results) -> Iterator[Threat]:
    """Runs of methods that are fine-tuned without a result that can be used."""
    tuned = [run for run in results.runs if not is_baseline(run)]
    by_reason: dict[str, list[RunRecord]] = {}
    for run in tuned:
        if run.status != "done" or run.test is None:
            by_reason.setdefault(run.status, []).append(run)
        elif not learned(run):
            by_reason.setdefault("did not learn", []).append(run)
    for reason, runs in by_reason.items():
        names = f.listing([run.name for run in runs], NAMED)
        text = f"{len(runs)} of {f.plural(len(tuned), 'run')} {_ended(reason)}: {names}."
        remedy = _REMEDIES.get(reason, _REMEDIES["failed"])
        yield Threat(kind="lost", text=text, remedy=remedy, severe=True, share=len(runs) / len(tuned))


def _ended(reason: str) -> str:
    return {
        "out_of_memory": "ran out of memory",
        "killed": "were killed from outside",
        "diverged": "diverged",
        "interrupted": "did not finish",
        "did not learn": "did not learn",
    }.get(reason, "failed")


def _shared(results: Results) -> Iterator[Threat]:
    """Test texts that training or the choice of weights has seen."""
    for shared in results.study.profile.shared:
        share = shared.exact / max(1, shared.rows)
        if shared.second != "test" or share < SHARED:
            continue
        flatter = "scores on test flatter every method, one that learns by heart most"
        yield Threat(
            kind="shared",
            text=f"{f.count(shared.exact)} of {f.count(shared.rows)} test texts ({f.percent(share)}) stand in "
            f"{shared.first} too, word for word: {flatter}.",
            remedy=f"data.deduplicate: true leaves them out of {shared.first}.",
            severe=True,
            share=share,
        )


def _few(results: Results) -> Iterator[Threat]:
    """Too few test texts, or groups of them, to tell methods apart."""
    profile, best = results.study.profile, decide(results).best
    grouped = profile.groups if groups_of(results) is not None else None
    texts = profile.rows.get("test", 0)
    units = grouped.groups if grouped is not None else texts
    if not 0 < units < FEW:
        return
    known = ""
    if best is not None and best.interval is not None:
        low, high = (best.deciding.said(end) for end in best.interval)
        known = f": {best.name}'s {best.deciding.said(best.score.value)} may be {low} to {high}"
    what = f"There are {f.plural(texts, 'test text')}"
    if grouped is not None:
        what = f"The {f.plural(texts, 'test text')} are of {counted(grouped.column, units)}"
    yield Threat(
        kind="few_groups" if grouped is not None else "few_texts",
        text=f"{what}{known}.",
        remedy=_larger_test(results),
        severe=units < SEVERE_FEW,
    )


def _limited(results: Results, split: str) -> str | None:
    """The remedy where the study itself took fewer rows than there are."""
    limit = ((results.study.study.get("data") or {}).get("limit") or {}).get(split)
    return f"A larger data.limit.{split} gives more of them." if limit else None


def _larger_test(results: Results) -> str:
    if remedy := _limited(results, "test"):
        return remedy
    split = (results.study.study.get("data") or {}).get("split")
    if isinstance(split, dict) and split.get("test"):
        return "A larger data.split.test gives more of them, and labelling more texts is better still."
    return "A larger test split tells more."


def _rare_in_test(results: Results) -> Iterator[Threat]:
    counts = results.study.profile.label_counts.get("test", {})
    few = {label: count for label, count in counts.items() if 0 < count < FEWEST_TEXTS}
    if not few:
        return
    by_class = decide(results).metric in BY_CLASS
    text = f"{_have(few, len(counts))} fewer than {FEWEST_TEXTS} test texts: {_counted(few)}"
    consequence = "so that no interval can be given" if by_class else "so that what is said of them is mostly chance"
    yield Threat(
        kind="rare_in_test",
        text=f"{text}, {consequence}.",
        remedy=_limited(results, "test")
        or "Give more test texts of them, or merge classes (data.labels: {RARE: OTHER}).",
        severe=by_class,
        share=sum(few.values()) / max(1, sum(counts.values())),
    )


def _rare_in_train(results: Results) -> Iterator[Threat]:
    counts = results.study.profile.label_counts.get("train", {})
    few = {label: count for label, count in counts.items() if 0 < count < FEWEST_TEXTS}
    if not few:
        return
    yield Threat(
        kind="rare_in_train",
        text=f"{_have(few, len(counts))} fewer than {FEWEST_TEXTS} training texts: {_counted(few)}; they are hardly "
        "learned.",
        remedy=_limited(results, "train") or "Add texts of them, or merge classes (data.labels: {RARE: OTHER}).",
        severe=decide(results).metric in BY_CLASS or len(few) >= SEVERE_RARE * len(counts),
        share=sum(few.values()) / max(1, sum(counts.values())),
    )


def _have(few: dict[str, int], classes: int) -> str:
    return f"{len(few)} of {classes} classes {'has' if len(few) == 1 else 'have'}"


def _counted(few: dict[str, int]) -> str:
    ranked = sorted(few.items(), key=lambda each: each[1])
    return f.listing([f"{label} ({count})" for label, count in ranked], NAMED)


def _known_groups(results: Results) -> Iterator[Threat]:
    groups = results.study.profile.groups
    if groups is None or groups.in_train is None or groups.in_train < KNOWN_GROUPS * groups.texts:
        return
    share = groups.in_train / groups.texts
    split = (results.study.study.get("data") or {}).get("split")
    made = isinstance(split, dict) and split.get("test")
    yield Threat(
        kind="known_groups",
        text=f"{f.percent(share)} of the test texts have a {f.one_line(groups.column)} that train has too: scores are "
        "those on known ones.",
        remedy=f"data.split.group_by: {groups.column} keeps each in one split."
        if made
        else "Test on others where the classifier is to meet new ones.",
        severe=False,
        share=share,
    )


def _of_data(results: Results) -> Iterator[Threat]:
    """What the data reader warned of."""
    accuracy = decide(results).metric == "accuracy"
    for warning in results.study.profile.warnings:
        share = warning.share or 0.0
        match warning.kind:
            case "truncation":
                yield _from(warning, "cut", share >= SEVERE_CUT)
            case "conflicting_labels" if share >= CONFLICTING or warning.share is None:
                yield _from(warning, "conflicting", share >= SEVERE_CONFLICTING)
            case "label_variants":
                yield _from(warning, "variants", True)
            case "missing_label":
                yield _from(warning, "missing", share >= MISSING)
            case "grouped_texts":
                yield _from(warning, "grouped", share >= SEVERE_GROUPED)
            case "repeated_texts":
                yield _from(warning, "repeated", False)
            case "numeric_labels":
                yield _from(warning, "numbers", False)
            case "absent_label":
                yield _from(warning, "absent", False)
            case "dominant_label" if accuracy:
                yield _from(warning, "dominant", share >= SEVERE_DOMINANT)


def _from(warning: DataWarning, kind: Kind, severe: bool) -> Threat:
    return Threat(kind=kind, text=warning.message, remedy=warning.remedy, severe=severe, share=warning.share)


def _dropped(results: Results) -> Iterator[Threat]:
    """Rows that the study never saw, but for those that the user left out."""
    profile = results.study.profile
    reasons: Counter[str] = Counter()
    for each in profile.dropped:
        if not each.reason.endswith("(data.labels)"):
            reasons[each.reason] += each.count
    share = reasons.total() / max(1, reasons.total() + sum(profile.rows.values()))
    if share < DROPPED:
        return
    why = f.listing([f"{reason}: {f.count(count)}" for reason, count in reasons.most_common()], NAMED)
    yield Threat(
        kind="dropped",
        text=f"{f.plural(reasons.total(), 'row')} of the source ({f.percent(share)}) could not be used ({why}).",
        remedy="Scores say nothing of such rows: complete them, or make sure that they are like the others.",
        severe=share >= SEVERE_DROPPED,
        share=share,
    )
