"""Callers who send slowly, hold connections open, or say what is not so: they are ended, and others are served."""

from __future__ import annotations

import socket
import threading
import time
import weakref
from contextlib import ExitStack

import numpy as np
import pytest
from server_samples import eventually, file_of, rough

from unveil.server import admission, connections, serving
from unveil.server.line import Job, Line

HEAD = b"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=b\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'


def form(data: bytes) -> bytes:
    return PART + b"\r\n" + data + b"\r\n--b--\r\n"


def connect(service) -> socket.socket:
    connection = socket.create_connection((service.client.base_url.host, service.client.base_url.port))
    connection.settimeout(10)
    return connection


def status(connection: socket.socket) -> int:
    """Of the answer that comes; 0 if the connection ends without one."""
    said = connection.recv(12)
    return int(said[9:12]) if said else 0


def ask(service, sent: bytes) -> int:
    with connect(service) as connection:
        connection.sendall(sent)
        return status(connection)


def rest(connection: socket.socket) -> bytes:
    """Everything until the connection ends, in whatever way it does."""
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionError:
        pass
    return said


def trickle(connection: socket.socket, words: bytes, pause: float) -> float:
    """Send byte by byte until an answer or the end comes; seconds until then."""
    started = time.monotonic()
    connection.setblocking(False)
    for letter in words:
        try:
            connection.send(bytes([letter]))
            connection.recv(1, socket.MSG_PEEK)
            break
        except BlockingIOError:
            time.sleep(pause)
        except ConnectionError:
            break
    connection.settimeout(10)
    return time.monotonic() - started


@pytest.mark.parametrize("charset", ["undefined", "idna", "punycode", "zlib", "utf-7", "utf-16", "no such thing"])
def test_a_form_in_an_odd_character_set_is_422(service, charset):
    head = HEAD + FORM.replace(b"; boundary", f"; charset={charset}; boundary".encode())
    body = form(b"x").replace(b'"file"', b'"f\xff\xcc..le"')
    assert ask(service, head + b"Content-Length: %d\r\n\r\n" % len(body) + body) == 422


@pytest.mark.parametrize(
    "part",
    [
        PART + b"X: " + b"a" * 5_000_000 + b"\r\n\r\nx",
        PART + b"a" * 5_000_000 + b": x\r\n\r\nx",
        PART + b"a: b\r\n" * 800_000 + b"\r\nx",
        PART.replace(b"a.png", b"a" * 5_000_000) + b"\r\nx",
        b"--b\r\n\r\n" * 700_000,
        b"x" * 5_000_000,
    ],
    ids=["value", "name", "headers", "file name", "parts", "preamble"],
)
def test_forms_that_swell_are_refused_at_once(service, part):
    started = time.monotonic()
    answer = service.client.post(
        "/v1/restore",
        content=part + b"\r\n--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert answer.status_code == 422
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("said", [b"-5", b"five", b"5, 6", b"99999999999999999999999"])
def test_impossible_lengths_are_refused(service, said):
    assert ask(service, HEAD + FORM + b"Content-Length: " + said + b"\r\n\r\n" + form(b"x")) in (400, 413)


def test_a_body_without_length_is_no_form(service):
    assert ask(service, HEAD + b"\r\n") == 415
    assert ask(service, HEAD + FORM + b"\r\n") == 422


def test_a_length_that_is_too_short_ends_the_connection_after_one_answer(service):
    body = form(file_of())
    with connect(service) as connection:
        connection.sendall(HEAD + FORM + b"Content-Length: 40\r\n\r\n" + body)
        said = rest(connection)
    assert said.startswith(b"HTTP/1.1 422")
    assert b"HTTP/1.1 200" not in said
    assert service.post().status_code == 200


def test_a_length_that_is_too_long_costs_no_more_than_the_time_limit(serve):
    service = serve(timeout=0.4, queue=0)
    body = form(file_of())
    assert ask(service, HEAD + FORM + b"Content-Length: %d\r\n\r\n" % (len(body) + 9) + body) == 408
    eventually(lambda: service.line.taken == 0)
    assert service.post().status_code == 200


def test_two_ways_to_say_the_length_do_not_smuggle_a_second_request(service):
    hidden = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(service) as connection:
        connection.settimeout(2)
        connection.sendall(HEAD + FORM + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert status(connection) in (400, 422)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden)
    with connect(service) as connection:
        length = b"Content-Length: %d\r\n" % (len(body) - len(hidden))
        connection.sendall(HEAD + FORM + length + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body)
        assert b"unveil_info" not in rest(connection)


@pytest.mark.parametrize("flood", [b"X: " + b"a" * 100_000, b"X: y\r\n" * 20_000])
def test_a_flood_of_headers_is_refused(service, flood):
    with connect(service) as connection:
        try:
            connection.sendall(HEAD + flood)
            assert status(connection) in (400, 431)
        except ConnectionError:
            pass
    assert service.post().status_code == 200


@pytest.mark.parametrize("target", [b"http://evil.example/v1/restore", b"//evil.example/", b"/%00", b"/\xff", b"*"])
def test_odd_targets_reach_nothing(service, target):
    assert ask(service, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n") in (400, 403, 404)


def test_a_request_of_http_1_0_without_a_name_is_refused(service):
    assert ask(service, b"GET /health HTTP/1.0\r\n\r\n") in (400, 403)


def test_connections_that_are_only_held_open_keep_nobody_out(serve, monkeypatch):
    monkeypatch.setattr(serving, "SPARE_CONNECTIONS", 4)
    service = serve(queue=1)
    with ExitStack() as stack:
        for number in range(40):
            connection = stack.enter_context(connect(service))
            if number % 2:
                connection.sendall(HEAD)
        assert ask(service, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200
        assert len(service.server.server_state.connections) <= 5


def test_connections_with_work_in_hand_are_not_cut_off_for_new_ones(serve, monkeypatch):
    monkeypatch.setattr(serving, "SPARE_CONNECTIONS", 3)
    service = serve(queue=1)
    service.restorer.gate.clear()
    inside = [service.begin() for _ in range(2)]
    eventually(lambda: service.line.taken == 2 and service.line.is_working)
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(service))
        service.restorer.gate.set()
        for thread, answers in inside:
            thread.join(10)
            assert answers[0].status_code == 200


def test_headers_that_trickle_are_cut_off(serve, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    service = serve()
    with connect(service) as connection:
        assert trickle(connection, HEAD + b"X: " + b"a" * 400, 0.02) < 5
        assert rest(connection) == b""
    assert service.post().status_code == 200


def test_an_upload_that_trickles_is_408_long_before_the_time_limit(serve, monkeypatch):
    monkeypatch.setattr(admission, "GRACE", 0.3)
    service = serve(timeout=60, queue=0)
    with connect(service) as connection:
        connection.sendall(HEAD + FORM + b"Content-Length: 5000\r\n\r\n")
        assert trickle(connection, form(b"x" * 4800), 0.02) < 5
        assert status(connection) == 408
    eventually(lambda: service.line.taken == 0)
    assert service.post().status_code == 200


def test_an_upload_that_comes_steadily_may_take_its_time(serve, monkeypatch):
    monkeypatch.setattr(admission, "GRACE", 0.2)
    monkeypatch.setattr(admission, "SLOWEST", 2000)
    service = serve()
    body = form(file_of())
    with connect(service) as connection:
        connection.sendall(HEAD + FORM + b"Content-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 400):
            connection.sendall(body[start : start + 400])
            time.sleep(0.03)
        assert len(body) / 400 * 0.03 > 0.4
        assert status(connection) == 200


def test_an_answer_that_is_hardly_read_is_cut_off(serve, monkeypatch):
    monkeypatch.setattr(admission, "GRACE", 0.3)
    # What fits into the system's buffers counts as read.
    monkeypatch.setattr(admission, "SLOWEST", 1e8)
    service = serve(timeout=60, queue=0)
    body = form(file_of(rough(1600, 1600)))
    address = (service.client.base_url.host, service.client.base_url.port)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(address)
        connection.sendall(HEAD + FORM + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert status(connection) == 200
        eventually(lambda: service.line.taken == 0, seconds=8)
        assert len(rest(connection)) < 1600 * 1600 * 3
    assert service.post().status_code == 200


def test_an_upload_that_is_broken_off_gives_its_place_back(serve):
    service = serve(queue=0)
    for _ in range(3):
        with connect(service) as connection:
            connection.sendall(HEAD + FORM + b"Content-Length: 100000\r\n\r\n" + PART + b"x" * 2000)
            eventually(lambda: service.line.taken == 1)
        eventually(lambda: service.line.taken == 0)
    assert service.post().status_code == 200


def test_an_error_does_not_keep_the_picture():
    """Not even while somebody holds the error."""
    line = Line(waiting=0)
    line.start()
    kept: list[weakref.ref[np.ndarray]] = []

    def inner(picture: np.ndarray) -> None:
        raise ValueError(f"no {picture.shape}")

    def fail(_: object) -> None:
        picture = np.zeros((4, 4))
        kept.append(weakref.ref(picture))
        try:
            inner(picture)
        except ValueError as error:
            raise KeyError("x") from error

    job = Job(line.enter(), fail)
    line.append(job)
    error = job.outcome.exception(timeout=5)
    line.stop(seconds=5)
    assert isinstance(error, KeyError)
    assert isinstance(error.__cause__, ValueError)
    assert kept[0]() is None


def test_a_worker_that_hangs_in_a_picture_is_told_by_health(serve):
    service = serve(timeout=0.3)
    release = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release.wait(10)

    service.restorer.run = hang
    assert service.post().status_code == 503
    assert service.client.get("/health").json()["status"] == "ready"
    eventually(lambda: service.client.get("/health").status_code == 503)
    assert service.client.get("/health").json()["status"] == "stuck"
    release.set()
    eventually(lambda: service.client.get("/health").status_code == 200)
