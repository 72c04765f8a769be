"""An adapter as PEFT stores it, with its head, naming its base."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from thriftune.export.form import Form
from thriftune.export.formats.base import Format, Options, Variant, Written, copy_tokenizer, weight_files
from thriftune.export.trained import Trained
from thriftune.models.trained.usage import code


class Peft(Format):
    """The adapter alone: small, and the base stays what it is."""

    NAME: ClassVar[str] = "peft"
    SUMMARY: ClassVar[str] = "the adapter with its head as PEFT stores it, beside the base that it names"

    def refusal(self, found: Trained) -> str | None:
        """What is no adapter."""
        return None if found.adapter else "it is no adapter, its method is none of PEFT's"

    def write(self, found: Trained, folder: Path, options: Options) -> Written:
        """Writes it; a base that is a folder here is named by a relative path."""
        usage, base = found.usage, found.usage.base
        assert base is not None
        if found.base is not None:
            base = Path(os.path.relpath(found.base.resolve(), folder.resolve())).as_posix()
            base = base if base.startswith(".") else f"./{base}"
            usage = replace(usage, base=base)
        for path in found.folder.iterdir():
            if path.suffix == ".safetensors" or path.name in ("config.json", "labels.json"):
                shutil.copyfile(path, folder / path.name)
        config = json.loads((found.folder / "adapter_config.json").read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        copy_tokenizer(found, folder)
        usage.write(folder)  # the card replaces its README
        where = "a path from this folder; it must lie there" if found.base is not None else "a model on the hub"
        holds = [f"A PEFT adapter with its trained head. Its base is `{base}` ({where})."]
        if usage.head != "own":
            holds.append(
                "Its head, one Linear on the bare encoder, is in head.safetensors: PEFT has none of that kind."
            )
        text = code(usage)
        notes = () if found.base is None else (f"The adapter needs its base, {base}, seen from its folder.",)
        form = Form("peft", tuple(holds), text, base if found.base is None else None)
        return Written(form, (Variant("adapter", text, weight_files(folder)),), notes)


FORMAT = Peft()
