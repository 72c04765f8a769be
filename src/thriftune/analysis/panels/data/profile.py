"""What the data looks like, as the data reader counted it."""

from __future__ import annotations

from thriftune import wording as f
from thriftune.analysis.display import categories, chart, planes
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, numbered, of_kind
from thriftune.results.profile import DataProfile, Lengths, SharedText
from thriftune.results.store import Results

TITLE = "Dataset"
QUESTION = "What were the models trained and tested on?"

LABELS_DRAWN = 40

FLATTERING = 0.01
"""Share of shared rows from which scores are said to flatter; fewer cannot move a score by a point."""


def build(results: Results) -> Panel | NotApplicable:
    """Rows, labels, lengths, truncation, shared and dropped texts."""
    profile = results.study.profile
    tables = [_warnings(profile)] if profile.warnings else []
    tables += [_rows(profile), _sample(profile)]
    if profile.tokens:
        tables.append(_truncation(profile))
    if profile.shared:
        tables.append(_shared(profile))
    if profile.dropped:
        tables.append(_dropped(profile))
    charts = [_labels(profile), *_lengths(profile), *_tokens(profile)]
    return Panel(_sentences(profile), tables, charts, list(profile.notes))


def _sentences(profile: DataProfile) -> list[str]:
    rows = [f"{f.count(count)} {split}" for split, count in profile.rows.items()]
    out = [f"{profile.name}: {f.listing(rows)} rows with {f.plural(len(profile.labels), 'label')}."]
    for split in ("test", *profile.label_counts):
        counts = profile.label_counts.get(split, {})
        if sum(counts.values()):
            label = max(counts, key=lambda name: counts[name])
            share = f.percent(counts[label] / sum(counts.values()))
            out.append(f"The most frequent label in {split} is {label} ({share}).")
            break
    whole = profile.characters.get("all") or next(iter(profile.characters.values()), None)
    if whole:
        box = whole.box
        out.append(
            f"Half of the texts have {f.count(box.q1)}–{f.count(box.q3)} characters "
            f"(median {f.count(box.median)}, longest {f.count(box.maximum)})."
        )
    out += [_truncated(t.model, t.max_tokens, t.truncated_share) for t in profile.tokens]
    out += [sentence for shared in profile.shared if (sentence := _leak(shared))]
    if dropped := profile.unusable():
        out.append(dropped)
    return out


def _warnings(profile: DataProfile) -> Table:
    columns = [Column("message", "What was found"), Column("remedy", "What to do")]
    rows = [{"message": warning.message, "remedy": warning.remedy} for warning in profile.warnings]
    return Table("warnings", "What makes scores on these data say less than they seem to.", columns, rows)


def _truncated(model: str, max_tokens: int, shares: dict[str, float]) -> str:
    cut = {split: share for split, share in shares.items() if share > 0}
    if not cut:
        return f"No text is longer than {max_tokens} tokens for {model}."
    parts = [f"{f.percent(share)} of {split}" for split, share in cut.items()]
    return f"Cut at {max_tokens} tokens for {model}: {f.listing(parts)}."


def _leak(shared: SharedText) -> str | None:
    parts = []
    if shared.exact:
        verb = "stands" if shared.exact == 1 else "stand"
        parts.append(f"{f.plural(shared.exact, 'row')} of {shared.second} {verb} in {shared.first} word for word")
    if shared.first_column:
        share = f"{f.count(shared.first_column)} of {f.count(shared.rows)} {shared.second} rows"
        verb = "shares its" if shared.first_column == 1 else "share their"
        parts.append(f"{share} {verb} first text with {shared.first}")
    if not parts:
        return None
    many = max(shared.exact, shared.first_column or 0) >= FLATTERING * shared.rows
    return " and ".join(parts) + (": scores may flatter every method." if many else ".")


def _rows(profile: DataProfile) -> Table:
    splits = list(profile.rows)
    columns = [Column("label", "Label"), *numbered(splits, "int", "s")]
    rows = [
        {"label": label} | {f"s{i}": profile.label_counts.get(s, {}).get(label, 0) for i, s in enumerate(splits)}
        for label in profile.labels
    ]
    rows.append({"label": "all"} | {f"s{i}": profile.rows[s] for i, s in enumerate(splits)})
    return Table("rows", "Rows per split and label.", columns, rows)


def _sample(profile: DataProfile) -> Table:
    names = [*profile.text_columns, profile.label_column]
    columns = numbered(names, "text", "c")
    rows = [{f"c{i}": each.get(name, each.get("label")) for i, name in enumerate(names)} for each in profile.sample]
    return Table("sample", "A few training rows.", columns, rows)


def _truncation(profile: DataProfile) -> Table:
    splits = list(dict.fromkeys(split for t in profile.tokens for split in t.truncated_share))
    columns = [
        Column("model", "Model"),
        *of_kind("int", max_tokens="Max tokens", median="Median tokens", longest="Longest"),
        *numbered((f"Cut in {split}" for split in splits), "percent", "s"),
    ]
    rows = []
    for t in profile.tokens:
        shares = {f"s{i}": t.truncated_share.get(split) for i, split in enumerate(splits)}
        box = t.lengths.box
        rows.append(
            {"model": t.model, "max_tokens": t.max_tokens, "median": box.median, "longest": box.maximum} | shares
        )
    return Table("truncation", "Lengths in tokens, special tokens included, and the share that was cut.", columns, rows)


def _shared(profile: DataProfile) -> Table:
    columns = [
        *of_kind("text", second="Split", first="Shares texts with"),
        *of_kind("int", rows="Rows", exact="Whole text shared", first_column="First text shared"),
    ]
    pair = len(profile.text_columns) > 1
    rows = [vars(shared) | {"first_column_reason": "texts are not pairs"} for shared in profile.shared]
    return Table("shared", "Texts that stand in two splits.", columns if pair else columns[:4], rows)


def _dropped(profile: DataProfile) -> Table:
    columns = [*of_kind("text", split="Split", reason="Reason"), Column("count", "Rows", "int")]
    return Table("dropped", "Rows that could not be used.", columns, [vars(each) for each in profile.dropped])


def _labels(profile: DataProfile) -> Chart:
    splits = [split for split, counts in profile.label_counts.items() if sum(counts.values())]
    labels = profile.labels[:LABELS_DRAWN]
    rows = []
    for split in splits:
        total = sum(profile.label_counts[split].values())
        for label in labels:
            count = profile.label_counts[split].get(label, 0)
            rows.append({"name": label, "series": split, "share": chart.short(count / total), "count": count})
    tooltip = chart.tips(name="label", series="split", share=("share", ".1%"), count=("rows", ","))
    spec = categories.bars(
        rows, x="share", x_title="share of the split", order=labels, series=splits, tooltip=tooltip, share=True
    )
    more = f" The first {LABELS_DRAWN} labels are drawn." if len(profile.labels) > LABELS_DRAWN else ""
    description = f"Bars: the share of each label in {f.listing(splits)}.{more}"
    return Chart("label-distribution", "Label distribution", description, spec)


def _lengths(profile: DataProfile) -> list[Chart]:
    charts = [
        _histogram(f"characters-{f.slug(i, name)}", _column(name), lengths, "characters")
        for i, (name, lengths) in enumerate(profile.characters.items())
    ]
    named = {_column(name): lengths for name, lengths in profile.characters.items()}
    return [*charts, _boxes("characters-box", "Characters per text", named, "characters")] if named else []


def _column(name: str) -> str:
    return "both texts" if name == "all" else name


def _tokens(profile: DataProfile) -> list[Chart]:
    charts = [
        _histogram(f"tokens-{f.slug(i, t.model)}", t.model, t.lengths, "tokens") for i, t in enumerate(profile.tokens)
    ]
    named = {t.model: t.lengths for t in profile.tokens}
    return [*charts, _boxes("tokens-box", "Tokens per text", named, "tokens")] if named else []


def _histogram(name: str, what: str, lengths: Lengths, unit: str) -> Chart:
    histogram = lengths.histogram
    rows = [
        {"start": chart.short(start), "end": chart.short(end), "count": count}
        for start, end, count in zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False)
    ]
    tooltip = chart.tips(start=("from", ",~f"), end=("to", ",~f"), count=("texts", ","))
    box = lengths.box
    description = f"Histogram of length in {unit}: median {f.count(box.median)}, longest {f.count(box.maximum)}."
    spec = planes.histogram(rows, x_title=unit, tooltip=tooltip)
    return Chart(name, f"{unit.capitalize()}: {what}", description, spec, small=True)


def _boxes(name: str, title: str, named: dict[str, Lengths], unit: str) -> Chart:
    numbers = ("low", "q1", "median", "q3", "high")
    rows = [
        {"name": what} | {n: chart.short(getattr(lengths.box, n)) for n in numbers} for what, lengths in named.items()
    ]
    outliers = [
        {"name": what, "value": chart.short(value)} for what, lengths in named.items() for value in lengths.box.outliers
    ]
    tooltip = chart.tips(name="texts", **{n: (n, ",") for n in numbers})
    spec = categories.boxes(rows, x_title=unit, order=list(named), tooltip=tooltip, outliers=outliers)
    hidden = sum(lengths.box.outlier_count for lengths in named.values())
    description = f"Box plots; whiskers end within 1.5 interquartile ranges, {f.count(hidden)} texts lie beyond them."
    return Chart(name, title, description, spec)
