"""Every tensor of an encoder comes from its checkpoint, or nothing is loaded and the reason is said."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.pretrained.faults import Tensors, classifier_folder, copied, rewrite
from tests.tiny_data import LABELS
from tests.tiny_models import model_folder

from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.check import check_model
from thriftune.models.pretrained.load import load_classifier, load_config, skeleton
from thriftune.models.pretrained.sources import resolve_model, weight_files, weights_hash
from thriftune.models.pretrained.tokenizer import load_tokenizer
from thriftune.models.trained.save import save_classifier

KINDS = ("bert", "distilbert", "deberta-v2")
LOADS: dict[str, Callable[[Path], object]] = {
    "whole": lambda folder: load_classifier(folder, LABELS),
    "without": lambda folder: load_classifier(folder, LABELS, without=1),
    "linear": lambda folder: load_classifier(folder, LABELS, HeadSettings(type="linear")),
    "check": lambda folder: check_model(folder, LABELS),
}
LAYER = {"bert": "encoder.layer.1.", "distilbert": "transformer.layer.1.", "deberta-v2": "encoder.layer.1."}
WIDE = {
    "bert": "encoder.layer.1.intermediate.dense.weight",
    "distilbert": "transformer.layer.1.ffn.lin1.weight",
    "deberta-v2": "encoder.layer.1.intermediate.dense.weight",
}
LAYERS = {"bert": "num_hidden_layers", "distilbert": "n_layers", "deberta-v2": "num_hidden_layers"}
HIDDEN = {"bert": "hidden_size", "distilbert": "dim", "deberta-v2": "hidden_size"}


def refused(folder: Path, message: str) -> None:
    for name, load in LOADS.items():
        with pytest.raises(InputError) as error:
            load(folder)
        assert re.search(message, str(error.value)), f"{name}: {error.value}"


@pytest.mark.parametrize("kind", KINDS)
class TestEncoder:
    def test_one_missing_layer(self, kind: str, tmp_path: Path) -> None:
        layer = LAYER[kind]
        folder = copied(tmp_path / "m", kind, lambda t: {n: v for n, v in t.items() if not n.startswith(layer)})
        refused(folder, rf"1\d tensors are missing \(\S*{layer}\S+")

    def test_one_missing_tensor(self, kind: str, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", kind, lambda t: {n: v for n, v in t.items() if n != WIDE[kind]})
        refused(folder, rf"1 tensor is missing \(\S*{WIDE[kind]}\)")

    def test_a_renamed_tensor(self, kind: str, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", kind, lambda t: {n.replace(WIDE[kind], "my.linear"): v for n, v in t.items()})
        refused(folder, rf"{WIDE[kind]}\); 1 tensor is of the file not the model's \(my\.linear\)")

    def test_a_transposed_tensor(self, kind: str, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", kind, lambda t: t | {WIDE[kind]: t[WIDE[kind]].T})
        refused(folder, rf"{WIDE[kind]} is \(32, 48\), the model has \(48, 32\)")

    def test_more_layers_than_the_file_has(self, kind: str, tmp_path: Path) -> None:
        refused(copied(tmp_path / "m", kind, **{LAYERS[kind]: 5}), r"tensors are missing \(\S*layer\.3\.")

    def test_fewer_layers_than_the_file_has_are_said(self, kind: str, tmp_path: Path) -> None:
        classifier = load_classifier(copied(tmp_path / "m", kind, **{LAYERS[kind]: 2}), LABELS)
        assert any("of the checkpoint are not used (first: " in note for note in classifier.notes)

    def test_another_hidden_size(self, kind: str, tmp_path: Path) -> None:
        refused(copied(tmp_path / "m", kind, **{HIDDEN[kind]: 64}), r"of another shape \(\S+ is \(\d+(, \d+|,)\)")

    def test_another_vocabulary(self, kind: str, tmp_path: Path) -> None:
        refused(copied(tmp_path / "m", kind, vocab_size=7), r"word_embeddings\.weight is .*, the model has \(7, 32\)")

    def test_a_vocabulary_beyond_memory(self, kind: str, tmp_path: Path) -> None:
        refused(copied(tmp_path / "m", kind, vocab_size=99_000_000), "of another shape")

    def test_integer_weights(self, kind: str, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", kind, lambda t: t | {WIDE[kind]: t[WIDE[kind]].long()})
        refused(folder, rf"integers or quantised: {WIDE[kind]} is I64")

    def test_weights_that_are_no_numbers(self, kind: str, tmp_path: Path) -> None:
        value = {"bert": float("nan"), "distilbert": float("inf")}.get(kind, -float("inf"))

        def spoil(tensors: Tensors) -> None:
            tensors[WIDE[kind]][3, 4] = value

        with pytest.raises(InputError, match=rf"NaN or infinite numbers: {WIDE[kind]}\. .*download"):
            check_model(copied(tmp_path / "m", kind, spoil), LABELS)

    def test_known_prefixes_are_left_out(self, kind: str, tmp_path: Path) -> None:
        named = dict(load_classifier(model_folder(kind), LABELS).network.named_parameters())
        for prefix in ("module.", "model.", "_orig_mod.module.", "encoder.", "0.auto_model."):
            folder = tmp_path / prefix
            copied(folder, kind, lambda t, prefix=prefix: {prefix + n: v for n, v in t.items()})
            for without in (None, 1):
                found = load_classifier(folder, LABELS, without=without)
                assert any(f'begin with "{prefix}"' in note for note in found.notes)
                assert (found.stored is not None) == (without is not None)
                for name, parameter in found.network.named_parameters():
                    assert parameter.is_meta or torch.equal(parameter, named[name]), name
        check_model(folder, LABELS)

    def test_a_wrapped_classifier_keeps_its_head(self, kind: str, tmp_path: Path) -> None:
        folder = classifier_folder(tmp_path / "m", kind, LABELS)
        expected = load_classifier(folder, LABELS)
        rewrite(folder, lambda t: {f"module.{n}": v for n, v in t.items()})
        found = load_classifier(folder, LABELS)
        for name, parameter in found.network.named_parameters():
            assert torch.equal(parameter, expected.network.get_parameter(name)), name

    def test_two_encoders_in_one_file(self, kind: str, tmp_path: Path) -> None:
        for prefixes in (("model.", "module."), ("encoder.", "")):
            folder = tmp_path / prefixes[0]
            copied(folder, kind, lambda t, own=prefixes: {p + n: v.clone() for p in own for n, v in t.items()})
            if all(prefixes):
                refused(folder, r"tensors are missing .* not the model's \(mod")
            else:
                assert any("are not used (first: encoder." in note for note in load_classifier(folder, LABELS).notes)

    def test_an_unknown_prefix(self, kind: str, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", kind, lambda t: {f"teacher.{n}": v for n, v in t.items()})
        refused(folder, r"tensors are missing .* not the model's \(teacher\.")

    def test_an_index_over_all_shards(self, kind: str, tmp_path: Path) -> None:
        folder = sharded(tmp_path / "m", kind)
        found, expected = load_classifier(folder, LABELS), load_classifier(model_folder(kind), LABELS)
        assert all(torch.equal(a, b) for a, b in zip(found.network.parameters(), expected.network.parameters()))
        assert [path.name for path in weight_files(folder)] == ["part-1.safetensors", "part-2.safetensors"]

    def test_an_index_without_one_shard(self, kind: str, tmp_path: Path) -> None:
        folder = sharded(tmp_path / "m", kind)
        change_index(folder, lambda where: {n: f for n, f in where.items() if f != "part-2.safetensors"})
        refused(folder, "tensors are missing")


def sharded(folder: Path, kind: str) -> Path:
    copied(folder, kind)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {}
    for number, names in enumerate([sorted(tensors)[::2], sorted(tensors)[1::2]], start=1):
        save_file({name: tensors[name] for name in names}, folder / f"part-{number}.safetensors")
        where |= dict.fromkeys(names, f"part-{number}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return folder


def change_index(folder: Path, change: Callable[[dict[str, str]], Any]) -> None:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": change(json.loads(path.read_text())["weight_map"])}))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_quantised_weights(dtype: torch.dtype, tmp_path: Path) -> None:
    name = WIDE["bert"]
    refused(copied(tmp_path / "m", "bert", lambda t: t | {name: t[name].to(dtype)}), rf"quantised: {name} is ")


def test_a_saved_adapter_and_quantised_tensors_have_their_own_remedy(tmp_path: Path) -> None:
    name = "encoder.layer.1.attention.self.query."

    def wrapped(tensors: Tensors) -> Tensors:
        renamed = {f"base_model.model.{n.replace(name, name + 'base_layer.')}": v for n, v in tensors.items()}
        return renamed | {f"base_model.model.{name}lora_A.default.weight": torch.ones(4, 32)}

    refused(copied(tmp_path / "lora", "bert", wrapped), rf"{name}.*merge_and_unload")
    packed = {f"{name}qweight": torch.ones(4, 32, dtype=torch.int32)}
    folder = copied(tmp_path / "gptq", "bert", lambda t: {n: v for n, v in t.items() if n != f"{name}weight"} | packed)
    refused(folder, rf"{name}.*give the model that was not quantised")


def test_buffers_that_old_checkpoints_hold(tmp_path: Path) -> None:
    """GPT-2's files have its attention masks, as bytes, under the name of a bias."""
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=50, n_positions=16)).save_pretrained(tmp_path)
    masks = {f"transformer.h.{n}.attn.bias": torch.ones(1, 1, 16, 16, dtype=torch.uint8) for n in range(2)}
    rewrite(tmp_path, lambda tensors: tensors | masks)
    check_model(tmp_path, LABELS)
    masks["transformer.h.0.attn.c_attn.weight"] = torch.ones(32, 96, dtype=torch.uint8)
    rewrite(tmp_path, lambda tensors: tensors | masks)
    with pytest.raises(InputError, match="c_attn"):
        check_model(tmp_path, LABELS)


class TestIndex:
    @pytest.mark.parametrize("name", ["../model.safetensors", "/etc/hostname", "a/../../x", "..\\x", "C:x", ""])
    def test_names_outside_the_folder(self, name: str, tmp_path: Path) -> None:
        folder = sharded(tmp_path / "m", "bert")
        change_index(folder, lambda where: where | {sorted(where)[0]: name})
        refused(folder, "not a file inside the folder")

    def test_a_missing_file(self, tmp_path: Path) -> None:
        folder = sharded(tmp_path / "m", "bert")
        (folder / "part-1.safetensors").unlink()
        refused(folder, r'names the weight file "part-1\.safetensors", which is not there')

    def test_a_tensor_that_its_file_does_not_hold(self, tmp_path: Path) -> None:
        folder = sharded(tmp_path / "m", "bert")
        change_index(folder, lambda where: where | {"more.weight": "part-1.safetensors"})
        refused(folder, r"more\.weight is in part-1\.safetensors, which does not hold it")

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "{"])
    def test_no_index(self, text: str, tmp_path: Path) -> None:
        folder = sharded(tmp_path / "m", "bert")
        (folder / "model.safetensors.index.json").write_text(text)
        refused(folder, r"index\.json(, line 1 is not JSON| holds \[\]| has no \"weight_map\")")

    def test_links_of_the_hubs_cache(self, tmp_path: Path) -> None:
        """A snapshot's files are links into a folder of blobs."""
        copied(tmp_path / "blobs", "bert")
        (tmp_path / "snapshot").mkdir()
        for path in (tmp_path / "blobs").iterdir():
            os.symlink(Path("../blobs") / path.name, tmp_path / "snapshot" / path.name)
        check_model(tmp_path / "snapshot", LABELS)


class TestFiles:
    def test_git_lfs_pointers(self, tmp_path: Path) -> None:
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
        for name in ("model.safetensors", "config.json"):
            folder = copied(tmp_path / name, "bert")
            (folder / name).write_bytes(pointer)
            refused(folder, rf"{name} is a Git LFS pointer.*git lfs pull")
        folder = copied(tmp_path / "tokenizer", "bert")
        (folder / "tokenizer.json").write_bytes(pointer)
        with pytest.raises(InputError, match="Git LFS pointer"):
            load_tokenizer(folder)

    @pytest.mark.parametrize("size", [0, 5, 1000, -1])
    def test_cut_short(self, size: int, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert")
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:size])
        refused(folder, "cannot be loaded .* cut short")

    def test_a_pickle_that_runs_code(self, tmp_path: Path) -> None:
        class Attack:
            def __reduce__(self) -> Any:
                return os.mkdir, (str(tmp_path / "attacked"),)

        folder = copied(tmp_path / "m", "bert")
        (folder / "model.safetensors").unlink()
        torch.save({"x": Attack()}, folder / "pytorch_model.bin")
        refused(folder, "without running code from them, which is never done")
        assert not (tmp_path / "attacked").exists()

    @pytest.mark.parametrize("zipped", [True, False])
    def test_pytorch_files_are_read(self, zipped: bool, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert")
        tensors = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
        check_model(folder, LABELS)
        classifier = load_classifier(folder, LABELS, without=1)
        name = "embeddings.word_embeddings.weight"
        assert torch.equal(classifier.encoder.get_parameter(name), tensors[name])
        tensors["encoder.layer.0.output.dense.weight"][0, 0] = float("nan")
        torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
        with pytest.raises(InputError, match="NaN"):
            check_model(folder, LABELS)

    @pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 cut"])
    def test_pytorch_files_that_are_none(self, content: bytes, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert")
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(content)
        refused(folder, r"pytorch_model\.bin cannot be loaded")

    def test_a_training_checkpoint_is_no_state_dict(self, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert")
        tensors = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        torch.save({"model_state_dict": tensors, "epoch": 3}, folder / "pytorch_model.bin")
        refused(folder, r"hold dict \(keys model_state_dict, epoch\), a mapping from names to tensors is needed")

    def test_files_that_are_not_loaded_are_named(self, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert")
        (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
        refused(folder, r"no weights \(model\.safetensors\)\. It holds model\.fp16\.safetensors, which is not loaded")

    def test_what_is_loaded_is_what_is_hashed(self, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert")
        before = weights_hash(folder)
        for name in ("model.fp16.safetensors", "consolidated.safetensors", "head.safetensors", "pytorch_model.bin"):
            (folder / name).write_bytes(b"another")
        assert weights_hash(folder) == before
        check_model(folder, LABELS)
        rewrite(folder, lambda t: {name: value + 1 for name, value in t.items()})
        assert weights_hash(folder) != before

    def test_old_names_of_layer_norms(self, tmp_path: Path) -> None:
        old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

        def rename(tensors: Tensors) -> Tensors:
            renamed = {"embeddings.position_ids": torch.arange(64)[None]}
            for name, value in tensors.items():
                part = ".".join(name.split(".")[-2:])
                renamed["bert." + name.replace(part, old.get(part, part))] = value
            return renamed

        folder = copied(tmp_path / "m", "bert", rename)
        for prefix in ("", "module."):
            rewrite(folder, lambda t, prefix=prefix: {prefix + n: v for n, v in t.items()})
            found = load_classifier(folder, LABELS)
            for name, parameter in load_classifier(model_folder("bert"), LABELS).network.named_parameters():
                assert torch.equal(parameter, found.network.get_parameter(name)), name
            check_model(folder, LABELS)

    def test_a_pretrainings_head_is_a_note(self, tmp_path: Path) -> None:
        def masked(tensors: Tensors) -> Tensors:
            kept = {f"bert.{n}": v for n, v in tensors.items() if not n.startswith("pooler.")}
            return kept | {"cls.predictions.bias": torch.zeros(3), "cls.predictions.decoder.weight": torch.zeros(3, 32)}

        classifier = load_classifier(copied(tmp_path / "m", "bert", masked), LABELS)
        assert "2 tensors of the checkpoint are not used (first: cls.predictions.bias)." in classifier.notes

    def test_half_a_pooler(self, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert", lambda t: {n: v for n, v in t.items() if n != "pooler.dense.bias"})
        with pytest.raises(InputError, match=r"1 tensor is missing \(bert\.pooler\.dense\.bias\)"):
            load_classifier(folder, LABELS)

    def test_another_type_vocabulary(self, tmp_path: Path) -> None:
        refused(copied(tmp_path / "m", "bert", type_vocab_size=5), r"token_type_embeddings\.weight is \(2, 32\)")


class TestLayouts:
    def test_a_model_and_an_adapter(self, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert")
        (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')
        refused(folder, r"holds a PEFT adapter .* base model \(some/base\), or merge .*merge_and_unload")
        with pytest.raises(InputError, match="holds a PEFT adapter"):
            resolve_model(str(folder))

    @pytest.mark.parametrize("text", ["", "[]", '{"base_model_name_or_path": null}'])
    def test_an_adapter_alone(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "adapter_config.json").write_text(text)
        (tmp_path / "adapter_model.safetensors").write_bytes(b"")
        with pytest.raises(InputError, match=r"holds a PEFT adapter .*Name its base model, or merge"):
            resolve_model(str(tmp_path))

    @pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.safetensors", "adapter_config.json"])
    def test_any_file_of_an_adapter_beside_a_model(self, name: str, tmp_path: Path) -> None:
        (copied(tmp_path / "m", "bert") / name).write_bytes(b"")
        refused(tmp_path / "m", rf"holds a PEFT adapter \({name}\), which is not a model by itself")

    @pytest.mark.parametrize("name", ["encoder", "model/inner"])
    def test_sentence_transformers_with_folders_of_other_names(self, name: str, tmp_path: Path) -> None:
        shutil.copytree(model_folder("bert"), tmp_path / "m" / name)
        (tmp_path / "m" / "modules.json").write_text(json.dumps([{"idx": 0, "path": name}, {"path": "1_Pooling"}]))
        with pytest.raises(InputError, match=rf"old sentence-transformers.* Give \S+{name} as the model"):
            resolve_model(str(tmp_path / "m"))

    def test_the_folder_of_a_lora_run(self, tmp_path: Path) -> None:
        classifier = load_classifier(model_folder("bert"), LABELS)
        find("lora")().apply(classifier, torch.Generator().manual_seed(0))
        save_classifier(classifier, tmp_path)
        refused(tmp_path, "holds a PEFT adapter")

    @pytest.mark.parametrize("name", ["0_Transformer", "0_BERT", "0_RoBERTa"])
    @pytest.mark.parametrize("config", [True, False])
    def test_old_sentence_transformers(self, name: str, config: bool, tmp_path: Path) -> None:
        shutil.copytree(model_folder("bert"), tmp_path / "m" / name)
        (tmp_path / "m" / "1_Pooling").mkdir()
        (tmp_path / "m" / "1_Pooling" / "config.json").write_text("{}")
        (tmp_path / "m" / "modules.json").write_text("[]")
        if config:
            shutil.copy(model_folder("bert") / "config.json", tmp_path / "m")
        with pytest.raises(InputError, match=rf"old sentence-transformers.* Give \S+{name} as the model"):
            check_model(resolve_model(str(tmp_path / "m")), LABELS)
        check_model(resolve_model(str(tmp_path / "m" / name)), LABELS)

    def test_new_sentence_transformers_are_models(self, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert")
        (folder / "modules.json").write_text("[]")
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text("{}")
        shutil.copytree(folder / "1_Pooling", folder / "2_Dense")
        check_model(resolve_model(str(folder)), LABELS)


class TestConfig:
    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '"bert"', "3", "\udcff", "[" * 100_000])
    def test_no_json_object(self, text: str, tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert")
        (folder / "config.json").write_bytes(text.encode(errors="surrogateescape"))
        refused(
            folder,
            r"config\.json(, line 1 is not JSON| cannot be read| is not UTF-8| holds .*; it must be a JSON object)",
        )
        with pytest.raises(InputError, match=r"config\.json"):
            weights_hash(folder)

    @pytest.mark.parametrize(
        "change",
        [
            {"hidden_size": "many"},
            {"hidden_size": 33},
            {"hidden_size": -32},
            {"hidden_size": []},
            {"hidden_size": 10**12},
            {"num_attention_heads": 0},
            {"num_hidden_layers": 10**9},
            {"num_hidden_layers": -1},
            {"num_hidden_layers": "3"},
            {"vocab_size": None},
            {"hidden_act": "no-such"},
            {"hidden_act": 3},
            {"id2label": ["a", "b"]},
            {"id2label": {"a": "b"}},
            {"model_type": 3},
            {"model_type": "no-such-thing"},
            {"model_type": ["bert"]},
            {"layer_norm_eps": "small"},
            {"auto_map": 5, "model_type": "no-such"},
            {"architectures": 3},
        ],
    )
    def test_values_of_wrong_types(self, change: dict[str, Any], tmp_path: Path) -> None:
        refused(copied(tmp_path / "m", "bert", **change), r"config\.json|cannot be loaded|another shape|label")

    @pytest.mark.parametrize(
        "change",
        [
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            {"compression_config": {"x": 1}},
        ],
    )
    def test_quantised(self, change: dict[str, Any], tmp_path: Path) -> None:
        folder = copied(tmp_path / "m", "bert", **change)
        refused(folder, "describes a quantised model")
        with pytest.raises(InputError, match="quantised"):
            skeleton(folder, LABELS)


class TestCode:
    AUTO: ClassVar[dict[str, Any]] = {
        "AutoConfig": "evil.Config",
        "AutoModel": "evil.Model",
        "AutoModelForSequenceClassification": "evil.Model",
        "AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"],
    }

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A model whose code leaves a trace where it is run; nothing answers a question."""
        folder = copied(tmp_path / "m", "bert", auto_map=self.AUTO)
        (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\nModel = Config\n")
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": self.AUTO}))
        monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asks"))
        return folder

    def test_a_known_type_is_the_librarys(self, folder: Path, tmp_path: Path) -> None:
        for load in LOADS.values():
            load(folder)
        assert type(load_classifier(folder, LABELS).network).__module__.startswith("transformers.")
        assert type(load_classifier(folder, LABELS).tokenizer).__module__.startswith("transformers.")
        skeleton(folder, LABELS)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("kind", ["my-bert", None, ""])
    def test_an_unknown_type_is_refused(self, kind: str | None, folder: Path, tmp_path: Path) -> None:
        rewrite(folder, model_type=kind)
        refused(folder, r"\(auto_map\)\. Code from a model's folder is never run")
        with pytest.raises(InputError, match="never run"):
            skeleton(folder, LABELS)
        load_tokenizer(folder)
        assert not (tmp_path / "ran").exists()

    def test_a_known_type_without_such_a_class(self, folder: Path, tmp_path: Path) -> None:
        rewrite(folder, model_type="vit")
        with pytest.raises(InputError, match=r"has no classifier of texts.*never run"):
            load_classifier(folder, LABELS)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
    def test_a_kernel_from_the_hub(self, key: str, folder: Path) -> None:
        rewrite(folder, **{key: "kernels-community/flash-attn"})
        with pytest.raises(InputError, match="kernel to download"):
            load_config(folder)
