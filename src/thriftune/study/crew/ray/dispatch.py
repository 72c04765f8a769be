"""Has Ray carry tasks out, and starts those again whose worker or node is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from thriftune.endings import asked_again, patient
from thriftune.errors import first_line
from thriftune.study.crew.ray.mailbox import Began, Mailbox, Message, Told
from thriftune.study.crew.ray.needs import Needs, Node
from thriftune.study.crew.ray.parcel import Made, Parcel, Unfit, Unseen
from thriftune.study.crew.ray.settings import RaySettings
from thriftune.study.run.process import FINISH_SECONDS

POLL_SECONDS = 0.3
PLACES_SECONDS = 1.0
"""Between two looks at what nodes there are."""
END_SECONDS = FINISH_SECONDS + 10.0
"""In which tasks that are to end must have; what still runs is killed."""
LOOK_SECONDS = 0.5
"""Between two looks at whether they have, and whether someone is out of patience."""


@dataclass
class Task:
    """Something for one node to do, and what became of it so far."""

    name: str
    needs: Needs
    parcel: Parcel
    losses: list[str] = field(default_factory=list)
    """Why it had to be started again, each time."""
    place: Began | None = None
    """Where it runs; None while it waits."""
    unplaced_since: float | None = None
    """Since when no node can hold it."""


@dataclass(frozen=True)
class Lost:
    """What came of a task that was given up."""

    why: str
    memory: bool = False
    """Whether a node killed it for want of memory, the last time."""


@dataclass
class Dispatch:
    """Carries tasks out on the connected cluster."""

    settings: RaySettings
    make: Callable[[Parcel, Any], Any]
    """What a node does with a parcel and the mailbox."""
    hear: Callable[[Task, Told], None]
    """Takes what a task tells."""
    notice: Callable[[str], None]
    """Takes a sentence on a task that is started again, or waits for a node."""
    visible: Callable[[Parcel], Parcel | None]
    """The parcel with the model where every node sees it; None where that cannot be."""
    broken: Callable[[Any], str | None] = lambda found: None
    """Why what was made counts as lost, as long as it may be started again; None where it does not."""
    _running: dict[Any, Task] = field(default_factory=dict)
    _looked: float = float("-inf")

    def outcomes(self, tasks: Iterator[Task]) -> Generator[tuple[Task, Made | Lost]]:
        """Each task with what came of it, in the order in which they end.

        Tasks are taken from the iterator one by one, while those before are under way. Closing the iterator, or an
        interrupt, ends them all.
        """
        mailbox = _mailbox()
        try:
            waiting = True
            while waiting or self._running:
                task = next(tasks, None) if waiting else None
                waiting = task is not None
                if task is not None:
                    self._submit(task, mailbox)
                yield from self._step(mailbox, 0.0 if waiting else POLL_SECONDS)
        finally:
            self._end(mailbox)

    def _submit(self, task: Task, mailbox: Any) -> None:
        import ray

        task.place = task.unplaced_since = None
        # A worker that took classes by value keeps them: it is not used again.
        made = ray.remote(max_retries=0, max_calls=int(task.parcel.by_value))(self.make)
        options = {"name": task.name, "scheduling_strategy": "SPREAD", **task.needs.options}
        self._running[made.options(**options).remote(task.parcel, mailbox)] = task

    def _step(self, mailbox: Any, seconds: float) -> Iterator[tuple[Task, Made | Lost]]:
        """Waits a little for tasks to end, passes on what is told, and looks whether what waits can be placed."""
        import ray

        if not self._running:
            return
        references = list(self._running)
        ended, _ = ray.wait(references, num_returns=1, timeout=seconds)
        if ended:
            ended, _ = ray.wait(references, num_returns=len(references), timeout=0)
        self._take(mailbox)
        for reference in ended:
            task = self._running[reference]
            found = self._outcome(reference, task)
            del self._running[reference]
            if found is None:
                self._submit(task, mailbox)
            else:
                yield task, found
        yield from self._unplaced()

    def _take(self, mailbox: Any) -> None:
        import ray

        messages: list[Message] = ray.get(mailbox.take.remote())
        tasks = {task.parcel.task: task for task in self._running.values()}
        for message in messages:
            task = tasks.get(message.task)
            if task is None or message.attempt != task.parcel.attempt:
                continue
            if isinstance(message.told, Began):
                task.place, task.unplaced_since = message.told, None
            self.hear(task, message.told)

    def _outcome(self, reference: Any, task: Task) -> Made | Lost | None:
        """What came of a task that has ended; None where it is to be started again."""
        import ray

        memory = False
        try:
            found = ray.get(reference)
        except ray.exceptions.RayError as error:
            memory = isinstance(error, ray.exceptions.OutOfMemoryError)
            why = _said(error, task)
        else:
            if isinstance(found, Unseen):
                return self._shown(found, task)
            if isinstance(found, Made):
                broken = self.broken(found.found)
                if broken is None or len(task.losses) >= self.settings.retries:
                    return found
                self._again(task, broken)
                return None
            why = found.why if isinstance(found, Unfit) else "it was asked to end there"
        if len(task.losses) >= self.settings.retries:
            return Lost(_given_up([*task.losses, why], self.settings.retries), memory)
        self._again(task, why)
        return None

    def _again(self, task: Task, why: str) -> None:
        task.losses.append(why)
        self.notice(f"{task.name} is started again ({len(task.losses)} of {self.settings.retries} times): {why}.")
        task.parcel = replace(task.parcel, attempt=task.parcel.attempt + 1)

    def _shown(self, found: Unseen, task: Task) -> Lost | None:
        parcel = self.visible(task.parcel)
        if parcel is None or parcel.model == task.parcel.model:
            return Lost(
                f"{found.host} does not see the model's folder {task.parcel.model}. Put it where all nodes see it, "
                "at the same path."
            )
        task.parcel = replace(parcel, attempt=parcel.attempt + 1)
        return None

    def _unplaced(self) -> Iterator[tuple[Task, Lost]]:
        """Gives up what has waited long enough for a node that could hold it."""
        import ray

        now = time.monotonic()
        waiting = {reference: task for reference, task in self._running.items() if task.place is None}
        if not waiting or now - self._looked < PLACES_SECONDS:
            return
        self._looked = now
        nodes = alive()
        for reference, task in waiting.items():
            why = task.needs.refusal(nodes)
            if why is None:
                task.unplaced_since = None
                continue
            if task.unplaced_since is None:
                task.unplaced_since = now
                if self.settings.patience:
                    self.notice(f"{task.name} waits {self.settings.patience:g} seconds for a node. {why}")
            if now - task.unplaced_since >= self.settings.patience:
                ray.cancel(reference)
                del self._running[reference]
                yield task, Lost(why if not task.losses else f"{why} Before: {'; '.join(task.losses)}.")

    def _end(self, mailbox: Any) -> None:
        """Has running tasks end, then sees to it that they have."""
        import ray

        try:
            if self._running:
                ray.get(mailbox.end.remote(), timeout=END_SECONDS)
                for reference, task in self._running.items():
                    if task.place is None:
                        ray.cancel(reference)
                self._await_all()
        except ray.exceptions.RayError:
            return  # the study's own node is gone, and Ray ends what belonged to it
        finally:
            for reference in self._running:
                ray.cancel(reference, force=True)
            self._running.clear()
            ray.kill(mailbox)

    def _await_all(self) -> None:
        """Waits for all tasks, but not for ever, and no longer when a second interrupt comes."""
        import ray

        until = time.monotonic() + END_SECONDS
        references = list(self._running)
        with patient():
            while time.monotonic() < until and not asked_again():
                ended, _ = ray.wait(references, num_returns=len(references), timeout=LOOK_SECONDS)
                if len(ended) == len(references):
                    return


def alive() -> list[Node]:
    """The cluster's nodes, without those that are gone."""
    import ray

    return [Node.of(found) for found in ray.nodes() if found["Alive"]]


def _mailbox() -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()


def _said(error: Exception, task: Task) -> str:
    """What was lost, in words."""
    import ray

    where = "the cluster" if task.place is None else task.place.host
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return f"{where} killed it, because the node ran out of memory"
    if isinstance(error, ray.exceptions.NodeDiedError):
        return f"the node {where} was lost"
    if isinstance(error, ray.exceptions.WorkerCrashedError | ray.exceptions.LocalRayletDiedError):
        return f"its worker on {where} was lost, or the whole node"
    cause = getattr(error, "cause", None) or error
    return f"on {where} it broke off ({type(cause).__name__}: {first_line(cause)})"


def _given_up(losses: list[str], retries: int) -> str:
    again = f"started again {retries} times, and " if retries else ""
    return f"The run was {again}lost: {'; '.join(dict.fromkeys(losses))}. The same compare goes on with it."
