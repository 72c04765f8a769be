"""Records as the plain values that JSON holds, and back."""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

SCHEMA_VERSION = 1
"""A newer release raises it when a file of an earlier one could no longer be read as it is meant."""

T = TypeVar("T")


def record_from(kind: type[T], values: Any) -> T:
    """The record that plain values stand for; keys that it does not know, those of a newer release, are left out.

    Raises `ValueError`, which says where, when a value is missing or is not of the type that the record declares.
    """
    from pydantic import ValidationError
    from pydantic_core import to_json

    text = to_json(values, inf_nan_mode="strings")  # in JSON pydantic takes mappings for records; no record is infinite
    try:
        record: T = _adapter(cast(Any, kind)).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error
    return record


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def values_of(record: Any) -> Any:
    """A record, or what holds records, as plain values; of its `reasons` each stands beside its number, as NAME_reason.

    Lists of numbers are taken as they are: to copy the confusion matrix of hundreds of classes would take seconds.
    """
    if is_dataclass(record):
        values = {name: values_of(value) for name, value in vars(record).items()}
        return values | {f"{name}_reason": reason for name, reason in values.pop("reasons", {}).items()}
    if isinstance(record, dict):
        return {key: values_of(value) for key, value in record.items()}
    return (
        [values_of(each) for each in record]
        if isinstance(record, list) and is_dataclass(next(iter(record), None))
        else record
    )


def without_reasons(values: dict[str, Any] | None) -> dict[str, Any] | None:
    """The values of a record that has `reasons`, which `values_of` took apart; None stays."""
    if values is None:
        return None
    reasons = {key.removesuffix("_reason"): value for key, value in values.items() if key.endswith("_reason")}
    return {**values, "reasons": reasons}
