"""Answers of the service: what a classifier says by itself, and why a request gets none."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serve.running import Running, running
from tests.tiny_data import pairs
from tests.use.many.stored import METHODS, store

from thriftune.serve.models import Asked, Models, load
from thriftune.use.classifier import Classifier

JSON = {"Content-Type": "application/json"}
TEXT = list(pairs(40)[0])
SMALL = {"bytes": 2_000, "texts": 3, "characters": 100}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "first": store(folder / "first", "bert", METHODS["first"], "own", classes=3),
        "pairs": store(folder / "pairs", "bert", METHODS["second"], "own", classes=2, columns=2, seed=1),
    }


@pytest.fixture(scope="module")
def models(sources: dict[str, Path]) -> Models:
    found = [(name, str(path)) for name, path in sources.items()]
    return load(found, calibrate=True, device="cpu", threads=None, say=lambda text: None)


@pytest.fixture(scope="module")
def service(models: Models) -> Iterator[Running]:
    with running(models, **SMALL) as found:
        yield found


def test_what_the_classifier_says(service: Running, sources: dict[str, Path]) -> None:
    loaded = Classifier.load(sources["first"])
    expected = loaded.predict_proba(TEXT[:3])
    status, found = service.predict(texts=TEXT[:3], probabilities=True)
    assert status == 200
    assert found["model"] == "first"
    rows = found["predictions"]
    assert [row["label"] for row in rows] == loaded.predict(TEXT[:3])
    np.testing.assert_allclose([list(row["probabilities"].values()) for row in rows], expected, atol=1e-5)
    assert [list(row["probabilities"]) for row in rows] == [list(loaded.labels)] * 3
    assert [row["confidence"] for row in rows] == [max(row["probabilities"].values()) for row in rows]
    assert "probabilities" not in service.predict(texts=TEXT[:1])[1]["predictions"][0]
    status, found = service.predict(texts=[["a man", "a dog"]], model="pairs")
    assert (status, found["model"]) == (200, "pairs")
    pair = Classifier.load(sources["pairs"]).predict_proba([("a man", "a dog")])
    assert found["predictions"][0]["confidence"] == pytest.approx(pair.max(), abs=1e-5)


def test_abstains_below_a_confidence(service: Running) -> None:
    sure = service.predict(texts=TEXT[:3])[1]["predictions"]
    between = sorted(row["confidence"] for row in sure)[1]
    found = service.predict(texts=TEXT[:3], abstain=between)[1]["predictions"]
    assert [row["label"] for row in found] == [row["label"] if row["confidence"] >= between else None for row in sure]


def test_single_requests_at_once_are_what_the_classifier_says(sources: dict[str, Path], models: Models) -> None:
    loaded = Classifier.load(sources["first"])
    expected = dict(zip(TEXT, loaded.predict_proba(TEXT), strict=True))
    sizes: list[int] = []

    def counted(asked: Sequence[Asked]) -> list[np.ndarray]:
        sizes.append(len(asked))
        time.sleep(0.01)  # the others come in the meantime
        return models.predict(asked)

    with running(Models(models.served, counted)) as own, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: own.predict(texts=[text], probabilities=True), TEXT))
    for text, (status, found) in zip(TEXT, answers, strict=True):
        assert status == 200
        np.testing.assert_allclose(list(found["predictions"][0]["probabilities"].values()), expected[text], atol=1e-5)
    assert max(sizes) > 1
    assert sum(sizes) == len(TEXT)


NESTED = b'{"texts": ' + b"[" * 900 + b"]" * 900 + b"}"
BAD: list[tuple[str, Any, Any, Any, int, str]] = [
    ("GET", "/predict", None, {}, 405, "use POST"),
    ("POST", "/health", b"{}", JSON, 405, "use GET"),
    ("POST", "/predict/", b"{}", JSON, 404, "nothing at /predict/"),
    ("GET", "/", None, {}, 404, "POST /predict"),
    ("POST", "/predict", b'{"texts": ["a"]}', {}, 415, "none is given"),
    ("POST", "/predict", b'{"texts": ["a"]}', {"Content-Type": "text/csv"}, 415, "application/json"),
    ("POST", "/predict", b'{"texts": ["a"]}', {"Content-Type": "application/json; charset=latin-1"}, 415, "UTF-8"),
    ("POST", "/predict", b'{"texts": ["a"]}', {**JSON, "Content-Encoding": "gzip"}, 415, "Compressed"),
    ("POST", "/predict", b"", JSON, 400, "empty"),
    ("POST", "/predict", b'{"texts": ["a"', JSON, 400, "not JSON"),
    ("POST", "/predict", b'{"texts": ["\xff"]}', JSON, 400, "not UTF-8: byte 12"),
    ("POST", "/predict", b"[" * 1_900, JSON, 400, "nested too deeply"),
    ("POST", "/predict", b'["a"]', JSON, 422, "not a JSON object"),
    ("POST", "/predict", b"{}", JSON, 422, '"texts" is missing'),
    ("POST", "/predict", b'{"texts": "a"}', JSON, 422, "texts: Input should be a valid list"),
    ("POST", "/predict", b'{"texts": null}', JSON, 422, "valid list"),
    ("POST", "/predict", b'{"texts": []}', JSON, 422, "texts is empty"),
    ("POST", "/predict", b'{"texts": [3]}', JSON, 422, "Item 0 is of type int"),
    ("POST", "/predict", b'{"texts": ["a", null]}', JSON, 422, "Item 1 is of type NoneType"),
    ("POST", "/predict", b'{"texts": [{"text": "a"}]}', JSON, 422, "Item 0 is of type dict"),
    ("POST", "/predict", NESTED, JSON, 422, "Item 0 is list of 1: list"),
    ("POST", "/predict", b'{"texts": ["a", "b", "c", "d"]}', JSON, 422, "a request takes 3"),
    ("POST", "/predict", b'{"texts": ["' + b"a" * 101 + b'"]}', JSON, 422, "101 characters; 100"),
    ("POST", "/predict", b'{"texts": ["\\ud800"]}', JSON, 422, "half a character"),
    ("POST", "/predict", b'{"texts": [["a", "b"]]}', JSON, 422, "a text is needed"),
    ("POST", "/predict", b'{"texts": ["a"], "model": "pairs"}', JSON, 422, "a pair of texts"),
    ("POST", "/predict", b'{"texts": ["a"], "model": "frist"}', JSON, 404, 'did you mean "first"'),
    ("POST", "/predict", b'{"texts": ["a"], "model": "\\ud800"}', JSON, 404, "No model is called"),
    ("POST", "/predict", b'{"texts": ["a"], "model": 3}', JSON, 422, "model: Input should be a valid string; 3"),
    ("POST", "/predict", b'{"texts": ["a"], "abstein": 0.5}', JSON, 422, 'did you mean "abstain"'),
    ("POST", "/predict", b'{"texts": ["a"], "\\ud800": 0.5}', JSON, 422, "not known"),
    ("POST", "/predict", b'{"texts": ["a"], "abstain": NaN}', JSON, 400, "NaN is no number"),
    ("POST", "/predict", b'{"texts": ["a"], "abstain": 1e999}', JSON, 422, "abstain"),
    ("POST", "/predict", b'{"texts": ["a"], "abstain": 1' + b"0" * 400 + b"}", JSON, 422, "abstain"),
    ("POST", "/predict", b'{"texts": ["a"], "abstain": 60}', JSON, 422, "less than or equal to 1; 60 is given"),
    ("POST", "/predict", b'{"texts": ["a"], "abstain": 0}', JSON, 422, "greater than 0"),
    ("POST", "/predict", b'{"texts": ["a"], "abstain": "0.5"}', JSON, 422, "valid number"),
    ("POST", "/predict", b'{"texts": ["a"], "probabilities": 1}', JSON, 422, "valid boolean"),
    ("POST", "/predict", b'{"texts": ["' + b"a" * 3_000 + b'"]}', JSON, 413, "more than 2,000 bytes"),
    ("POST", "/predict", iter([b'{"texts": ["'] + [b"a" * 500] * 8), JSON, 413, "more than 2,000 bytes"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_a_bad_request_is_told_why(service: Running, case: int) -> None:
    method, path, body, headers, status, said = BAD[case]
    found, kinds, answer = service.send(method, path, body, headers)
    assert (found, kinds["content-type"]) == (status, "application/json")
    message = json.loads(answer)["error"]
    assert said in message
    assert len(message) < 1_000
    assert service.predict(texts=["a"])[0] == 200


def test_a_huge_body_is_not_read_to_its_end(service: Running) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
        raw.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 9000000000\r\n\r\n{")  # fmt: skip
        assert raw.recv(1000).startswith(b"HTTP/1.1 413")


def test_no_http_at_all(service: Running) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
        raw.sendall(b"hello\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")


def test_a_body_that_does_not_come(models: Models) -> None:
    with running(models, timeout=0.2) as own, socket.create_connection(("127.0.0.1", own.port), timeout=20) as raw:
        raw.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 90\r\n\r\n{")  # fmt: skip
        assert raw.recv(1000).startswith(b"HTTP/1.1 408")


def test_too_many_and_too_late(models: Models) -> None:
    go = threading.Event()

    def slow(asked: Sequence[Asked]) -> list[np.ndarray]:
        go.wait(20)
        return models.predict(asked)

    with running(Models(models.served, slow), queue=2, timeout=1.0) as own, ThreadPoolExecutor(8) as pool:
        first = [pool.submit(own.predict, texts=["a"]) for _ in range(2)]
        while own.state.active < 2:
            time.sleep(0.01)
        status, headers, body = own.send("POST", "/predict", b'{"texts": ["a"]}', JSON)
        assert (status, headers["retry-after"]) == (429, "1")
        assert "2 requests are waiting" in json.loads(body)["error"]
        late = [each.result() for each in first]
        assert [status for status, _ in late] == [503, 503]
        assert "no time to answer within 1 s" in late[0][1]["error"]
        go.set()
        assert own.predict(texts=["a"])[0] == 200


def test_one_requests_failure_is_not_the_others(models: Models) -> None:
    def fails(asked: Sequence[Asked]) -> list[np.ndarray]:
        time.sleep(0.05)
        if any("bad" in texts[0] for _, texts in asked):
            raise ValueError("bad")
        return models.predict(asked)

    with running(Models(models.served, fails)) as own, ThreadPoolExecutor(8) as pool:
        texts = ["a", "bad", "b", "c", "bad", "d"]
        found = list(pool.map(lambda text: own.predict(texts=[text]), texts))
    assert [status for status, _ in found] == [500 if text == "bad" else 200 for text in texts]
    assert found[1][1] == {"error": "The service failed on this request; its log says why."}


def test_what_the_other_paths_say(service: Running, models: Models) -> None:
    assert service.send("GET", "/health")[::2] == (200, b'{"status":"ok"}')
    found = json.loads(service.send("GET", "/models")[2])
    assert found["default"] == "first"
    assert [(each["name"], each["texts_per_item"]) for each in found["models"]] == [("first", 1), ("pairs", 2)]
    assert found["models"][1]["columns"] == ["premise", "hypothesis"]
    service.predict(texts=["a", "b"])
    status, headers, body = service.send("GET", "/metrics")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
    lines = dict(line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#"))
    assert float(lines['thriftune_texts_total{model="first"}']) >= 2
    assert float(lines['thriftune_requests_total{status="200"}']) >= 1
    assert float(lines["thriftune_request_seconds_count"]) >= 1
    assert float(lines["thriftune_active_requests"]) == 0
    api = json.loads(service.send("GET", "/openapi.json")[2])
    body = api["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"texts", "model", "probabilities", "abstain"}
    assert {"200", "413", "422", "429", "503"} <= set(api["paths"]["/predict"]["post"]["responses"])
    assert service.send("GET", "/docs")[0] == 200


def test_what_was_accepted_is_answered_before_the_end(models: Models) -> None:
    def slow(asked: Sequence[Asked]) -> list[np.ndarray]:
        time.sleep(0.3)
        return models.predict(asked)

    with running(Models(models.served, slow)) as own, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(own.predict, texts=["a"]) for _ in range(4)]
        while own.state.active < 4:
            time.sleep(0.01)
        own.server.should_exit = True
        assert [each.result()[0] for each in asked] == [200] * 4
    with pytest.raises(OSError):
        own.predict(texts=["a"])
