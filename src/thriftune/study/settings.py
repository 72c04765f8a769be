"""The keys of a study file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thriftune.data.settings import DataSettings
from thriftune.engine.protocol import Protocol
from thriftune.methods.base import Method
from thriftune.models.head import HeadSettings
from thriftune.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """One entry of `runs:`."""

    name: str = setting(help="what the run is called; each name stands once")
    model: str | None = setting(None, help="the pretrained model; left out for methods without one")
    method: Method = setting(help="a method, written as in methods")
    seed: int | None = setting(None, help="seed of this run; null: one run per seed of the study", minimum=0)
    head: HeadSettings | None = setting(None, help="this run's head; null: the study's")
    protocol: Protocol = setting(factory=Protocol, help="the protocol keys in which this run differs from the study's")


@dataclass(frozen=True, kw_only=True)
class StudySettings(Settings):
    """A grid models x methods x seeds, or a list of runs, on one dataset under one protocol."""

    name: str = setting(help="what the study is called")
    data: DataSettings = setting(help="where the texts and labels come from")
    protocol: Protocol = setting(factory=Protocol, help="how every run is trained")
    head: HeadSettings = setting(factory=HeadSettings, help="what turns the encoder's output into logits")
    models: tuple[str, ...] = setting(
        (), help="pretrained models: demo:minilm, OWNER/NAME or hub:NAME on the hub, or a folder"
    )
    methods: tuple[Method, ...] = setting((), help="methods to compare: NAME, or {NAME: {settings}}")
    seeds: tuple[int, ...] = setting((0,), help="every model and method runs once per seed", minimum=0)
    margin: float = setting(
        0.5, help="accuracy points within which two methods count as equivalent", minimum=0, maximum=100
    )
    robustness: dict[str, str] = setting(
        factory=dict,
        help="further test sets with the same columns and labels, by name: {hard: hard.csv, revised: demo:cad-revised}",
    )
    runs: tuple[RunSettings, ...] = setting((), help="single runs, instead of models and methods")
    published: dict[str, dict[str, Any]] = setting(
        factory=dict, help="published numbers to show beside the measured ones, by run name"
    )
