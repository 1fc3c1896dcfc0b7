"""New maps on demand: umap-learn in a child process, one run at a time for all visitors.

A run takes seconds to minutes and would hold Python's global lock, so it has a process of its own,
of one thread and low priority: who draws keeps the processors. Process and server speak through
pipes, and nothing is written to disk; a server that dies takes the process with it, which reads the
end of its input when idle and cannot send its next report when busy. It stays for a while after a
run: importing umap-learn and compiling it takes longer than laying out a thousand codes.
"""

import atexit
import json
import logging
import math
import os
import re
import secrets
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

METRICS = ("euclidean", "cosine", "manhattan", "correlation")
# umap-learn's own 5 blurs neighbourhoods: the VAE map's trustworthiness is .914 at 5, .963 at 40.
NEGATIVE_SAMPLES = 40
N_NEIGHBORS = (2, 200)
RANGES = {
    "n_neighbors": (int, *N_NEIGHBORS),
    "min_dist": (int | float, 0, 0.99),
    "seed": (int, 0, 2**31 - 1),
    "dimensions": (int, 2, 3),
}
ARRAYS, CODES, NUMBERS = 2, 10_000, 784  # most in one job: arrays, codes of each, numbers of each

WAITING = 8  # jobs; who comes then is sent away
ABANDONED_S = 20.0  # a job nobody asked about for so long belongs to a visitor who left
KEPT, KEPT_S = 16, 300.0  # results, and how long
IDLE_S = 120.0  # how long the process stays after its last run

# By path and without the folder, where the package would import torch: two seconds and 200 MB.
COMMAND = (sys.executable, "-P", "-W", "ignore", __file__)
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Points = NDArray[np.float32]
Stage = Literal["starting", "neighbours", "layout"]
Progress = Callable[[Stage, int, int], None]

log = logging.getLogger(__name__)


class Busy(Exception):  # noqa: N818 - a state of the server, no fault
    """As many jobs wait as may."""


@dataclass(frozen=True)
class Settings:
    """What umap-learn is told; each is a parameter of `fit`.

    Raises:
        ValueError: one is out of range.
    """

    n_neighbors: int = 15
    min_dist: float = 0.1
    metric: str = "euclidean"
    seed: int = 1
    dimensions: int = 2

    def __post_init__(self) -> None:
        for name, (kind, low, high) in RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or not low <= value <= high:
                raise ValueError(f"expected {name} in {low} … {high}, got {value!r}")
        if self.metric not in METRICS:
            raise ValueError(f"expected a metric of {METRICS}, got {self.metric!r}")


@dataclass(frozen=True, eq=False)
class State:
    """How far a job is.

    Attributes:
        kind: "unknown" are jobs that never were and those long over.
        ahead: of a waiting job, how many come before it, the running one included.
        stage: of a running job: the process starts, it looks for each code's neighbours, it lays
            them out.
        array, arrays: which of the job's arrays it is at, and how many there are.
        done, total: epochs of the layout; 0 of 0 in the other stages.
        points: of a job that is done, (N, dimensions) for each array, the others oriented onto the
            first.
        message: of a failed job, what went wrong.
    """

    kind: Literal["waiting", "running", "done", "cancelled", "failed", "unknown"]
    ahead: int = 0
    stage: Stage = "starting"
    array: int = 0
    arrays: int = 1
    done: int = 0
    total: int = 0
    points: tuple[Points, ...] = ()
    message: str = ""


# One run ------------------------------------------------------------------------------------------


class Epochs:
    """The file into which umap-learn's progress bar prints; passes its numbers on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def write(self, text: str) -> None:
        if bar := re.search(r"(\d+)/(\d+)", text):
            self.progress("layout", int(bar[1]), int(bar[2]))

    def flush(self) -> None:
        pass


def fitted(
    codes: ArrayLike,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    metric: str = "euclidean",
    seed: int = 1,
    dimensions: int = 2,
    negative_samples: int = NEGATIVE_SAMPLES,
    progress: Progress | None = None,
) -> Any:
    """A `umap.UMAP` fitted to codes; the same seed gives the same map on the same machine.

    Takes about 90 s for 10,000 codes, and the first call ten seconds more: numba compiles.

    Args:
        codes: (N, Z).
        n_neighbors: how far a neighbourhood reaches, 2 … N.
        min_dist: how tightly points may be packed, in units of the map.
        metric: any of umap-learn's.
        dimensions: of the map.
        negative_samples: how many random points push at each point for every neighbour that
            pulls (umap-learn's `negative_sample_rate`).
        progress: called with stage, epochs done and epochs in all.

    Returns:
        An object whose `embedding_` is the map, (N, dimensions) float32, and whose `transform`
        places new codes.
    """
    tell = progress or (lambda *_: None)
    tell("starting", 0, 0)
    import umap

    tell("neighbours", 0, 0)
    bar = {"file": Epochs(tell), "bar_format": "{n_fmt}/{total_fmt}", "disable": progress is None}
    return umap.UMAP(
        n_neighbors=n_neighbors,
        min_dist=min_dist,
        metric=metric,
        n_components=dimensions,
        negative_sample_rate=negative_samples,
        random_state=seed,
        n_jobs=1,  # what a fixed seed demands
        tqdm_kwds=bar,
    ).fit(np.ascontiguousarray(codes, dtype=np.float32))


def fit(codes: ArrayLike, *settings: Any, **more: Any) -> Points:
    """The map alone, (N, dimensions) float32; arguments as those of `fitted`."""
    return np.asarray(fitted(codes, *settings, **more).embedding_, dtype=np.float32)


def orient(points: Points, onto: Points) -> Points:
    """Turn, mirror and shift a map, never stretch it, to lie as closely as it can on another.

    Args:
        points, onto: (N, D), row by row the same digits.
    """
    turn, shift = motion(points, onto)
    return (points @ turn + shift).astype(np.float32)


def motion(points: Points, onto: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What `orient` does: points @ turn (D, D) + shift (D,).

    The orthogonal Procrustes problem (Schönemann 1966).
    """
    middle, target = (places.mean(0, dtype=np.float64) for places in (points, onto))
    u, _, vt = np.linalg.svd((points - middle).T @ (onto - target))
    turn = u @ vt
    return turn, target - middle @ turn


# The child process --------------------------------------------------------------------------------


def send(stream: IO[bytes], message: dict[str, Any], *arrays: Points) -> None:
    """A line of JSON, then the bytes of the arrays whose shapes it tells."""
    stream.write(json.dumps(message).encode() + b"\n")
    for array in arrays:
        stream.write(array.data)
    stream.flush()


def receive(stream: IO[bytes], shape: Sequence[int]) -> Points:
    """The next array of a stream; EOFError if it ends before."""
    size = 4 * math.prod(shape)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return np.frombuffer(bytearray(data), np.float32).reshape(shape)


def serve() -> None:
    """What the process does: one job after the other, until its input ends."""
    if hasattr(os, "nice"):
        os.nice(10)
    jobs, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what libraries print is no answer
    for line in jobs:
        job = json.loads(line)
        arrays = [receive(jobs, shape) for shape in job["shapes"]]
        for index, codes in enumerate(arrays):

            def progress(stage: Stage, done: int, total: int, array: int = index) -> None:
                send(answers, {"stage": stage, "array": array, "done": done, "total": total})

            try:
                points = fit(codes, **job["settings"], progress=progress)
            except Exception as error:
                traceback.print_exc()
                send(answers, {"error": f"{type(error).__name__}: {error}"})
                break
            send(answers, {"shape": points.shape}, points)


def lay_out(
    process: subprocess.Popen[bytes],
    arrays: Sequence[Points],
    settings: Settings,
    report: Callable[[dict[str, Any]], None],
) -> list[Points]:
    """Have a process lay arrays out; `report` is told of stage, array, done and total.

    Raises:
        OSError, EOFError, ValueError: the process failed or is gone.
    """
    assert process.stdin and process.stdout
    job = {"settings": asdict(settings), "shapes": [array.shape for array in arrays]}
    send(process.stdin, job, *arrays)
    points: list[Points] = []
    while len(points) < len(arrays):
        line = process.stdout.readline()
        if not line:
            raise EOFError(f"the process ended with status {process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        if "shape" in answer:
            points.append(receive(process.stdout, answer["shape"]))
        else:
            report(answer)
    return points


# The queue ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Job:
    """What a visitor waits for; once it is over, `ended` says when and the arrays are let go."""

    arrays: tuple[Points, ...]
    settings: Settings
    asked: float  # when somebody last asked for its state
    state: State = State("waiting")
    ended: float | None = None


class Projections:
    """The queue of all visitors and the thread that works it off. Thread-safe.

    Args:
        command: starts the process.
        clock: seconds.
        idle_s: how long the process stays after its last run.
    """

    def __init__(
        self,
        command: Sequence[str] = COMMAND,
        clock: Callable[[], float] = time.monotonic,
        idle_s: float = IDLE_S,
    ) -> None:
        self.command, self.clock, self.idle_s = command, clock, idle_s
        self.jobs: dict[str, Job] = {}  # by token, in the order they came
        self.process: subprocess.Popen[bytes] | None = None
        self.worker: threading.Thread | None = None
        self.closed = False
        self.changed = threading.Condition()  # the one lock, over all of the above
        atexit.register(self.close)

    def submit(self, arrays: Sequence[ArrayLike], settings: Settings) -> str:
        """Put a job in the queue.

        Args:
            arrays: 1 or 2, each (N, Z) with the same N ≤ 10,000 and Z ≤ 784; row by row the same
                digits. They are not copied: leave them as they are.

        Returns:
            The job's token, which only its visitor knows.

        Raises:
            ValueError: arrays have wrong shapes, are not finite, or have too few codes.
            Busy: 8 jobs wait, or the server stops.
        """
        codes = tuple(np.ascontiguousarray(array, dtype=np.float32) for array in arrays)
        shapes = [array.shape for array in codes]
        if (
            not 1 <= len(codes) <= ARRAYS
            or any(array.ndim != 2 or not 1 <= array.shape[1] <= NUMBERS for array in codes)
            or len({len(array) for array in codes}) != 1
            or len(codes[0]) > CODES
        ):
            raise ValueError(
                f"expected 1 … {ARRAYS} arrays (N ≤ {CODES}, Z ≤ {NUMBERS}) of one N, got {shapes}"
            )
        if len(codes[0]) <= settings.n_neighbors:
            raise ValueError(
                f"expected more than n_neighbors = {settings.n_neighbors} codes, "
                f"got {len(codes[0])}"
            )
        if not all(np.isfinite(array).all() for array in codes):
            raise ValueError("expected finite codes, got NaN or infinity")
        with self.changed:
            self._sweep()
            if self.closed or len(self._waiting()) >= WAITING:
                raise Busy
            token = secrets.token_urlsafe(16)
            self.jobs[token] = Job(codes, settings, asked=self.clock())
            if self.worker is None:
                self.worker = threading.Thread(target=self._work, name="projections", daemon=True)
                self.worker.start()
            self.changed.notify_all()
        return token

    def state(self, token: str) -> State:
        """How far a job is. Ask at least every 20 s, or it is cancelled."""
        with self.changed:
            if token in self.jobs:
                self.jobs[token].asked = self.clock()
            self._sweep()
            job = self.jobs.get(token)
            if job is None:
                return State("unknown")
            if job.state.kind != "waiting":
                return job.state
            left = [one for one in self.jobs.values() if one.ended is None]
            return State("waiting", ahead=left.index(job))

    def cancel(self, token: str) -> State:
        """End a job, killing the process if it runs; nothing happens to a job that is over."""
        with self.changed:
            if token in self.jobs:
                self._end(self.jobs[token], State("cancelled"))
            return self.state(token)

    def close(self) -> None:
        """Cancel all and wait until thread and process are gone."""
        with self.changed:
            self.closed = True
            for job in self.jobs.values():
                self._end(job, State("cancelled"))
            worker = self.worker
            self.changed.notify_all()
        if worker is not None:
            worker.join()
        atexit.unregister(self.close)

    # With the lock held:

    def _waiting(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.state.kind == "waiting"]

    def _end(self, job: Job, state: State) -> None:
        """A job is over, unless it was before."""
        if job.ended is not None:
            return
        if job.state.kind == "running" and state.kind == "cancelled" and self.process:
            self.process.kill()  # the worker reaps it
        job.state, job.ended, job.arrays = state, self.clock(), ()

    def _sweep(self) -> None:
        """Cancel what nobody asks for, forget what is long over."""
        now = self.clock()
        for job in self.jobs.values():
            if now - job.asked > ABANDONED_S:
                self._end(job, State("cancelled"))
        over = [(job.ended, token) for token, job in self.jobs.items() if job.ended is not None]
        over.sort(key=lambda one: one[0])
        for index, (ended, token) in enumerate(over):
            if now - ended > KEPT_S or index < len(over) - KEPT:
                del self.jobs[token]

    def _stop(self) -> None:
        """End the process, leaving neither zombie nor pipes."""
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None

    # In the worker's thread:

    def _work(self) -> None:
        while job := self._next():
            try:
                first, *others = self._run(job)
                end = State("done", points=(first, *(orient(one, first) for one in others)))
            except Exception as error:  # whatever it is, the next job is another one
                end = State("failed", message=str(error))
            with self.changed:
                if job.ended is not None:  # cancelled, and its process killed
                    self._stop()
                elif end.kind == "failed":
                    self._stop()
                    log.error("Projection failed, %s: %s", job.settings, end.message)
                self._end(job, end)

    def _next(self) -> Job | None:
        """The next job; None and no process any more if none comes."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self._waiting(), self.idle_s)
            self._sweep()
            for job in self._waiting():
                job.state = State("running", arrays=len(job.arrays))
                return job
            self._stop()
            self.worker = None
            return None

    def _run(self, job: Job) -> list[Points]:
        with self.changed:
            if job.ended is not None:
                raise EOFError
            if self.process and self.process.poll() is not None:  # died of itself since
                self._stop()
            if not self.process:
                self.process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=os.environ | dict.fromkeys(THREADS, "1"),
                    start_new_session=True,  # Ctrl-C is the server's
                )
            arrays, process = job.arrays, self.process
        return lay_out(process, arrays, job.settings, lambda told: self._tell(job, told))

    def _tell(self, job: Job, told: dict[str, Any]) -> None:
        with self.changed:
            if job.ended is None:
                job.state = State("running", arrays=len(job.arrays), **told)
            self._sweep()  # whoever asked for this job may have left


if __name__ == "__main__":
    serve()
