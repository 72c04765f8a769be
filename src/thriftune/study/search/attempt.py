"""One trial of a search, from the values drawn for it to its record: trained as a run is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError, first_line
from thriftune.metrics import sign
from thriftune.results.search import CellSearch, Trial, TrialState
from thriftune.results.training import FittedBatch
from thriftune.study.events import RunProgress, RunTold, SearchProgress
from thriftune.study.file.search_space import searched_run
from thriftune.study.run.job import RunError
from thriftune.study.search.job import SearchJob, Tell

if TYPE_CHECKING:
    import optuna

    from thriftune.methods.base import Method
    from thriftune.study.search.watch import TrialWatch


@dataclass
class Attempt:
    """One trial, from the values drawn for it to its record."""

    job: SearchJob
    number: int
    seed: int
    params: dict[str, Any]
    open_trial: optuna.Trial
    before: CellSearch
    tell: Tell

    def run(self) -> Trial:
        """The trial; where it runs out of memory and the protocol says `fit_batch`, again with smaller batches."""
        made, batch = self._run(None), None
        while made.state == "out_of_memory" and (smaller := self._smaller(batch)) is not None:
            batch = smaller
            made = self._run(batch)
        return made

    def _smaller(self, batch: FittedBatch | None) -> FittedBatch | None:
        protocol = searched_run(self.job.job.planned, self.params).protocol
        if not protocol.fit_batch:
            return None
        return (batch or FittedBatch(protocol.batch_size, protocol.accumulate)).smaller()

    def _run(self, batch: FittedBatch | None) -> Trial:
        import torch

        from thriftune.engine.hooks import DivergedError, StopTraining
        from thriftune.engine.predict import score_of
        from thriftune.study.run.training import use_machine
        from thriftune.study.search.watch import TrialWatch

        select = self.before.select
        self._say(None)
        state: TrialState = "complete"
        score: float | None = None
        message: str | None = None
        watch = TrialWatch(None, select, None)
        try:
            run = replace(searched_run(self.job.job.planned, self.params), seed=self.seed)
            run = replace(self.job.job, planned=run, fitted=batch).executed.planned
            epochs = run.protocol.epochs
            watch = TrialWatch(epochs if isinstance(epochs, int) else None, select, self._report(run.method))
            use_machine(replace(self.job.job, planned=run))
            fit = _trained(replace(self.job.job, planned=run), watch, self._say)
            if fit.validation is None:
                raise InputError("a search needs a validation split")
            if abs(fit.validation.loss) < float("inf"):
                value = score_of(fit.validation, select)
                score = sign(select) * value
            else:
                state, message = "diverged", f"the validation loss is {fit.validation.loss}"
        except StopTraining as stopped:
            state, message = "pruned", str(stopped)
            score = None if watch.best is None else -watch.best if select == "loss" else watch.best
        except DivergedError as error:
            state, message = "diverged", str(error)
        except (torch.OutOfMemoryError, MemoryError) as error:
            state, message = "out_of_memory", first_line(error)
        except RunError as error:
            state = "out_of_memory" if error.status == "out_of_memory" else "failed"
            message = str(error)
        except InputError as error:
            state, message = "failed", str(error)
        except Exception as error:  # noqa: BLE001 - one trial's failure must not lose the others
            memory = "allocate memory" in str(error)
            state = "out_of_memory" if memory else "failed"
            message = f"{type(error).__name__}: {first_line(error)}"
        last = watch.points[-1] if watch.points else None
        return Trial(
            number=self.number,
            seed=self.seed,
            params=self.params,
            state=state,
            score=score,
            message=message,
            epochs=None if last is None else float(last.epoch),
            steps=None if last is None else last.step,
            prefix_seconds=self._prefix_seconds(watch),
            train_seconds=watch.train_seconds,
            evaluate_seconds=watch.evaluate_seconds,
        )

    def _report(self, method: Method) -> Any:
        """Tells Optuna how the trial stands; None where it trains several times, as with a list of rates."""
        if self.job.settings.prune == "none" or not isinstance(getattr(method, "learning_rate", None), int | float):
            return None

        def report(tick: int, score: float) -> bool:
            self.open_trial.report(score, tick)
            return self.open_trial.should_prune()

        return report

    def _prefix_seconds(self, watch: TrialWatch) -> float:
        """What the frozen layers cost, where no trial before had so many: the trials of a search share them."""
        paid = self.open_trial.study.user_attrs.get("prefixes", {})
        first = paid.setdefault(str(watch.prefix_layers), self.number)
        self.open_trial.study.set_user_attr("prefixes", paid)
        return watch.prefix_seconds if first == self.number else 0.0

    def _say(self, progress: RunTold | None) -> None:
        best = self.before.best
        asked = self.job.settings.trials
        mean = self.before.seconds / len(self.before.trials) if self.before.trials else None
        left = None if mean is None else mean * (asked - self.number + 1)
        if left is not None and self.job.settings.seconds is not None:
            left = min(left, self.job.settings.seconds - self.before.seconds)
        if not isinstance(progress, RunProgress | None):
            return
        training = progress if progress is not None and progress.stage == "training" else None
        self.tell(
            SearchProgress(
                name=self.before.cell,
                trial=self.number,
                trials=asked,
                select=self.before.select,
                best=None if best is None else best.score,
                seconds_left=left,
                epoch=None if training is None else training.epoch,
                epochs=None if training is None else training.epochs,
            )
        )


def _trained(job: Any, watch: TrialWatch, emit: Any) -> Any:
    """Trains a run on its training texts, looking at validation; returns the `Fit`."""
    from thriftune.study.run.rate_search import train
    from thriftune.study.run.training import Trainer

    job.out.mkdir(parents=True, exist_ok=True)
    return train(Trainer(job, job.examples(job.frames(texts=False)), watch, emit))[0].fit
