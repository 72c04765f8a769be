"""One colour for each method, readable as text and told apart from the paper."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report.synthetic import VARIANTS, Variant, write

from thriftune.analysis.analyse import analyse
from thriftune.analysis.display.chart import NEUTRAL_SIZE, PALETTE_SIZE
from thriftune.analysis.display.colours import coloured, colours
from thriftune.analysis.display.panel import Chart, Panel
from thriftune.analysis.findings.runs import is_baseline
from thriftune.report.render import FOLDER
from thriftune.report.theme import DARK, LIGHT, Theme
from thriftune.results.store import Results

AA = 4.5


def channels(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def luminance(rgb: list[float]) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: list[float], second: list[float]) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_colour_reads_as_text(theme: Theme) -> None:
    assert (len(theme.series), len(theme.neutral)) == (PALETTE_SIZE, NEUTRAL_SIZE)
    for colour in (*theme.series, *theme.neutral, theme.ink, theme.muted):
        assert contrast(channels(colour), channels(theme.paper)) >= AA, colour
    low, high = map(channels, theme.heat)
    for step in range(101):
        at = [a + (b - a) * step / 100 for a, b in zip(low, high, strict=True)]
        ink = theme.ink_on_high if step / 100 > theme.turn else theme.ink_on_low
        assert contrast(at, channels(ink)) >= AA, step


def test_the_page_reads_in_light_and_dark() -> None:
    css = (FOLDER / "page.css").read_text(encoding="utf-8")
    schemes = [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{[^}]*\}", css)]
    light, dark, *_ = schemes
    for scheme in (light, light | dark):
        for name, paper in itertools.product(("ink", "muted", "accent", "bad"), ("paper", "soft")):
            assert contrast(channels(scheme[name]), channels(scheme[paper])) >= AA, (name, paper)
        for behind in ("best", "mark", "careful"):
            assert contrast(channels(scheme["ink"]), channels(scheme[behind])) >= AA, behind


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Results:
    variant = Variant(texts=120, seeds=2, models=("demo:minilm", "bert-base-uncased"))
    return write(tmp_path_factory.mktemp("colours"), variant).load()


def test_a_method_has_one_colour_on_every_model_and_seed(study: Results) -> None:
    found = colours(study)
    for run in study.runs:
        place = found[run.name]
        assert place == found[run.cell]
        assert (place >= PALETTE_SIZE) == is_baseline(run)
        if run.method["name"] == "top_layers":
            assert place == found["top_layers 2 demo:minilm"]
    names = ("full demo:minilm", "top_layers 2 demo:minilm", "lora r8 demo:minilm", "lora r64")
    assert len({found[name] for name in names}) == len(names)


def test_methods_that_differ_in_the_protocol_alone_have_colours_of_their_own(study: Results) -> None:
    first = study.runs[0]
    other = replace(first, run_id="other", name="slower", cell="slower")
    found = colours(Results(study.store, replace(study.study, runs=[*study.runs, other])))
    assert found["slower"] != found[first.cell]


def scales(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "color" and isinstance(value, dict) and "domain" in value.get("scale", {}):
                yield value["scale"]
            elif key != "values":
                yield from scales(value)
    elif isinstance(part, list):
        for each in part:
            yield from scales(each)


def test_every_chart_gives_a_method_its_colour(tmp_path: Path) -> None:
    results = write(tmp_path, VARIANTS["plain"]).load()
    found, seen = colours(results), 0
    for section in analyse(results).sections:
        for chart in section.panel.charts:
            for scale in scales(chart.spec):
                if all(name in found for name in scale["domain"]):
                    assert scale["range"] == [{"expr": f"series{found[name]}"} for name in scale["domain"]]
                    seen += 1
    assert seen > 0


def test_what_is_no_method_keeps_the_theme() -> None:
    spec = {
        "layer": [{"encoding": {"color": {"scale": {"domain": ["training", "a"]}}}}],
        "data": {"values": [{"color": 1}]},
    }
    panel = coloured(Panel([], charts=[Chart("c", "", "", spec)]), {"a": 0})
    assert panel.charts[0].spec == spec
