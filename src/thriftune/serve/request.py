"""A request's body, from bytes to checked texts; what cannot be used is a `RefusalError` that says why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from thriftune.errors import InputError, did_you_mean, shortened
from thriftune.serve.limits import Limits
from thriftune.serve.models import Models
from thriftune.serve.refusal import RefusalError
from thriftune.use.rows import rows_of

EXAMPLES: list[Any] = [["a wonderful film", "two hours that I will not get back"]]


class PredictRequest(BaseModel):
    """What POST /predict takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    texts: Annotated[
        list[Any],
        Field(
            description="Texts, or pairs of texts for a classifier that was trained on two columns.",
            json_schema_extra={
                "items": {
                    "anyOf": [
                        {"type": "string"},
                        {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
                    ]
                },
                "examples": EXAMPLES,
            },
        ),
    ]
    model: Annotated[str | None, Field(description="The classifier's name; the first one if left out.")] = None
    probabilities: Annotated[bool, Field(description="Whether every label's probability is wanted.")] = False
    abstain: Annotated[
        float | None,
        Field(description="Below this confidence the label is null.", gt=0, le=1, allow_inf_nan=False),
    ] = None


class Prediction(BaseModel):
    """Of one text."""

    label: Annotated[str | None, Field(description="null where the confidence is below `abstain`.")]
    confidence: Annotated[float, Field(description="The probability of the most probable label.")]
    probabilities: Annotated[dict[str, float] | None, Field(description="By label, where they were asked for.")] = None


class PredictResponse(BaseModel):
    """What POST /predict answers."""

    model: str
    predictions: Annotated[list[Prediction], Field(description="In the order of the texts.")]


class ErrorResponse(BaseModel):
    """What every refusal answers."""

    error: Annotated[str, Field(description="What was given and what is allowed.")]


@dataclass(frozen=True)
class Question:
    """A request that can be answered."""

    model: str
    columns: list[list[str]]
    """One list of texts for each text column."""
    probabilities: bool
    abstain: float | None


def question(body: bytes, models: Models, limits: Limits) -> Question:
    """The checked content of a body; raises `RefusalError`."""
    asked = _validated(_parsed(body))
    name = models.default if asked.model is None else asked.model
    if name not in models.served:
        hint = did_you_mean(name, models.served) or "."
        raise RefusalError(404, f'No model is called "{shortened(name)}"{hint} Served: {", ".join(models.served)}.')
    if not asked.texts:
        raise RefusalError(422, "texts is empty. Give at least one text.")
    if len(asked.texts) > limits.texts:
        raise RefusalError(
            422, f"{len(asked.texts):,} texts are given; a request takes {limits.texts:,}. Send several."
        )
    try:
        rows = rows_of(asked.texts, models.served[name].model.count)
    except InputError as error:
        raise RefusalError(422, f"texts: {error}") from error
    for index, row in enumerate(rows):
        longest = max(map(len, row))
        if longest > limits.characters:
            raise RefusalError(
                422, f"texts: Item {index} has {longest:,} characters; {limits.characters:,} are allowed."
            )
    return Question(name, [list(column) for column in zip(*rows, strict=True)], asked.probabilities, asked.abstain)


def _parsed(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise RefusalError(400, 'The body is empty. Send {"texts": ["..."]}.')
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusalError(400, f"The body is not UTF-8: byte {error.start} does not belong there.") from error
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise RefusalError(400, "The body is nested too deeply to be read.") from error
    except ValueError as error:
        raise RefusalError(400, f"The body is not JSON: {shortened(str(error))}.") from error
    if not isinstance(found, dict):
        raise RefusalError(422, 'The body is not a JSON object. Send {"texts": ["..."]}.')
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _validated(found: dict[str, Any]) -> PredictRequest:
    known = PredictRequest.model_fields
    for name in found:
        if name not in known:
            hint = did_you_mean(name, known) or "."
            raise RefusalError(422, f'The field "{shortened(name)}" is not known{hint} Known: {", ".join(known)}.')
    try:
        return PredictRequest.model_validate(found)
    except ValidationError as error:
        raise RefusalError(422, " ".join(_sentence(each) for each in error.errors(include_url=False)[:5])) from error


def _sentence(error: Any) -> str:
    name = error["loc"][0]
    if error["type"] == "missing":
        return f'The field "{name}" is missing. Send {{"texts": ["..."]}}.'
    return f"{name}: {error['msg']}; {_shown(error['input'])} is given."


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return shortened(json.dumps(value), 80)
