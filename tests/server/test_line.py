"""Places, waiting and stopping: the line by itself, and the server under more than it can do."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import httpx
import pytest
from server_samples import eventually, file_of, pixels_of, rough

from unveil.server.line import Dropped, Line, LineClosed, LineFull


@pytest.fixture
def line():
    line = Line(waiting=2)
    line.start()
    yield line
    line.stop(seconds=5)


def in_a_loop(work):
    """Run a coroutine function in a thread of its own: the browser's driver may own this thread's loop."""
    results = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(work())))
    thread.start()
    thread.join(15)
    return results[0]


def test_work_is_done_one_by_one_in_order(line):
    busy, seen = [], []

    def task(number):
        def work(_):
            busy.append(number)
            assert len(busy) == 1
            time.sleep(0.01)
            busy.remove(number)
            seen.append(number)
            return number * 10

        return work

    async def everybody():
        places = [line.enter() for _ in range(3)]
        done = await asyncio.gather(*(place.work(task(number), seconds=5) for number, place in enumerate(places)))
        for place in places:
            place.leave()
        return done

    assert in_a_loop(everybody) == [0, 10, 20]
    assert seen == [0, 1, 2]
    assert line.taken == 0


def test_who_has_the_answer_and_leaves_gives_the_place_back_at_once(line):
    """The worker must be free before it tells; threads that take turns often find out when it is not."""

    async def one_after_another():
        taken = []
        for _ in range(300):
            place = line.enter()
            await place.work(lambda _: None, seconds=5)
            place.leave()
            taken.append(line.taken)
        return taken

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        taken = in_a_loop(one_after_another)
    finally:
        sys.setswitchinterval(usual)
    assert taken == [0] * 300


def test_a_full_line_takes_nobody_until_someone_leaves(line):
    places = [line.enter() for _ in range(3)]
    with pytest.raises(LineFull):
        line.enter()
    places[1].leave()
    line.enter().leave()
    places[1].leave()
    assert line.taken == 2


def test_a_closed_line_takes_nobody(line):
    line.close()
    with pytest.raises(LineClosed):
        line.enter()


def test_errors_reach_the_caller(line):
    def fail(_):
        raise KeyError("x")

    async def work():
        with pytest.raises(KeyError):
            await line.enter().work(fail, seconds=5)
        return True

    assert in_a_loop(work)


def test_work_whose_caller_waited_too_long_is_dropped_and_keeps_its_place_until_it_ends(line):
    ended, release = threading.Event(), threading.Event()

    def stubborn(tick):
        release.wait(5)
        try:
            tick(1, 2)
        except Dropped:
            ended.set()
            raise

    async def work():
        place = line.enter()
        with pytest.raises(TimeoutError):
            await place.work(stubborn, seconds=0.05)
        place.leave()
        return line.taken

    assert in_a_loop(work) == 1
    release.set()
    assert ended.wait(5)
    eventually(lambda: line.taken == 0)


def test_waiting_work_that_is_dropped_never_runs(line):
    release, ran = threading.Event(), []

    async def work():
        first = asyncio.ensure_future(line.enter().work(lambda _: release.wait(5), seconds=5))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await line.enter().work(lambda _: ran.append(1), seconds=0.05)
        assert line.waiting == 0
        release.set()
        return await first

    assert in_a_loop(work)
    assert ran == []


def test_names_find_places_and_are_never_taken_twice(line):
    first, second = line.enter("a" * 16), line.enter("a" * 16)
    assert line.find("a" * 16) is first
    assert second.name is None
    first.leave()
    assert line.find("a" * 16) is None


def test_too_many_at_once_are_429_and_the_others_are_served(serve):
    service = serve(queue=2)
    service.restorer.gate.clear()
    inside = [service.begin() for _ in range(3)]
    eventually(lambda: service.line.taken == 3)
    for _ in range(3):
        answer = service.post()
        assert (answer.status_code, answer.json()["error"]) == (429, "queue_full")
        assert int(answer.headers["retry-after"]) > 0
    assert service.client.get("/health").json()["places_taken"] == 3
    service.restorer.gate.set()
    for thread, answers in inside:
        thread.join(10)
        assert answers[0].status_code == 200
    assert service.post().status_code == 200
    assert service.restorer.runs == 4


def test_a_refused_upload_is_read_so_that_the_refusal_arrives(serve):
    service = serve(queue=0)
    service.restorer.gate.clear()
    thread, answers = service.begin()
    eventually(lambda: service.line.taken == 1)
    answer = service.post(data=file_of(rough(900, 900)))
    assert answer.status_code == 429
    service.restorer.gate.set()
    thread.join(10)
    assert answers[0].status_code == 200


def test_work_that_takes_too_long_is_503_and_stopped(serve):
    service = serve(timeout=0.5)
    service.restorer.gate.clear()
    answer = service.post()
    assert (answer.status_code, answer.json()["error"]) == (503, "too_slow")
    assert "retry-after" in answer.headers
    # The gate is still shut: only being dropped ends the work.
    eventually(lambda: not service.line.is_working and service.line.taken == 0)
    service.restorer.gate.set()
    assert service.post().status_code == 200


def test_work_of_a_caller_who_leaves_is_stopped(serve):
    service = serve()
    service.restorer.gate.clear()
    with pytest.raises(httpx.ReadTimeout):
        service.client.post("/v1/restore", files={"file": ("a.png", file_of())}, timeout=0.3)
    eventually(lambda: not service.line.is_working and service.line.taken == 0)
    service.restorer.gate.set()
    assert service.post().status_code == 200


def test_progress_can_be_asked_for_by_name_only(serve):
    service = serve()
    service.restorer.gate.clear()
    first, second = "first-0123456789", "second-0123456789"
    working = service.begin(headers={"Unveil-Request": first})
    eventually(service.restorer.began.is_set)
    waiting = service.begin(headers={"Unveil-Request": second})
    eventually(lambda: service.line.waiting == 1)

    def ask(name):
        return service.client.get(f"/v1/progress/{name}").json()

    eventually(lambda: ask(first)["total"] == 4)
    assert ask(first) == {"state": "working", "before": 0, "done": 1, "total": 4}
    assert ask(second) == {"state": "waiting", "before": 1, "done": 0, "total": 0}
    service.restorer.gate.set()
    for thread, _ in (working, waiting):
        thread.join(10)
    assert service.client.get(f"/v1/progress/{first}").status_code == 404


def test_a_stopping_server_answers_what_it_has(serve):
    service = serve(queue=3)
    service.restorer.gate.clear()
    inside = [service.begin() for _ in range(3)]
    eventually(lambda: service.line.taken == 3 and service.line.is_working)
    service.stop()
    time.sleep(0.3)
    with pytest.raises(httpx.ConnectError), httpx.Client(base_url=service.url, trust_env=False) as late:
        late.get("/health")
    assert service.thread.is_alive()
    service.restorer.gate.set()
    for thread, answers in inside:
        thread.join(10)
        assert answers[0].status_code == 200
        assert pixels_of(answers[0].content).shape == (40, 56, 3)
    service.thread.join(10)
    assert not service.thread.is_alive()


def test_a_closed_server_says_so_with_503(serve):
    service = serve()
    service.line.close()
    answer = service.post()
    assert (answer.status_code, answer.json()["error"]) == (503, "stopping")
    health = service.client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "stopping")
