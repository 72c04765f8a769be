"""Small pieces of HTML for notebooks: tables, lists and sentences, every value escaped."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

PLAIN = "text-align: left; white-space: pre-wrap"
NUMBER = "text-align: right"


def table(rows: Sequence[dict[str, str]], caption: str = "") -> str:
    """Rows under their headings, which are those of the first row; all but the first column to the right."""
    if not rows:
        return ""
    names = list(rows[0])
    styles = [PLAIN, *[NUMBER] * (len(names) - 1)]
    head = Markup("").join(
        Markup('<th style="{}">{}</th>').format(style, name) for style, name in zip(styles, names, strict=True)
    )
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<td style="{}">{}</td>').format(style, row[name])
                for style, name in zip(styles, names, strict=True)
            )
        )
        for row in rows
    )
    above = Markup("<caption>{}</caption>").format(caption) if caption else Markup("")
    return str(Markup("<table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(above, head, body))


def listed(sentences: Sequence[str]) -> str:
    """Sentences as a list."""
    items = Markup("").join(Markup("<li>{}</li>").format(sentence) for sentence in sentences)
    return str(Markup("<ul>{}</ul>").format(items)) if sentences else ""


def named(lines: Sequence[tuple[str, str]]) -> str:
    """Lines with a bold name before each."""
    return "".join(str(Markup("<div><b>{}</b>: {}</div>").format(name, text)) for name, text in lines)


def code(text: str) -> str:
    """Text as it stands, in a fixed width."""
    return str(Markup("<pre>{}</pre>").format(text))
