"""A machine that takes so long for a text."""

from __future__ import annotations

from thriftune.study.forecast.duration import Speed, Speeds


def speeds(seconds: float) -> Speeds:
    """Training steps of `full` take so many seconds for a text, the others as usual in proportion."""
    third = seconds / 3
    return Speeds(
        machine="2 processors",
        hidden=384,
        encoder=third,
        methods={
            "head_only": Speed(seconds / 50, 0.0, 0.0),
            "top_layers": Speed(third, 2 * third / 3, third / 3),
            "lora": Speed(0.8 * seconds, 0.0, third),
            "full": Speed(seconds, 0.0, third),
        },
    )
