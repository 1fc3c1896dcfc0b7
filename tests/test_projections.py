"""Jobs against umap-learn called directly; the queue with a process that only pretends."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vae_demo import projections
from vae_demo.projections import Busy, Points, Projections, Settings, State, fit, orient

CODES = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)

# What a pretended fit does, by the seed.
FINE, ENDLESS, SILENT, WRONG, DEAD = range(5)
# By path, as the server starts it: the package imports torch.
HERE = f"import sys; sys.path.append({str(Path(projections.__file__).parent)!r})"
PRETEND = f"""
{HERE}
import os, pathlib, projections, threading
running = pathlib.Path(sys.argv[1])

def fit(codes, n_neighbors, min_dist, metric, seed, dimensions, progress):
    if seed == {WRONG}:
        raise ValueError("no such map")
    if seed == {DEAD}:
        os._exit(7)
    print("what libraries print is no answer", flush=True)
    progress("layout", 1, 9)
    while seed == {ENDLESS}:
        progress("layout", 2, 9)
        threading.Event().wait(0.01)
    while seed == {SILENT}:
        threading.Event().wait()
    running.open("x").close()  # fails if there is another
    running.unlink()
    return n_neighbors * codes[:, :dimensions]

projections.fit = fit
projections.serve()
"""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    return [sys.executable, "-c", PRETEND, str(tmp_path / "running")]


@pytest.fixture
def jobs(command: list[str], clock: Clock) -> Iterator[Projections]:
    queue = Projections(command, clock)
    yield queue
    queue.close()
    assert queue.process is queue.worker is None


def submit(jobs: Projections, seed: int = FINE, n_neighbors: int = 2) -> str:
    return jobs.submit([CODES], Settings(n_neighbors, seed=seed))


def when(jobs: Projections, token: str, wanted: Callable[[State], bool]) -> State:
    """The first state that is as wanted."""
    late = time.monotonic() + 300
    while not wanted(state := jobs.state(token)):
        assert time.monotonic() < late, state
        time.sleep(0.002)
    return state


def laying_out(jobs: Projections, token: str) -> State:
    return when(jobs, token, lambda state: state.stage == "layout")


def over(jobs: Projections, token: str) -> State:
    return when(jobs, token, lambda state: state.kind not in ("waiting", "running"))


# Maps ---------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # numba and umap-learn, not ours
def test_a_job_is_what_umap_itself_makes_of_the_codes() -> None:
    jobs = Projections()
    other = CODES @ np.diag([1, 2, 3, 4, 5]).astype(np.float32)
    token = jobs.submit([CODES, other], Settings(12, 0.2, "cosine", 3, 3))
    told = []
    state = when(jobs, token, lambda state: told.append(state) or state.kind == "done")  # type: ignore[func-returns-value]
    jobs.close()

    import umap

    layout = umap.UMAP(
        n_neighbors=12,
        min_dist=0.2,
        metric="cosine",
        n_components=3,
        negative_sample_rate=projections.NEGATIVE_SAMPLES,
        random_state=3,
        n_jobs=1,
    )
    first, second = state.points
    assert first.dtype == np.float32 and first.shape == (200, 3)
    assert np.array_equal(first, layout.fit_transform(CODES))
    told_here: list[tuple[str, int, int]] = []
    raw = fit(other, 12, 0.2, "cosine", 3, 3, progress=lambda *now: told_here.append(now))
    assert np.array_equal(second, orient(raw, first))

    epochs = 500  # umap-learn's own, of 10,000 codes and fewer
    assert told_here[:3] == [("starting", 0, 0), ("neighbours", 0, 0), ("layout", 0, epochs)]
    assert told_here[-1] == ("layout", epochs, epochs)
    steps = [(one.array, one.stage, one.done) for one in told if one.kind == "running"]
    order = ["starting", "neighbours", "layout"]
    assert steps == sorted(steps, key=lambda step: (step[0], order.index(step[1]), step[2]))
    assert {stage for _, stage, _ in steps} == set(order)


def turned(onto: Points, mirror: float) -> Points:
    turn = np.eye(onto.shape[1])
    turn[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    turn[:, 0] *= mirror
    return (onto @ turn + np.arange(len(turn))).astype(np.float32)


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_orient_undoes_a_turn_and_a_mirror(dimensions: int, mirror: float) -> None:
    onto = CODES[:, :dimensions]
    assert np.allclose(orient(turned(onto, mirror), onto), onto, atol=1e-5)


def test_orient_keeps_every_distance() -> None:
    onto, points = CODES[:, :2], CODES[:, 2:4]
    moved = orient(3 * points, onto)
    steps = np.linalg.norm(np.diff(3 * points, axis=0), axis=1)
    assert np.allclose(np.linalg.norm(np.diff(moved, axis=0), axis=1), steps, rtol=1e-4)


def test_the_second_map_lies_on_the_first(jobs: Projections) -> None:
    token = jobs.submit([CODES, turned(CODES, -1)], Settings(5, seed=FINE, dimensions=3))
    first, second = over(jobs, token).points
    assert np.array_equal(first, 5 * CODES[:, :3])
    assert np.array_equal(second, orient(5 * turned(CODES, -1)[:, :3], first))


# The queue ----------------------------------------------------------------------------------------


def test_jobs_run_one_at_a_time_in_their_order(jobs: Projections) -> None:
    tokens = [submit(jobs, seed) for seed in (ENDLESS, ENDLESS, ENDLESS, FINE)]
    running = laying_out(jobs, tokens[0])
    assert (running.kind, running.array, running.total) == ("running", 0, 9)
    assert [jobs.state(token).ahead for token in tokens] == [0, 1, 2, 3]
    assert jobs.cancel(tokens[1]).kind == "cancelled"  # while it waits
    assert [jobs.state(token).ahead for token in tokens] == [0, 0, 1, 2]
    assert jobs.state(tokens[0]).kind == "running"
    assert jobs.cancel(tokens[0]).kind == "cancelled"
    assert laying_out(jobs, tokens[2]).kind == "running"
    assert jobs.state(tokens[3]).ahead == 1
    jobs.cancel(tokens[2])
    assert over(jobs, tokens[3]).kind == "done"


def test_no_two_run_beside_each_other(jobs: Projections) -> None:
    tokens = [submit(jobs, n_neighbors=2 + index) for index in range(8)]
    for index, token in enumerate(tokens):
        state = over(jobs, token)
        assert np.array_equal(state.points[0], (2 + index) * CODES[:, :2]), state


def test_a_cancel_kills_and_leaves_no_zombie(jobs: Projections) -> None:
    token = submit(jobs, SILENT)
    laying_out(jobs, token)
    process = jobs.process
    assert process is not None and process.poll() is None
    jobs.cancel(token)
    assert over(jobs, submit(jobs)).kind == "done"
    assert process.returncode is not None  # waited for
    assert process.stdin is not None and process.stdin.closed
    assert jobs.state(token).kind == jobs.cancel(token).kind == "cancelled"


def test_one_process_serves_all_until_it_dies_of_itself(jobs: Projections) -> None:
    assert over(jobs, submit(jobs)).kind == "done"
    process = jobs.process
    assert process is not None
    assert over(jobs, submit(jobs)).kind == "done"
    assert jobs.process is process
    process.kill()
    process.wait()
    assert over(jobs, submit(jobs)).kind == "done"


def test_the_process_leaves_when_nothing_comes(command: list[str]) -> None:
    jobs = Projections(command, idle_s=0)
    token = submit(jobs)
    worker = jobs.worker
    assert over(jobs, token).kind == "done"
    if worker is not None:
        worker.join()
    assert jobs.worker is jobs.process is None
    assert over(jobs, submit(jobs)).kind == "done"  # and comes back
    jobs.close()


def test_who_comes_when_eight_wait_is_sent_away(jobs: Projections) -> None:
    first = submit(jobs, ENDLESS)
    laying_out(jobs, first)
    waiting = [submit(jobs) for _ in range(8)]
    with pytest.raises(Busy):
        submit(jobs)
    jobs.cancel(waiting[3])
    submit(jobs)


def test_tokens_cannot_be_guessed(jobs: Projections) -> None:
    laying_out(jobs, submit(jobs, ENDLESS))
    tokens = {submit(jobs) for _ in range(8)}
    assert len(tokens) == 8
    assert min(map(len, tokens)) >= 22  # 128 bits
    assert len({token[0] for token in tokens}) > 1


@pytest.mark.parametrize("token", ["", "0", "no such job"])
def test_nobody_knows_a_token_that_was_never_given(jobs: Projections, token: str) -> None:
    assert jobs.state(token).kind == jobs.cancel(token).kind == "unknown"


def test_a_job_nobody_asks_about_is_cancelled(jobs: Projections, clock: Clock) -> None:
    left, stays, left_too = (submit(jobs, seed) for seed in (ENDLESS, FINE, FINE))
    laying_out(jobs, left)
    clock.now = 20
    assert jobs.state(stays).ahead == 1  # behind the one that is left just not yet
    clock.now = 21
    assert over(jobs, stays).kind == "done"
    assert jobs.state(left).kind == jobs.state(left_too).kind == "cancelled"


def test_a_job_is_cancelled_when_all_have_left(jobs: Projections, clock: Clock) -> None:
    token = submit(jobs, ENDLESS)
    laying_out(jobs, token)
    process = jobs.process
    assert process is not None
    clock.now = 21
    process.wait(60)  # nobody asks for anything; its own reports end it
    assert jobs.state(token).kind == "cancelled"


def test_results_stay_five_minutes(jobs: Projections, clock: Clock) -> None:
    token = submit(jobs)
    over(jobs, token)
    clock.now = 300
    assert jobs.state(token).kind == "done"
    clock.now = 301
    assert jobs.state(token).kind == "unknown"


def test_the_newest_sixteen_results_stay(jobs: Projections, clock: Clock) -> None:
    tokens = []
    for clock.now in range(17):
        tokens.append(submit(jobs))
        assert over(jobs, tokens[-1]).kind == "done"
    kinds = [jobs.state(token).kind for token in tokens]
    assert kinds == ["unknown"] + 16 * ["done"]


@pytest.mark.parametrize(
    ("seed", "message"), [(WRONG, "ValueError: no such map"), (DEAD, "ended with status 7")]
)
def test_a_job_that_fails_says_why_and_the_next_one_runs(
    jobs: Projections, caplog: pytest.LogCaptureFixture, seed: int, message: str
) -> None:
    token = submit(jobs, seed)
    state = over(jobs, token)
    assert state.kind == "failed"
    assert message in state.message
    assert message in caplog.text
    assert jobs.cancel(token).kind == "failed"
    assert over(jobs, submit(jobs)).kind == "done"


@pytest.mark.parametrize(
    "command", [["/no/such/program"], [sys.executable, "-c", "input(); print('hello')"]]
)
def test_a_process_that_is_none_fails_its_job_only(command: list[str]) -> None:
    jobs = Projections(command)
    assert over(jobs, submit(jobs)).kind == "failed"
    assert over(jobs, submit(jobs)).kind == "failed"
    jobs.close()


def test_nothing_is_left_after_close(command: list[str]) -> None:
    jobs = Projections(command)
    tokens = [submit(jobs, SILENT), submit(jobs)]
    laying_out(jobs, tokens[0])
    process = jobs.process
    jobs.close()
    assert process is not None and process.returncode is not None
    assert {jobs.state(token).kind for token in tokens} == {"cancelled"}
    with pytest.raises(Busy):
        submit(jobs)
    jobs.close()


@pytest.mark.parametrize(
    ("seed", "end"),
    [
        (SILENT, "pass"),  # an orderly end
        (ENDLESS, "os._exit(0)"),  # a kill while a job runs
        (FINE, "os._exit(0)"),  # and while none does
    ],
)
def test_nothing_is_left_of_a_server_that_is_gone(command: list[str], seed: int, end: str) -> None:
    server = f"""
{HERE}
import os, numpy, projections, time
jobs = projections.Projections({command})
token = jobs.submit([numpy.zeros((9, 2))], projections.Settings(2, seed={seed}))
while jobs.state(token).stage != "layout" and jobs.state(token).kind != "done":
    time.sleep(.002)
{end}
"""
    # Returns once all who hold its output are gone, its child too.
    subprocess.run([sys.executable, "-c", server], capture_output=True, timeout=60, check=True)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_neighbors", 1),
        ("n_neighbors", 201),
        ("n_neighbors", 15.0),
        ("n_neighbors", "15"),
        ("min_dist", -0.01),
        ("min_dist", 1.0),
        ("min_dist", float("nan")),
        ("min_dist", None),
        ("metric", "no such metric"),
        ("metric", ["euclidean"]),
        ("seed", -1),
        ("seed", 2**31),
        ("dimensions", 1),
        ("dimensions", 4),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"expected .*{name}.*, got ") as refusal:
        Settings(**{name: value})  # type: ignore[arg-type]
    assert str(refusal.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("low", [True, False])
def test_settings_reach_to_their_ends(low: bool) -> None:
    Settings(2, 0, "euclidean", 0, 2) if low else Settings(200, 0.99, "correlation", 2**31 - 1, 3)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([], "1 … 2 arrays"),
        ([(20, 5)] * 3, "1 … 2 arrays"),
        ([(20, 5), (19, 5)], "of one N"),
        ([(20,)], "of one N"),
        ([(20, 0)], "of one N"),
        ([(20, 785)], "Z ≤ 784"),
        ([(10_001, 1)], "N ≤ 10000"),
        ([(15, 5)], "more than n_neighbors = 15 codes, got 15"),
    ],
)
def test_arrays_of_other_shapes_are_refused(
    jobs: Projections, shapes: list[tuple[int, ...]], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        jobs.submit([np.zeros(shape) for shape in shapes], Settings())


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_codes_that_are_not_finite_are_refused(jobs: Projections, number: float) -> None:
    with pytest.raises(ValueError, match="expected finite codes"):
        jobs.submit([np.full((20, 2), number)], Settings())
