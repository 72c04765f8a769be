"""A classifier as an ONNX graph, written by torch's exporters."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.errors import first_line

if TYPE_CHECKING:
    import torch

    from thriftune.models.trained.plain import Plain
    from thriftune.models.trained.usage import Usage

LARGEST_FILE = 1_900_000_000
"""Bytes of weights that one ONNX file holds; larger ones lie in a file beside it."""
OPSET = 18
OUTPUTS = ("logits", "probabilities")


class ConversionError(Exception):
    """No exporter of torch makes a graph of an architecture."""


def input_names(usage: Usage, tokenizer: Any) -> tuple[str, ...]:
    """What the graph is fed; a pair that becomes one text has no token types."""
    types = "token_type_ids" in tokenizer.model_input_names and usage.join is None
    return ("input_ids", "attention_mask", *(["token_type_ids"] if types else []))


def graph_module(whole: Plain, usage: Usage, temperature: float) -> torch.nn.Module:
    """A module from token ids (texts, tokens) to logits and probabilities (texts, labels)."""
    from torch import nn

    from thriftune.models.head import mean_of

    head = whole.head

    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = whole.model
            if head is not None:
                self.weight, self.bias = (nn.Parameter(head[name], requires_grad=False) for name in ("weight", "bias"))

        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
        ) -> tuple[torch.Tensor, torch.Tensor]:
            types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            out = self.model(input_ids=input_ids, attention_mask=attention_mask, **types)
            if head is None:
                logits = out.logits
            else:
                hidden = out.last_hidden_state
                read = mean_of(hidden, attention_mask) if usage.head == "mean" else hidden[:, 0]
                read = nn.functional.normalize(read, dim=-1) if usage.normalize else read
                logits = nn.functional.linear(read, self.weight, self.bias)
            return logits, (logits / temperature).softmax(dim=-1)

    return Graph().eval()


def convert(whole: Plain, usage: Usage, names: tuple[str, ...], temperature: float, path: Path) -> None:
    """Writes the fp32 graph with torch's exporter, or with its older one where that cannot trace the architecture.

    Raises `ConversionError` where neither can.
    """
    import torch

    with quietly():
        if hasattr(whole.model, "set_attn_implementation"):
            whole.model.set_attn_implementation("eager")
    if getattr(whole.model.config, "use_cache", None):
        whole.model.config.use_cache = False
    whole.model.requires_grad_(False)
    module = graph_module(whole, usage, temperature)
    ids = torch.arange(14).reshape(2, 7) % 5 + 5
    inputs = tuple(torch.zeros_like(ids) if name == "token_type_ids" else ids for name in names)
    inputs = (inputs[0], torch.ones_like(ids), *inputs[2:])
    failed: list[str] = []
    for export in (_traced, _scripted):
        try:
            with quietly(), torch.no_grad():
                export(module, inputs, names, path)
            return
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, the other one may do
            failed.append(first_line(error.__cause__ or error))
            for leftover in path.parent.glob(f"{path.name}*"):
                leftover.unlink()
    kind = whole.model.config.model_type
    raise ConversionError(f"torch cannot convert its architecture ({kind}): {failed[0]}")


def _traced(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], names: tuple[str, ...], path: Path) -> None:
    import torch

    size = sum(p.numel() * p.element_size() for p in module.parameters())
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        module, inputs, path, dynamo=True, verbose=False, opset_version=OPSET, input_names=list(names),
        output_names=list(OUTPUTS), dynamic_shapes=dict.fromkeys(names, axes),
        external_data=size > LARGEST_FILE,
    )  # fmt: skip


def _scripted(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], names: tuple[str, ...], path: Path) -> None:
    import torch

    axes = {name: {0: "texts", 1: "tokens"} for name in names} | {name: {0: "texts"} for name in OUTPUTS}
    torch.onnx.export(
        module, inputs, str(path), dynamo=False, opset_version=OPSET, input_names=list(names),
        output_names=list(OUTPUTS), dynamic_axes=axes,
    )  # fmt: skip


@contextmanager
def quietly() -> Iterator[None]:
    """Without what the exporters print of themselves."""
    from thriftune.models.pretrained.quiet import quiet

    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), quiet(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
