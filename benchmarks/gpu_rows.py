"""What the GPU benchmark measures: its rows, the bars and published figures beside them, and how much of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thriftune.engine.protocol import Protocol
from thriftune.methods import find
from thriftune.methods.base import TransformerMethod
from thriftune.models.head import HeadSettings

HEAD = HeadSettings(type="linear", dropout=0.5)
LORA: dict[str, Any] = {"rank": 8, "alpha": 16, "dropout": 0.1}
EPOCHS = 4
"""The first one, in which graphs are recorded, is not counted."""


@dataclass(frozen=True)
class Row:
    """What is measured, and what it is held against."""

    name: str
    model: str
    layers: int | None
    """Top layers that are trained; None: LoRA on all."""
    batch_size: int
    texts: int
    needs_seconds: float
    """It is not begun with less time left."""
    samples_bar: float
    gb_bar: float
    published_samples: float
    published_gb: float
    study_setting: bool = False
    """Whether the study's own setting is measured beside it: padded to 256, every layer in every step."""

    @property
    def method(self) -> TransformerMethod:
        """With the study's settings."""
        made = find("lora")(**LORA) if self.layers is None else find("top_layers")(layers=self.layers)
        assert isinstance(made, TransformerMethod)
        return made


ROWS = (
    Row("BERT-base top 2", "bert", 2, 8, 9842, 40, 8000, 0.35, 450, 0.885, study_setting=True),
    Row("BERT-base LoRA", "bert", None, 8, 9842, 50, 2500, 0.65, 270, 1.568, study_setting=True),
    Row("DistilBERT top 1", "distilbert", 1, 8, 9842, 30, 12000, 0.25, 856, 0.642),
    Row("DistilBERT LoRA", "distilbert", None, 8, 9842, 40, 5000, 0.40, 516, 0.874),
    Row("DeBERTa-v2-XXL top 8", "deberta", 8, 4, 2000, 90, 600, 4.5, 26.6, 10.795),
    Row("DeBERTa-v2-XXL LoRA", "deberta", None, 4, 800, 100, 120, 9.0, 17.7, 19.664),
)
BY_NAME = {row.name: row for row in ROWS}


@dataclass(frozen=True)
class Job:
    """A row, and how much of it."""

    row: Row
    folder: Path
    """Where models are made; rows of one model share it."""
    until: float
    """`time.time()` at which it should be done."""
    smoke: bool = False
    """Tiny models and few texts, on a CPU that takes the GPU's code."""

    @property
    def device(self) -> str:
        """Where it runs."""
        return "cpu" if self.smoke else "cuda"

    @property
    def texts(self) -> int:
        """How many are trained on."""
        return 40 if self.smoke else self.row.texts

    def protocol(self, epochs: int = EPOCHS, **changes: Any) -> Protocol:
        """The engine's defaults in float32; the weights of the last epoch are kept, as in the study."""
        return Protocol(epochs=epochs, batch_size=self.row.batch_size, keep="last", **changes)
