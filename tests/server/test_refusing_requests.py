"""Every refusal: its status, its word, and that the next request is served."""

from __future__ import annotations

import http.client
import logging
import socket
import time

import numpy as np
import pytest
from server_samples import eventually, file_of, photograph, rough

from unveil.errors import EngineError, InvalidRequest
from unveil.server import Settings, connections


def refusal(answer) -> tuple[int, str]:
    said = answer.json()
    assert set(said) == {"error", "message"}
    assert said["message"].endswith((".", ")"))
    return answer.status_code, said["error"]


@pytest.fixture(scope="module")
def narrow(serve):
    """A server with small limits."""
    return serve(max_upload=20_000, pixel_limit=4000, token="correct horse")


@pytest.fixture
def key():
    return {"Authorization": "Bearer correct horse"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strength": "2"}, "strength"),
        ({"strength": "nan"}, "strength"),
        ({"weights": "noise"}, "noise=.6"),
        ({"weights": "noise=-1"}, "noise=.6"),
        ({"weights": "noise=inf"}, "noise=.6"),
        ({"weights": "noise=5"}, "0 to 4"),
        ({"weights": "noise=1,noise=1"}, "once"),
        ({"weights": "scratches=1"}, "scratches"),
        ({"only": "scratches"}, "scratches"),
        ({"only": ","}, "only"),
        ({"weights": "noise=1", "only": "noise"}, "either"),
        ({"blend": "much"}, "blend"),
        ({"format": "gif"}, "format"),
        ({"quality": "101"}, "quality"),
        ({"quality": "good"}, "quality"),
        ({"strip": "some"}, "strip"),
        ({"region": "0,0,10"}, "region"),
        ({"region": "50,0,10,10"}, "56 x 40"),
        ({"region": "-1,0,10,10"}, "56 x 40"),
        ({"sharpen": "1"}, "known are strength"),
        ({"strength": ["1", "0.5"]}, "twice"),
        ({"weights": "noise=1" + " " * 5000}, "form"),
    ],
)
def test_wrong_options_are_422_and_named(service, options, said):
    answer = service.post(**options)
    assert answer.status_code == 422
    assert said in answer.json()["message"]
    assert service.post().status_code == 200


def test_diagnosing_takes_no_options(service):
    assert refusal(service.post("/v1/diagnose", strength="1")) == (422, "bad_option")


def test_other_bodies_are_415(service):
    assert refusal(service.client.post("/v1/restore", json={"file": "x"})) == (415, "not_a_form")
    assert refusal(service.client.post("/v1/restore")) == (415, "not_a_form")
    assert refusal(service.client.post("/v1/restore", data={"file": "x"})) == (415, "not_a_form")


def test_damaged_forms_are_422(service):
    def send(body: bytes, kind: str = "multipart/form-data; boundary=b"):
        return service.client.post("/v1/restore", content=body, headers={"Content-Type": kind})

    assert refusal(send(b"--b\r\nnonsense")) == (422, "bad_form")
    assert refusal(send(b"", "multipart/form-data")) == (422, "bad_form")
    part = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a.png"\r\n\r\nx\r\n'
    assert refusal(send(part % b"picture" + b"--b--\r\n")) == (422, "bad_form")
    assert refusal(send(2 * (part % b"file") + b"--b--\r\n")) == (422, "bad_form")
    field = b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n'
    assert refusal(send(b"".join(field % number for number in range(40)) + b"--b--\r\n")) == (422, "bad_form")
    assert refusal(send(field % 1 + b"--b--\r\n")) == (422, "bad_form")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", (422, "bad_picture")),
        (b"hello, world", (415, "unsupported_picture")),
        (b"%PDF-1.7 ...", (415, "unsupported_picture")),
        (b"FUJIFILMCCD-RAW", (415, "unsupported_picture")),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", (415, "unsupported_picture")),
        (photograph()[:900], (422, "bad_picture")),
        (file_of()[:-400], (422, "bad_picture")),
        (b"\xff\xd8\xff" + b"x" * 100, (422, "bad_picture")),
    ],
)
def test_files_that_are_no_pictures(service, data, expected):
    for path in ("/v1/restore", "/v1/diagnose"):
        assert refusal(service.post(path, data)) == expected
    assert service.post().status_code == 200


def test_floating_point_is_415(service):
    data = file_of(np.zeros((8, 8), np.float32), "TIFF")
    assert refusal(service.post(data=data)) == (415, "unsupported_picture")


def test_transparency_does_not_become_jpeg(service):
    see_through = np.dstack([rough(), np.zeros((40, 56), np.uint8)])
    answer = service.post(data=file_of(see_through), format="jpeg")
    assert refusal(answer) == (422, "bad_picture")
    assert "transparent" in answer.json()["message"]


def test_too_many_pixels_are_413(narrow, key):
    answer = narrow.post(data=file_of(np.zeros((80, 80, 3), np.uint8)), headers=key)
    assert refusal(answer) == (413, "picture_too_large")
    assert "megapixels" in answer.json()["message"]
    assert "pixel_limit" not in answer.json()["message"]


def test_too_many_bytes_are_413(narrow, key):
    answer = narrow.post(data=bytes(200_000), headers=key)
    assert refusal(answer) == (413, "upload_too_large")
    assert "0.02 MB" in answer.json()["message"]


def test_too_many_bytes_of_unknown_length_are_413(narrow, key):
    def pieces():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        for _ in range(40):
            yield bytes(5000)

    headers = {**key, "Content-Type": "multipart/form-data; boundary=b"}
    answer = narrow.client.post("/v1/restore", content=pieces(), headers=headers)
    assert refusal(answer) == (413, "upload_too_large")
    eventually(lambda: narrow.line.taken == 0)


def test_without_the_token_there_is_nothing(narrow, key):
    client = narrow.client
    for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "correct horse"}):
        for path in ("/v1/models", "/metrics", "/openapi.json", "/v1/progress/0123456789abcdef", "/nothing"):
            answer = client.get(path, headers=wrong)
            assert refusal(answer) == (401, "token_needed")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert refusal(narrow.post(headers=wrong)) == (401, "token_needed")
    assert client.get("/v1/models", headers=key).status_code == 200
    assert narrow.post(headers=key).status_code == 200


def test_page_and_health_need_no_token(narrow):
    assert narrow.client.get("/").status_code == 200
    assert narrow.client.get("/page/page.js").status_code == 200
    assert narrow.client.get("/health").json()["needs_token"] is True


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::1", ""])
def test_foreign_host_names_are_403(service, host):
    assert refusal(service.client.get("/health", headers={"Host": host})) == (403, "foreign_host")
    assert refusal(service.post(headers={"Host": host})) == (403, "foreign_host")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "192.168.1.7", "a.localhost"]
)
def test_own_host_names_and_addresses_are_let_in(service, host):
    assert service.client.get("/health", headers={"Host": host}).status_code == 200


def test_further_host_names_can_be_allowed(serve):
    service = serve(hosts=("photos.example.org",))
    assert service.client.get("/health", headers={"Host": "Photos.example.org"}).status_code == 200
    assert service.client.get("/health", headers={"Host": "other.example.org"}).status_code == 403


def test_two_host_headers_are_refused(service):
    host, port = service.client.base_url.host, service.client.base_url.port
    connection = http.client.HTTPConnection(host, port)
    connection.putrequest("GET", "/health", skip_host=True)
    connection.putheader("Host", "localhost")
    connection.putheader("Host", "evil.example")
    connection.endheaders()
    assert connection.getresponse().status in (400, 403)
    connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_requests_of_other_sites_are_403(service, headers):
    runs = service.restorer.runs
    assert refusal(service.post(headers=headers)) == (403, "foreign_origin")
    assert service.restorer.runs == runs


def test_requests_of_the_page_itself_are_let_in(service):
    own = f"http://{service.client.base_url.netloc.decode()}"
    assert service.post(headers={"Origin": own, "Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_no_answer_may_be_read_by_other_sites(service):
    for answer in (service.post(), service.client.get("/"), service.client.get("/nothing"), service.post(strength="9")):
        headers = answer.headers
        assert "access-control-allow-origin" not in headers
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in service.client.options("/v1/restore", headers=asked).headers


def test_unknown_paths_and_methods(service):
    assert refusal(service.client.get("/nothing")) == (404, "not_found")
    assert refusal(service.client.get("/page/../pages.py")) == (404, "not_found")
    assert refusal(service.client.get("/page/%2e%2e/%2e%2e/errors.py")) == (404, "not_found")
    assert refusal(service.client.get("/v1/restore")) == (405, "wrong_method")
    assert refusal(service.client.get("/v1/progress/unknown")) == (404, "not_found")


@pytest.mark.parametrize("failure", [EngineError("secret"), RuntimeError("secret")])
def test_faults_of_the_server_are_500_and_tell_nothing(service, monkeypatch, caplog, failure):
    def fail(*_, **__):
        raise failure

    with monkeypatch.context() as patch, caplog.at_level(logging.INFO, "unveil.server"):
        patch.setattr(service.restorer, "run", fail)
        answer = service.post()
        eventually(lambda: "failure" in caplog.text)
    assert refusal(answer)[0] == 500
    assert "secret" not in answer.text
    assert "secret" not in caplog.text
    assert type(failure).__name__ in caplog.text
    assert service.post().status_code == 200


def test_lack_of_memory_is_503(service, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(service.restorer, "run", fail)
        assert refusal(service.post()) == (503, "out_of_memory")
    assert service.post().status_code == 200


def test_an_upload_that_never_ends_is_408(serve):
    service = serve(timeout=0.3, queue=0)
    address = (service.client.base_url.host, service.client.base_url.port)
    with socket.create_connection(address) as connection:
        head = f"POST /v1/restore HTTP/1.1\r\nHost: {address[0]}\r\nContent-Length: 1000\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n".encode())
        started = time.monotonic()
        assert b"408" in connection.recv(100)
        assert time.monotonic() - started < 5
    eventually(lambda: service.line.taken == 0)
    assert service.post().status_code == 200


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET"])
def test_a_connection_that_does_nothing_is_closed(serve, monkeypatch, said):
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    service = serve()
    with socket.create_connection((service.client.base_url.host, service.client.base_url.port)) as connection:
        connection.settimeout(10)
        connection.sendall(said)
        while connection.recv(4096):
            pass
    assert service.client.get("/health").status_code == 200


def test_a_connection_with_work_in_hand_is_kept(serve, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.1)
    service = serve()
    service.restorer.gate.clear()
    thread, answers = service.begin()
    eventually(service.restorer.began.is_set)
    time.sleep(0.6)
    service.restorer.gate.set()
    thread.join(10)
    assert answers[0].status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [{"port": 70000}, {"queue": -1}, {"timeout": 0}, {"max_upload": 0}, {"pixel_limit": 0}, {"token": "short"}],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InvalidRequest):
        Settings(**wrong)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.0.1", False),
        ("box", False),
    ],
)
def test_loopback_is_recognised(host, expected):
    assert Settings(host=host).is_loopback is expected
