"""More than two processes, and fewer: one that dies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine.parallel.helping import PROTOCOL, Die, Training, compare, helped, shared, train
from tests.tiny_models import model_folder

from thriftune.engine.hooks import Hook
from thriftune.engine.parallel.team import Team


@pytest.mark.slow
def test_three_processes(tmp_path: Path) -> None:
    with helped(3) as own:
        compare(Training(model_folder("bert"), "lora", replace(PROTOCOL, epochs=4), texts=34), tmp_path, own)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_training(tmp_path: Path) -> None:
    class Killing(Hook):
        def __init__(self, own: Team) -> None:
            self.own = own

        def epoch_ended(self) -> None:
            self.own.tell(Die())

    training = Training(model_folder("bert"), "full", replace(PROTOCOL, epochs=3), texts=40)
    with helped() as own, shared(own):
        with pytest.raises(RuntimeError):
            train(training, tmp_path, own, (Killing(own),))
        lost = own.lost()
        assert lost is not None
        assert lost.rank == 1
