"""Stored models, ready to predict: the one place that reaches into models, methods, engine and data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from thriftune.errors import InputError
from thriftune.results.files import read_json
from thriftune.results.models.baseline import BaselineModel

if TYPE_CHECKING:
    from thriftune.data.tokens import Tokens
    from thriftune.engine.protocol import Protocol as EngineProtocol
    from thriftune.models.classifier import Classifier as Network
    from thriftune.models.trained.usage import Usage

USAGE, MAJORITY, TFIDF = "thriftune.json", "majority.json", "vocabulary.json"
BATCH_SIZE = 32
"""Of models that pad; the others run by tokens."""


class Model(Protocol):
    """What predicts. `texts` holds one list of texts for each of its columns, all of one length, which is not 0."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names, in id order."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The text columns that it was trained on; None where nothing says."""

    @property
    def count(self) -> int | None:
        """How many columns it reads; None where it reads none."""

    def probabilities(self, texts: list[list[str]]) -> np.ndarray:
        """(texts, labels), float64; not a number for a text without any token."""

    def vectors(self, texts: list[list[str]]) -> np.ndarray:
        """What the head reads of each text: (texts, hidden), float32. Raises `InputError` where there is no head."""


def is_model(folder: Path) -> bool:
    """Whether a folder is what a run stores as its model."""
    return any((folder / name).is_file() for name in (USAGE, MAJORITY, TFIDF))


def load_model(
    folder: Path, labels: tuple[str, ...] | None, columns: tuple[str, ...] | None, device: str, threads: int | None
) -> Model:
    """The model of a run. `labels` and `columns` are what the run's record says: baselines of earlier releases do not.

    Raises `InputError` where files are missing or not what a run stores.
    """
    if (folder / USAGE).is_file():
        return _transformer(folder, device, threads)
    if (own := BaselineModel.read(folder)) is not None:
        labels, columns = own.labels or labels, own.columns or columns
    if labels is None:
        raise InputError(
            f"{folder} does not say what its labels are called: they are in the run.json beside it, which is not "
            "there. Give the run's folder."
        )
    return _baseline(folder, labels, columns)


@dataclass(frozen=True)
class Plain:
    """A baseline."""

    fitted: Any
    labels: tuple[str, ...]
    columns: tuple[str, ...] | None
    count: int | None

    def probabilities(self, texts: list[list[str]]) -> np.ndarray:
        """As `Model` says."""
        return np.asarray(self.fitted.predict(texts), dtype=np.float64)

    def vectors(self, texts: list[list[str]]) -> np.ndarray:
        """There are none."""
        raise InputError("This model has no vectors of texts: it is no transformer. Take another run, or predict.")


def _baseline(folder: Path, labels: tuple[str, ...], columns: tuple[str, ...] | None) -> Plain:
    from thriftune.methods import tfidf
    from thriftune.methods.majority import FittedMajority

    count = None
    try:
        if (folder / MAJORITY).is_file():
            fitted: Any = FittedMajority(np.array(read_json(folder / MAJORITY)["shares"], dtype=np.float64))
        else:
            fitted = tfidf.load(folder)
            count = 1 + max((column for column, _ in fitted.blocks), default=-1) or None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The model in {folder} cannot be read ({error}). Train it again.") from error
    if fitted.shares.shape != (len(labels),):
        raise InputError(f"The model in {folder} has {fitted.shares.size} labels, its run.json names {len(labels)}.")
    return Plain(fitted, labels, columns, count if columns is None else len(columns))


@dataclass(frozen=True)
class Transformer:
    """A transformer with its head, on the engine's fast path."""

    network: Network
    reader: Reader
    protocol: EngineProtocol
    columns: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """In id order."""
        return self.network.labels

    @property
    def count(self) -> int:
        """One or two."""
        return len(self.columns)

    def probabilities(self, texts: list[list[str]]) -> np.ndarray:
        """As `Model` says."""
        from thriftune.engine.examples import Examples
        from thriftune.engine.predict import log_softmax, predict

        rows, tokens = self._tokens(texts)
        out = np.full((len(texts[0]), len(self.labels)), np.nan)
        if len(rows):
            logits = predict(self.network, Examples(tokens, np.zeros(len(rows), np.int64)), self.protocol)
            out[rows] = np.exp(log_softmax(logits))
        return out

    def vectors(self, texts: list[list[str]]) -> np.ndarray:
        """As `Model` says: the head's input on the first token (a decoder's last), or the mean where it reads that."""
        import torch

        from thriftune.engine.examples import Examples
        from thriftune.engine.predict import logit_batches, token_read

        rows, tokens = self._tokens(texts)
        seen: list[torch.Tensor] = []

        def keep(module: torch.nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            if not seen:
                seen.append(next(each for each in (*inputs, *named.values()) if isinstance(each, torch.Tensor)))

        hooks = [part.register_forward_pre_hook(keep, with_kwargs=True) for part in self.network.head_modules]
        out = np.full((len(texts[0]), 0), np.nan, dtype=np.float32)
        try:
            examples = Examples(tokens, np.zeros(len(rows), np.int64))
            for indices, _ in logit_batches(self.network, examples, self.protocol) if len(rows) else ():
                read = seen.pop()
                if read.ndim == 3:
                    read = read[torch.arange(len(indices)), token_read(self.network, tokens.lengths[indices])]
                if not out.shape[1]:
                    out = np.full((len(texts[0]), read.shape[-1]), np.nan, dtype=np.float32)
                out[rows[indices]] = read.float().cpu().numpy()
        finally:
            for hook in hooks:
                hook.remove()
        return out

    def _tokens(self, texts: list[list[str]]) -> tuple[np.ndarray, Tokens]:
        """The rows whose texts have tokens, and those."""
        tokens = self.reader(texts)
        rows = np.flatnonzero(tokens.lengths)
        offsets = np.concatenate([[0], np.cumsum(tokens.lengths[rows])])
        return rows, tokens if len(rows) == len(tokens) else replace(tokens, offsets=offsets)


@dataclass(frozen=True)
class Reader:
    """Texts to tokens as in training (`data.tokens.encode`), with a tokenizer that is made once."""

    tokenizer: Any
    usage: Usage
    types: bool

    @cached_property
    def _plain(self) -> Any:
        from thriftune.data.plain_tokenizer import plain_tokenizer

        plain = plain_tokenizer(self.tokenizer)
        if self.usage.join is None:
            side = self.tokenizer.truncation_side
            plain.enable_truncation(self.usage.max_tokens, strategy="longest_first", direction=side)
        return plain

    def __call__(self, texts: list[list[str]]) -> Tokens:
        """The tokens of texts, one list for each text column."""
        from thriftune.data.tokens import Tokens

        plain, join, types = self._plain, self.usage.join, None
        if join is None:
            batch: Any = list(zip(*texts, strict=True)) if len(texts) > 1 else texts[0]
            encoded = plain.encode_batch_fast(batch)
            ids = [each.ids for each in encoded]
            types = [each.type_ids for each in encoded] if self.types else None
        else:
            parts = (plain.encode_batch_fast(column, add_special_tokens=False) for column in texts)
            ids = [join(first.ids, second.ids) for first, second in zip(*parts, strict=True)]
        offsets = np.concatenate([[0], np.cumsum([len(each) for each in ids], dtype=np.int64)])
        flat = np.fromiter((token for each in ids for token in each), np.int32, int(offsets[-1]))
        segments = np.zeros(len(flat), np.uint8) if self.types else None
        if types is not None:
            segments = np.fromiter((kind for each in types for kind in each), np.uint8, len(flat))
        return Tokens(flat, segments, offsets, truncated=0)


def _transformer(folder: Path, device: str, threads: int | None) -> Transformer:
    import torch

    from thriftune.cost.measured.environment import use_all_processors
    from thriftune.engine.gpu.precision import use_precision
    from thriftune.engine.protocol import Protocol as EngineProtocol
    from thriftune.models.pretrained.tokenizer import load_tokenizer, token_types
    from thriftune.models.trained.usage import Usage

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if threads is not None:
        torch.set_num_threads(threads)
    elif device == "cpu":
        use_all_processors()
    usage = Usage.read(folder)
    network = _network(folder, usage)
    network.tokenizer = tokenizer = load_tokenizer(folder)
    network.padding_side = "left" if tokenizer.padding_side == "left" else "right"
    network.reads_padding = usage.alone
    network.move(device)
    precision = "fp32" if usage.precision == "tf32" and device == "cpu" else usage.precision
    protocol = EngineProtocol(max_tokens=usage.max_tokens, precision=precision, batch_size=BATCH_SIZE)
    use_precision(protocol)
    return Transformer(
        network, Reader(tokenizer, usage, token_types(network.config, tokenizer)), protocol, usage.columns
    )


def _network(folder: Path, usage: Usage) -> Network:
    """The encoder and the trained head: from the folder alone, or as an adapter of its base."""
    from safetensors.torch import load_file

    from thriftune.models.head import HeadSettings
    from thriftune.models.pretrained.load import load_classifier
    from thriftune.models.trained.reload import _base

    names = read_json(folder / "config.json")["id2label"]
    labels = tuple(str(names[key]) for key in sorted(names, key=int))
    head = HeadSettings(type=usage.head)
    if usage.base is None:
        network = load_classifier(folder, labels, head, stored_head=True)
    else:
        network = load_classifier(Path(_base(usage.base, folder)), labels, head)
        if not usage.frozen:
            _adapt(network, folder, merge=usage.precision == "fp32")
    if head.bare:
        network.network.get_submodule("classifier").load_state_dict(load_file(folder / "head.safetensors"))
    if usage.normalize:
        network.network.dropout = _unit_length()  # between what the head reads and its Linear
    network.network.requires_grad_(False)
    return network


def _adapt(network: Network, folder: Path, merge: bool) -> None:
    """Adds the stored adapter; a LoRA update is added to its matrices, so that it costs nothing."""
    from peft import PeftModel, PromptLearningConfig

    from thriftune.models.pretrained.quiet import quiet

    target: Any = network.encoder if network.head.bare else network.network
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that is going away
        wrapped: Any = PeftModel.from_pretrained(target, str(folder))
        config = wrapped.peft_config["default"]
        network.input_tuner = isinstance(config, PromptLearningConfig)
        if merge and config.peft_type == "LORA":
            wrapped.merge_and_unload()
        else:
            network.peft = wrapped


def _unit_length() -> Any:
    import torch

    class UnitLength(torch.nn.Module):
        def forward(self, read: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(read, dim=-1)

    return UnitLength()


def model_files(folder: Path) -> dict[str, list[int]]:
    """Size and time of every file of a model's folder, by name: what tells whether it is still the same."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files}
