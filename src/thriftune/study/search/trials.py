"""The trials of one cell's search, one after the other: drawn and remembered by Optuna, trained as runs are."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError, first_line
from thriftune.metrics import sign
from thriftune.results.search import CellSearch, Trial
from thriftune.study.file.search_settings import Choice, Dimension
from thriftune.study.file.search_space import is_whole
from thriftune.study.search.attempt import Attempt
from thriftune.study.search.job import NotSearched, SearchJob, Tell, TrialsDone, sampler_seed, trial_seed

if TYPE_CHECKING:
    import optuna

    from thriftune.methods.base import Method

STARTUP_TRIALS = 10
"""So many are drawn at random, before the sampler goes by what they scored."""
UNPRUNED_TRIALS = 5
"""So many must be complete before any is pruned."""
AGAIN = ("failed", "killed")
"""Trials that ended so tell nothing of their settings, and are made again in another session."""
RECORD = "thriftune"
"""The attribute of an Optuna trial that holds its `Trial`, or what is known of it when it begins."""


def run_trials(job: SearchJob, tell: Tell) -> TrialsDone | NotSearched:
    """Makes the trials that the search does not have yet, and returns all that its budget pays for, in order.

    A trial that ended is never made again, but for those that failed in an earlier session. One that was broken off is
    made again with the values and the seed that it had. What is drawn for a trial depends on the search's seed, the
    trial's number and the trials before it alone, so that a search which was interrupted is the same as any other.
    """
    try:
        with _opened(job) as (study, storage):
            return _Search(job, study, storage, tell).run()
    except InputError as error:
        return NotSearched(str(error))


@contextmanager
def _opened(job: SearchJob) -> Iterator[tuple[optuna.Study, optuna.storages.RDBStorage]]:
    """The cell's search in the study's database; raises `InputError` where that cannot be used."""
    import optuna
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = URL.create("sqlite", database=str(job.database)).render_as_string(hide_password=False)
    storage = None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        try:
            try:
                storage = optuna.storages.RDBStorage(url)
                study = optuna.create_study(
                    storage=storage, study_name=job.search.key, direction="maximize", load_if_exists=True
                )
            except RuntimeError as error:  # tables of another version of Optuna
                raise _unusable(job, error) from error
            study.set_user_attr("cell", job.search.cell)
            yield study, storage
        except SQLAlchemyError as error:
            raise _unusable(job, error) from error
        finally:
            if storage is not None:
                storage.remove_session()
                storage.engine.dispose()


def _unusable(job: SearchJob, error: Exception) -> InputError:
    if re.search("disk is full|readonly database|disk I/O error", str(error)):
        return InputError(
            f"{job.database} cannot be written: {first_line(error)}. Free some space, or allow writing there, and run the "
            "same command again: the trials that are done are kept."
        )
    return InputError(
        f"{job.database} cannot be used for the search: {first_line(error)}. Remove the file (the search then begins "
        "anew), or give another --out."
    )


@dataclass
class _Search:
    job: SearchJob
    study: optuna.Study
    storage: optuna.storages.RDBStorage
    tell: Tell
    params: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What was drawn before for trials that are to be made again, by number."""

    def run(self) -> TrialsDone:
        done = self._earlier()
        asked = self.job.settings
        for number in range(1, asked.trials + 1):
            found = replace(self.job.search, trials=[done[n] for n in sorted(done) if n < number])
            if asked.seconds is not None and found.seconds >= asked.seconds:
                break
            if number not in done:
                done[number] = self._make(number, found)
        everything = replace(self.job.search, trials=[done[number] for number in sorted(done)])
        return TrialsDone(everything.within(asked.trials, asked.seconds))

    def _earlier(self) -> dict[int, Trial]:
        """The trials that have ended, by number; those that were broken off are closed."""
        from optuna.trial import TrialState as Optuna

        done: dict[int, Trial] = {}
        frozen = self.study.get_trials(deepcopy=False)
        for each in frozen:
            record = each.user_attrs.get(RECORD)
            if each.state == Optuna.WAITING:
                self.storage.set_trial_state_values(each._trial_id, Optuna.FAIL)
                continue
            closed = each.state == Optuna.RUNNING
            if closed:
                record = self._close(each, record, last=each is frozen[-1])
            if record is None:
                continue
            if set(each.params) == set(self.job.space):
                self.params[record["number"]] = dict(each.params)
            if "state" not in record:
                continue
            if record["state"] in AGAIN and not closed and each.user_attrs.get("session") != self.job.session:
                continue
            done[record["number"]] = Trial(**record)
        return done

    def _close(self, frozen: Any, record: dict[str, Any] | None, last: bool) -> dict[str, Any] | None:
        """Ends a trial whose process is gone; where that died in it, the trial's record says so."""
        from optuna.trial import TrialState as Optuna

        storage, number = self.storage, frozen._trial_id
        if record is not None and last and self.job.died is not None:
            state, message = self.job.died
            params = self._decoded(frozen.params)
            ended = Trial(
                **record,
                params=params,
                state=state,
                score=None,
                message=message,
                epochs=None,
                steps=None,
                prefix_seconds=0.0,
                train_seconds=0.0,
                evaluate_seconds=0.0,
            )
            record = vars(ended)
            storage.set_trial_user_attr(number, RECORD, record)
            storage.set_trial_user_attr(number, "session", self.job.session)
            lost = Optuna.FAIL if state in AGAIN else Optuna.PRUNED
            storage.set_trial_state_values(number, lost)
            return record
        storage.set_trial_state_values(number, Optuna.FAIL)
        return record

    def _make(self, number: int, before: CellSearch) -> Trial:
        import optuna
        from optuna.trial import TrialState as Optuna

        settings = self.job.settings
        # Both are made afresh for every trial: their state must not depend on which trials one process made.
        self.study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            constant_liar=False,
            seed=sampler_seed(settings.seed, number),
        )
        median = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS)
        self.study.pruner = optuna.pruners.NopPruner() if settings.prune == "none" else median
        if number in self.params:
            self.study.enqueue_trial(self.params[number])
        open_trial = self.study.ask(_distributions(self.job.space, self.job.job.planned.method))
        seed = trial_seed(settings.seed, number)
        open_trial.set_user_attr(RECORD, {"number": number, "seed": seed})
        params = self._decoded(open_trial.params)
        made = Attempt(self.job, number, seed, params, open_trial, before, self.tell).run()
        open_trial.set_user_attr(RECORD, vars(made))
        open_trial.set_user_attr("session", self.job.session)
        if made.state == "complete":
            assert made.score is not None
            self.study.tell(open_trial, sign(before.select) * made.score)
        else:
            # Without a look at validation a pruned trial counts as the worst of all; a failed one not at all.
            self.study.tell(open_trial, state=Optuna.FAIL if made.state in AGAIN else Optuna.PRUNED)
        return made

    def _decoded(self, params: dict[str, Any]) -> dict[str, Any]:
        space = self.job.space
        return {
            key: json.loads(params[key]) if isinstance(space[key], Choice) else params[key]
            for key in space
            if key in params
        }


def _distributions(space: dict[str, Dimension], method: Method) -> dict[str, Any]:
    """Optuna's view of the space; values of a choice are their JSON, as it takes only single values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    out: dict[str, Any] = {}
    for key, dimension in space.items():
        if isinstance(dimension, Choice):
            out[key] = CategoricalDistribution([json.dumps(value) for value in dimension.values])
        elif is_whole(key, method, dimension):
            out[key] = IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
        else:
            out[key] = FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log)
    return out
