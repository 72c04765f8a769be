"""ONNX graphs that onnxruntime runs alone, with a tokenizer.json that the tokenizers library reads alone."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from thriftune.errors import InputError, first_line
from thriftune.export.form import Form
from thriftune.export.formats.base import Format, Options, Variant, Written
from thriftune.export.formats.onnx_code import onnx_code
from thriftune.export.formats.transformers import unmergeable
from thriftune.export.trained import Plain, Trained, plain

if TYPE_CHECKING:
    import torch

FP32, INT8 = "model.onnx", "model-int8.onnx"
LARGEST_FILE = 1_900_000_000
"""Bytes of weights that one ONNX file holds; larger ones lie in a file beside it."""
OPSET = 18
OUTPUTS = ("logits", "probabilities")


class Onnx(Format):
    """Two graphs from token ids to probabilities, in fp32 and with int8 weights."""

    NAME: ClassVar[str] = "onnx"
    SUMMARY: ClassVar[str] = "ONNX graphs (fp32, int8) for onnxruntime, with tokenizer.json"
    PACKAGES: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    EXTRA: ClassVar[str] = "onnx"

    def refusal(self, found: Trained) -> str | None:
        """An adapter that has no weights to merge into."""
        return "its method changes the input, not the weights" if unmergeable(found) else None

    def write(self, found: Trained, folder: Path, options: Options) -> Written:
        """Writes both graphs and the tokenizer; pooling, normalisation, head and softmax are part of the graphs."""
        whole = plain(found)
        names = input_names(found, whole)
        convert(whole, found, names, options.temperature or 1.0, folder / FP32)
        describe(folder / FP32, found, options)
        quantize(folder / FP32, folder / INT8)
        save_plain_tokenizer(found, whole.tokenizer, folder)
        text = onnx_code(found, names, whole.tokenizer)
        holds = [
            f"`{FP32}` (fp32) and `{INT8}` (weights in int8, activations quantised as they come) take "
            f"{', '.join(f'`{name}`' for name in names)} of shape (texts, tokens), both of any size, and give `logits` "
            "and `probabilities` of shape (texts, labels). onnxruntime and tokenizers are all that is needed."
        ]
        if options.temperature is not None:
            holds.append(
                f"`probabilities` are calibrated: the softmax of the logits divided by {options.temperature:.4g}, the "
                "temperature that fits the study's validation texts. `logits` are as trained."
            )
        fp32 = tuple(sorted(path.name for path in folder.glob(f"{FP32}*")))
        int8 = tuple(sorted(path.name for path in folder.glob(f"{INT8}*")))
        other = text.replace(f'"/{FP32}"', f'"/{INT8}"')
        variants = (Variant("fp32", text, fp32), Variant("int8", other, int8, exact=False))
        return Written(Form("onnx", tuple(holds), text), variants)


def input_names(found: Trained, whole: Plain) -> tuple[str, ...]:
    """What the graph is fed; a pair that becomes one text has no token types."""
    types = "token_type_ids" in whole.tokenizer.model_input_names and found.usage.join is None
    return ("input_ids", "attention_mask", *(["token_type_ids"] if types else []))


def graph_module(whole: Plain, found: Trained, temperature: float) -> torch.nn.Module:
    """A module from token ids (texts, tokens) to logits and probabilities (texts, labels)."""
    from torch import nn

    from thriftune.models.head import mean_of

    head, usage = whole.head, found.usage

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


def convert(whole: Plain, found: Trained, names: tuple[str, ...], temperature: float, path: Path) -> None:
    """Writes the fp32 graph with torch's exporter, or with its older one where that cannot trace the architecture."""
    import torch

    with quietly():
        if hasattr(whole.model, "set_attn_implementation"):
            whole.model.set_attn_implementation("eager")
    if getattr(whole.model.config, "use_cache", None):
        whole.model.config.use_cache = False
    whole.model.requires_grad_(False)
    module = graph_module(whole, found, temperature)
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
    raise InputError(
        f"{found.source.name} cannot be exported as onnx: torch cannot convert its architecture ({kind}): "
        f"{failed[0]} Export it with --format transformers."
    )


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


def describe(path: Path, found: Trained, options: Options) -> None:
    """Puts the labels, the longest text and the temperature into the graph's own metadata."""
    import json

    import onnx

    model = onnx.load(path, load_external_data=False)
    values = {"labels": json.dumps(list(found.labels), ensure_ascii=False), "max_tokens": str(found.usage.max_tokens)}
    if options.temperature is not None:
        values["temperature"] = repr(options.temperature)
    for key, value in values.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)


def quantize(source: Path, target: Path) -> None:
    """int8 weights by onnxruntime's dynamic quantisation: one scale per column, seven bits, exact on every processor.

    Without the VNNI instructions sums of eight-bit products overflow; with seven bits they do not.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    large = any(path.suffix == ".data" for path in source.parent.glob(f"{source.name}.*"))
    with quietly():
        quantize_dynamic(
            source, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
            use_external_data_format=large,
        )  # fmt: skip


def save_plain_tokenizer(found: Trained, tokenizer: Any, folder: Path) -> None:
    """tokenizer.json that cuts and pads by itself; a pair that becomes one text is cut by the card's code instead."""
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(found.folder / "tokenizer.json"))
    if found.usage.join is None:
        own.enable_truncation(found.usage.max_tokens, strategy="longest_first", direction=tokenizer.truncation_side)
    else:
        own.no_truncation()
    own.enable_padding(
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id or 0,
        pad_token=str(tokenizer.pad_token or "[PAD]"),
        pad_type_id=getattr(tokenizer, "pad_token_type_id", 0) or 0,
    )
    own.save(str(folder / "tokenizer.json"))


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


FORMAT = Onnx()
