"""`thriftune cache`: the outputs of frozen layers that are kept."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from thriftune.cli.output import print_json

EXAMPLES = [
    "thriftune cache",
    "thriftune cache --json",
    "thriftune cache --clear",
]


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete what is kept; running studies go on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show or clear the kept outputs of frozen layers, which studies share.

    THRIFTUNE_CACHE names another folder for them, THRIFTUNE_CACHE_LIMIT how much they may take (200GB).
    """
    from thriftune.engine.frozen.cache import PrefixCache

    kept = PrefixCache.of_user()
    summary = kept.summary(kept.clear() if clear else kept.entries())
    if as_json:
        print_json({"deleted": clear, **summary})
        return
    _print_cache(summary, deleted=clear)


def _print_cache(summary: dict[str, Any], deleted: bool) -> None:
    from thriftune.terminal import print_table
    from thriftune.wording import count, plural, seconds, size

    entries, folder = summary["entries"], summary["folder"]
    if summary["unfinished_bytes"]:
        typer.echo(
            f"{size(summary['unfinished_bytes'])} of outputs are unfinished; the next study that needs them goes on."
        )
    limit, total = size(summary["limit_bytes"]), size(summary["total_bytes"])
    if not entries:
        typer.echo(f"No outputs of frozen layers are kept in {folder} (at most {limit}).")
        return
    if deleted:
        typer.echo(f"Deleted {plural(len(entries), 'file')} ({total}) from {folder}.")
        return

    def known(value: Any, words: Any) -> str:
        return "unknown" if value is None else words(value)

    rows = [
        {
            "Model": known(entry["model"], str),
            "Lowest layers": known(entry["layer"], str),
            "Texts": known(entry["texts"], count),
            "Tokens": known(entry["tokens"], count),
            "Took": known(entry["seconds"], seconds),
            "Size": size(entry["bytes"]),
            "Last used": f"{_age(entry['age_seconds'])} ago",
            "File": entry["file"],
        }
        for entry in entries
    ]
    print_table(rows)
    typer.echo(f"{plural(len(entries), 'file')}, {total} of at most {limit}, in {folder}")


def _age(seconds: float) -> str:
    from thriftune.wording import plural

    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return plural(int(seconds // length), unit)
    return plural(int(seconds), "second")
