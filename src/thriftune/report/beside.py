"""Several studies on one page and in one table of the terminal."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from thriftune import wording as f
from thriftune.analysis.findings.beside import Beside, Difference, beside
from thriftune.analysis.findings.decision import Decision, headline
from thriftune.errors import InputError
from thriftune.metrics import METRICS
from thriftune.paths import check_folder, check_new_folder, kind, status
from thriftune.report.render import templates
from thriftune.results.files import write_text
from thriftune.results.soundness import check_results
from thriftune.results.store import Results, Store

FOLDER = Path(__file__).parent
MARK = '<meta name="generator" content="Thriftune, studies side by side">'
"""What tells the page from a file of somebody's own."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def read_beside(folders: list[Path]) -> Beside:
    """The studies of some folders, side by side. Raises `InputError` where one is none, or stands twice."""
    if len(folders) > len(LETTERS):
        raise InputError(f"{len(folders)} folders are given; at most {len(LETTERS)} stand side by side.")
    studies: list[Results] = []
    for folder in folders:
        check_folder(folder, "folders that `thriftune compare --out` wrote")
        if any(each.store.path.resolve() == folder.resolve() for each in studies):
            raise InputError(f"{folder} is given twice. Give each study once.")
        results = Store(folder).load()
        check_results(results)
        studies.append(results)
    return beside(studies, [f"{LETTERS[i]}" for i in range(len(folders))])


def write_beside(found: Beside, path: Path) -> Path:
    """Writes the page; raises `InputError` where a file of that name is another."""
    if (there := status(path)) is not None:
        if not path.is_file():
            raise InputError(f"--out {path} is {kind(there)}. Name a file.")
        if MARK not in path.read_text(encoding="utf-8", errors="replace")[:2000]:
            raise InputError(f"{path} is there and is no such page. Name another file with --out.")
    check_new_folder(path.parent)
    write_text(path, page(found))
    return path


def page(found: Beside) -> str:
    """The HTML."""
    rows = table(found)
    return (
        templates()
        .get_template("beside.html.jinja")
        .render(
            css=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
            mark=Markup(MARK),  # noqa: S704 - our own text
            names=[each.study.name for each in found.studies],
            facts=facts(found),
            sentences=sentences(found),
            columns=list(rows[0]) if rows else [],
            rows=rows,
        )
    )


def facts(found: Beside) -> list[dict[str, str]]:
    """A row for each study: what it is, what it recommends, where it ran."""
    out = []
    for title, results, decision, machine in zip(
        found.titles, found.studies, found.decisions, found.machines, strict=True
    ):
        rows = results.study.profile.rows
        out.append(
            {
                "": title,
                "Study": results.study.name,
                "Folder": str(results.store.path),
                "Texts": ", ".join(f"{f.count(count)} {split}" for split, count in rows.items()),
                "Classes": f.count(len(results.labels)),
                "Recommends": f.plain(headline(decision)),
                "Machine": machine or "not recorded",
            }
        )
    return out


def sentences(found: Beside) -> list[str]:
    """What can be compared, and what cannot."""
    names = f.listing(found.titles, len(found.titles))
    out = []
    if found.same_test:
        out.append(
            f"{names} have the same test texts and labels, so each method is compared text by text: the difference "
            "from A, with its 95% interval, each interval on its own."
        )
        if any(decision.one_seed for decision in found.decisions):
            out.append("With one seed an interval is about these trained models: another seed may turn them round.")
    else:
        out.append(f"The scores of {names} are not comparable: {found.why_not}. Compare methods within a study only.")
    if found.same_machine:
        out.append(f"Times and memory were measured on machines of one kind ({found.machines[0] or 'not recorded'}).")
    else:
        out.append("Times and memory were measured on different machines: compare them within a study only.")
    return out


def table(found: Beside) -> list[dict[str, str]]:
    """A row for each method, the studies side by side; what a study does not have is a dash."""
    out = []
    for method in found.methods:
        row = {"Method": method}
        for title, decision in zip(found.titles, found.decisions, strict=True):
            row |= _columns(title, decision, method)
        for title, difference in zip(found.titles[1:], found.differences.get(method, []), strict=False):
            row[f"{title} − A"] = _difference(found.decisions[0], difference)
        out.append(row)
    return out


def _columns(title: str, decision: Decision, method: str) -> dict[str, str]:
    short = METRICS[decision.metric].short
    found = decision.of(method)
    if found is None:
        return {f"{title} {name}": "–" for name in (short, "time", "memory")}
    cell, mark = found.cell, " *" if found is decision.taken else ""
    score = "did not learn" if found.place == "not learned" else decision.deciding.said(found.score.value)
    return {
        f"{title} {short}": f"{score.removesuffix('%')}{mark}",
        f"{title} time": "–" if cell.seconds is None else f.short_seconds(cell.seconds),
        f"{title} memory": "–" if cell.memory is None else f.short_size(cell.memory),
    }


def _difference(decision: Decision, found: Difference | None) -> str:
    if found is None:
        return "–"
    if decision.metric == "mcc":
        value = f"{found.value:+.3f}"
        return value if found.low is None else f"{value} ({found.low:+.3f}…{found.high:+.3f})"
    value = f.signed_points(found.value)
    if found.low is None or found.high is None:
        return value
    return f"{value} ({f.signed_points(found.low)}…{f.signed_points(found.high)})"
