"""What the server says of itself: facts, counters, journal, and the description of its interface."""

from __future__ import annotations

import json
import logging
import re

import pytest
from server_samples import eventually, file_of, photograph

from unveil.server.figures import Figures, resident_bytes
from unveil.server.journal import Journal
from unveil.server.line import Line
from unveil.server.pages import page_files


def test_models_say_what_is_served(service):
    (model,) = service.client.get("/v1/models").json()["models"]
    assert model["name"] == "toy"
    assert model["degradations"] == {"noise": "noise", "dark": "low light"}
    assert model["diagnoses"] is True


def test_health_says_the_limits(service):
    health = service.client.get("/health").json()
    assert health["status"] == "ready"
    assert health["places"] == 9
    assert health["max_upload"] == health["pixel_limit"] == 64_000_000


def test_counters_follow_what_happens(serve):
    service = serve()

    def counters() -> dict[str, float]:
        answer = service.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
        assert all(re.fullmatch(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})? -?[0-9.e+]+', line) for line in lines)
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    service.post()
    service.post(strength="9")
    service.client.get("/unheard/of/1")
    service.client.get("/unheard/of/2")
    eventually(lambda: 'unveil_requests_total{method="GET",route="other",status="404"}' in counters())
    said = counters()
    assert said['unveil_requests_total{method="POST",route="/v1/restore",status="200"}'] == 1
    assert said['unveil_requests_total{method="POST",route="/v1/restore",status="422"}'] == 1
    assert said['unveil_requests_total{method="GET",route="other",status="404"}'] == 2
    assert said['unveil_problems_total{error="bad_option"}'] == 1
    assert said['unveil_problems_total{error="not_found"}'] == 2
    assert said['unveil_work_seconds_count{route="/v1/restore"}'] == 1
    assert said['unveil_work_seconds_bucket{route="/v1/restore",le="+Inf"}'] == 1
    assert said["unveil_pixels_total"] == 40 * 56
    assert said["unveil_received_bytes_total"] > 2 * len(file_of())
    assert said["unveil_places"] == 9
    assert said["unveil_places_taken"] == said["unveil_working"] == 0
    if resident_bytes():
        assert said["process_resident_memory_bytes"] > 1e6


def test_the_journal_has_a_line_for_each_request_and_nothing_of_the_picture(service, caplog):
    with caplog.at_level(logging.INFO, "unveil.server"):
        answer = service.post(data=photograph(), name="grandmother.jpg", weights="noise=.123")
        other = service.client.get("/secret-path?token=secret")
        # Lines of requests before these may come late.
        eventually(lambda: all(asked.headers["unveil-number"] in caplog.text for asked in (answer, other)))
    lines = {line["number"]: line for line in map(json.loads, caplog.messages)}
    first, second = (lines[asked.headers["unveil-number"]] for asked in (answer, other))
    assert first["route"] == "/v1/restore"
    assert (first["status"], first["method"], first["level"]) == (200, "POST", "INFO")
    assert first["megapixels"] == pytest.approx(40 * 56 / 1e6, abs=1e-3)
    assert second["route"] == "other"
    for word in ("grandmother", "secret", "Synthetic", "0.123", "walk", "127.0.0.1"):
        assert word not in caplog.text


def test_what_fails_outside_of_the_routes_is_answered_and_told_without_its_message(caplog):
    async def broken(*_):
        raise KeyError("secret")

    figures = Figures(version="1", model="toy", line=Line(waiting=0))
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with caplog.at_level(logging.INFO, "unveil.server"):
        asking = Journal(broken, figures=figures, routes=["/"])(scope, None, send)
        with pytest.raises(StopIteration):
            asking.send(None)
    assert [message.get("status") for message in sent] == [500, None]
    assert json.loads(sent[1]["body"])["error"] == "unexpected"
    assert "KeyError in broken" in caplog.text
    assert "secret" not in caplog.text
    assert 'unveil_problems_total{error="broken_off"} 1' in figures.text()


def test_the_interface_is_described(service):
    described = service.client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/v1/restore", "/v1/diagnose", "/v1/models", "/v1/progress/{name}", "/health", "/metrics",
    }  # fmt: skip
    restore = described["paths"]["/v1/restore"]["post"]
    form = restore["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {
        "file", "strength", "weights", "only", "blend", "rounds", "ensemble", "prompt", "format", "quality",
        "strip", "region",
    }  # fmt: skip
    assert {"200", "401", "403", "408", "413", "415", "422", "429", "500", "503"} <= set(restore["responses"])


def test_no_page_of_the_framework_is_served(service):
    for path in ("/docs", "/redoc"):
        assert service.client.get(path).status_code == 404


def test_the_page_asks_nobody_else():
    for file in page_files().values():
        text = file.data.decode()
        for address in re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}", text):
            assert address == "http://www.w3.org", f"{file.path} names {address}"
        assert " style=" not in text
        assert " onclick=" not in text
