"""One row of the GPU benchmark, in a process of its own: `python benchmarks/gpu_row.py JSON` prints its result.

The model has random weights in the shape of a published one, and the texts have random tokens and the lengths of SNLI
pairs: neither changes what a step costs. The head, LoRA's settings and all dropout rates are the published study's.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models
from transformers import (
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)

from thriftune.data.tokens import Tokens
from thriftune.engine import graphs
from thriftune.engine.batches import Examples, training_batches
from thriftune.engine.cache import PrefixCache
from thriftune.engine.cut import run_prefix
from thriftune.engine.graphs import steps_of
from thriftune.engine.precision import use_precision
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, Steps, build_optimizer
from thriftune.engine.train import Hook, Progress, Task, fit, synchronize
from thriftune.methods import find
from thriftune.methods.base import TransformerMethod
from thriftune.models.classifier import Classifier
from thriftune.models.device import pretend
from thriftune.models.head import HeadSettings
from thriftune.models.load import load_classifier, quiet

LENGTHS = Path(__file__).parent / "snli_lengths.json"
LABELS = ("entailment", "neutral", "contradiction")
HEAD = HeadSettings(type="linear", dropout=0.5)
LORA: dict[str, Any] = {"rank": 8, "alpha": 16, "dropout": 0.1}
AGREEMENT = 1e-3
"""The largest relative difference that 50 losses may have."""
CHECKED_BATCHES, CHECKED_STEPS, CHECKED_RATE = 10, 50, 0.1
"""At a tenth of the learning rate, so few texts are not learned by heart, after which losses would say nothing."""
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


def config_of(model: str, smoke: bool) -> PretrainedConfig:
    """The published shape, or a tiny one of the same kind."""
    small: dict[str, Any] = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 200}
    if model == "bert":
        return BertConfig(**small, num_hidden_layers=3) if smoke else BertConfig()
    if model == "distilbert":
        tiny = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "vocab_size": 200}
        return DistilBertConfig(**tiny) if smoke else DistilBertConfig()
    large = {"hidden_size": 1536, "num_attention_heads": 24, "intermediate_size": 6144, "vocab_size": 128100}
    return DebertaV2Config(
        **(small if smoke else large),
        num_hidden_layers=10 if smoke else 48,
        max_position_embeddings=512,
        type_vocab_size=0,
        layer_norm_eps=1e-7,
        relative_attention=True,
        position_buckets=16 if smoke else 256,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_biased_input=False,
        max_relative_positions=-1,
        conv_kernel_size=3,
        conv_act="gelu",
    )


def model_folder(job: Job) -> Path:
    """A folder with random weights, made on the device, and a tokenizer that nothing uses."""
    folder = job.folder / job.row.model
    if not folder.exists():
        torch.manual_seed(0)
        with quiet(), torch.device(job.device):
            network = AutoModel.from_config(config_of(job.row.model, job.smoke), dtype=torch.float32)
        unfinished = folder.with_suffix(".tmp")
        network.save_pretrained(unfinished)
        words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
        PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
            unfinished
        )
        unfinished.rename(folder)
        del network
        release()
    return folder


def texts_of(job: Job, vocabulary: int) -> Examples:
    """Random tokens and labels; lengths as SNLI's validation pairs have them."""
    rng = np.random.default_rng(0)
    counts = {int(length): count for length, count in json.loads(LENGTHS.read_text(encoding="utf-8")).items()}
    lengths = rng.permutation(np.repeat(list(counts), list(counts.values())))
    lengths = np.resize(lengths, job.texts).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(5, vocabulary, offsets[-1]).astype(np.int32)
    types = np.zeros(offsets[-1], dtype=np.uint8) if job.row.model == "bert" else None
    return Examples(Tokens(ids, types, offsets, 0), rng.integers(0, len(LABELS), job.texts))


def classifier_of(job: Job, dropout: bool, cut: bool) -> Classifier:
    """The model as the study layer loads it: with `cut`, the layers below the trained ones stay in the file."""
    row, folder = job.row, model_folder(job)
    config = config_of(row.model, job.smoke)
    without = config.num_hidden_layers - row.layers if cut and row.layers is not None else None
    classifier = load_classifier(folder, LABELS, HEAD, row.model, 0, without)
    row.method.apply(classifier, torch.Generator().manual_seed(0))
    if not dropout:
        for module in classifier.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    classifier.move(job.device)
    return classifier


def agreement(job: Job) -> float:
    """The largest relative difference of 50 losses from those of transformers' eager forward on padded batches."""
    ours = checked_losses(job, job.protocol(), steps_of)
    release()
    reference = job.protocol(padding="longest", frozen_dropout="on")
    theirs = checked_losses(job, reference, lambda step, changed_between: step)
    release()
    return float(np.max(np.abs(ours - theirs) / np.abs(theirs)))


def checked_losses(job: Job, protocol: Protocol, choose: Callable[[Step, bool], Steps]) -> np.ndarray:
    """Mean losses of the same few batches again and again, so that graphs are recorded and replayed; no dropout."""
    use_precision(protocol)
    ours = protocol.padding == "none"
    classifier = classifier_of(job, dropout=False, cut=ours)
    classifier.encoder.set_attn_implementation("eager")
    examples = texts_of(job, classifier.config.vocab_size)
    batches = training_batches(len(examples), protocol.batch_size, 0, 0)[:CHECKED_BATCHES]
    examples, batches = first_texts(examples, batches)
    if ours:
        examples = run_prefix(classifier, {"train": examples}, protocol, PrefixCache(None))["train"]
    classifier.train_mode(frozen_dropout=not ours)
    rate = CHECKED_RATE * job.row.method.learning_rates[0]
    torch.manual_seed(0)
    step = Step(classifier, examples, protocol, build_optimizer(classifier, protocol.optimizer, rate))
    rounds = CHECKED_STEPS // len(batches)
    groups = [[batch] for batch in batches * rounds]
    losses = [r.loss.clone() / r.texts for r in choose(step, False).epoch(groups, [rate] * len(groups))]
    return np.asarray(torch.stack(losses).cpu().numpy())


def first_texts(examples: Examples, batches: list[np.ndarray]) -> tuple[Examples, list[np.ndarray]]:
    """Only the texts of some batches, and those batches with their new numbers: a prefix of all would take long."""
    tokens, chosen = examples.tokens, np.concatenate(batches)
    parts = [slice(tokens.offsets[text], tokens.offsets[text + 1]) for text in chosen]
    offsets = np.concatenate([[0], np.cumsum(tokens.lengths[chosen])])
    ids = np.concatenate([tokens.ids[part] for part in parts])
    types = None if tokens.types is None else np.concatenate([tokens.types[part] for part in parts])
    ends = np.cumsum([len(batch) for batch in batches])
    renumbered = np.split(np.arange(len(chosen)), ends[:-1])
    return Examples(Tokens(ids, types, offsets, 0), examples.labels[chosen]), renumbered


@dataclass
class Watch(Hook):
    """Seconds of each whole epoch, and the allocator's peak over all steps."""

    until: float
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    late: bool = False

    def train_started(self, step: Step) -> None:
        """What was allocated before does not count."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def stepped(self, progress: Progress) -> None:
        """Ends the training when its time is up."""
        if time.time() > self.until:
            self.late = True
            raise TimeoutError

    def epoch_trained(self, seconds: float) -> None:
        """A whole epoch counts."""
        if not self.late:
            self.seconds.append(seconds)
            self.peak_bytes = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def trained(job: Job, protocol: Protocol, examples: Examples, classifier: Classifier) -> tuple[Watch, list[str]]:
    """A training by the loop itself; what it did until the time was up."""
    watch = Watch(job.until)
    rate = job.row.method.learning_rates[0]
    try:
        notes = fit(Task(classifier, examples, None, protocol, rate, 0, job.folder / "best"), [watch]).notes
    except TimeoutError:
        notes = []
    synchronize(classifier.device)
    return watch, notes


def speed(job: Job) -> dict[str, Any]:
    """Samples per second and peak memory of our engine; the prefix lies on the host and is counted apart."""
    classifier = classifier_of(job, dropout=True, cut=True)
    examples = texts_of(job, classifier.config.vocab_size)
    use_precision(job.protocol())
    with tempfile.TemporaryDirectory(dir=job.folder) as cache:
        examples = run_prefix(classifier, {"train": examples}, job.protocol(), PrefixCache(Path(cache)))["train"]
        watch, notes = trained(job, job.protocol(), examples, classifier)
    prefix = examples.prefix
    found = {
        "prefix_seconds": None if prefix is None else prefix.seconds,
        "prefix_host_gb": None if prefix is None else prefix.values.nbytes / 1e9,
        "notes": notes,
    }
    if len(watch.seconds) < 2:
        return {**found, "reason": f"not measured: the time was up after {len(watch.seconds)} epochs"}
    per_epoch = statistics.median(watch.seconds[1:])
    return {
        **found,
        "samples_per_second": len(examples) / per_epoch,
        "epoch_seconds": watch.seconds,
        "peak_gb": None if watch.peak_bytes is None else watch.peak_bytes / 1e9,
    }


def without_graphs(job: Job) -> dict[str, Any]:
    """The same batches and kernels, launched one by one: what the graphs alone gain."""
    classifier = classifier_of(job, dropout=True, cut=True)
    small = replace(job, row=replace(job.row, texts=100 * job.row.batch_size))
    examples = texts_of(small, classifier.config.vocab_size)
    examples = run_prefix(classifier, {"train": examples}, job.protocol(), PrefixCache(None))["train"]
    before = graphs.RECORDED_VISIT
    graphs.RECORDED_VISIT = sys.maxsize
    try:
        watch, _ = trained(job, job.protocol(2), examples, classifier)
    finally:
        graphs.RECORDED_VISIT = before
    return {"without_graphs_samples_per_second": _last(watch, len(examples))}


def study_setting(job: Job) -> dict[str, Any]:
    """As the published study trained: padded to 256, frozen layers and their dropout in every step, no graphs."""
    classifier = classifier_of(job, dropout=True, cut=False)
    small = replace(job, row=replace(job.row, texts=50 * job.row.batch_size))
    examples = texts_of(small, classifier.config.vocab_size)
    protocol = job.protocol(2, padding="max", max_tokens=256, frozen_dropout="on")
    watch, _ = trained(job, protocol, examples, classifier)
    return {
        "study_setting_samples_per_second": _last(watch, len(examples)),
        "study_setting_peak_gb": None if watch.peak_bytes is None else watch.peak_bytes / 1e9,
    }


def _last(watch: Watch, texts: int) -> float | None:
    return texts / watch.seconds[-1] if len(watch.seconds) > 1 else None


def release() -> None:
    """Hands memory back, cuBLAS's workspaces too; no graph may be alive that uses them."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch._C._cuda_clearCublasWorkspaces()  # type: ignore[attr-defined]
        torch.cuda.empty_cache()


class Again:
    """In place of CUDA graphs where there is no GPU: a recording is the work itself."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def run(self, work: Callable[[], None]) -> None:
        """Runs it."""
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Hands it back."""
        return work


@contextmanager
def surroundings(smoke: bool) -> Iterator[None]:
    """The GPU's code on a CPU, for a smoke test."""
    if not smoke:
        yield
        return
    before, graphs.CudaGraphs = graphs.CudaGraphs, Again  # type: ignore[assignment, misc]
    try:
        with pretend("cuda"):
            yield
    finally:
        graphs.CudaGraphs = before  # type: ignore[misc]


def measured(job: Job) -> dict[str, Any]:
    """The row's figures; no speed where losses disagree. Further columns come as long as there is time."""
    with surroundings(job.smoke):
        difference = agreement(job)
        found: dict[str, Any] = {"loss_difference": difference}
        if not difference <= AGREEMENT:
            found["reason"] = f"no speed: {CHECKED_STEPS} losses differ from the eager reference by {difference:.2g}"
            return found
        found |= speed(job)
        release()
        further = [without_graphs, *([study_setting] if job.row.study_setting else [])]
        for part in further if "reason" not in found else []:
            if time.time() < job.until - (0 if job.smoke else 10):
                found |= part(job)
                release()
        return found


def main() -> None:
    """Runs the row that the JSON names: {"row", "folder", "until", "smoke"}."""
    request = json.loads(sys.argv[1])
    job = Job(BY_NAME[request["row"]], Path(request["folder"]), request["until"], request["smoke"])
    print(json.dumps(measured(job)))


if __name__ == "__main__":
    main()
