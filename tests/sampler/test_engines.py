"""What a vLLM server is asked for, by a stand-in that speaks its protocol. (What vLLM draws: test_vllm.py.)"""

import json
import threading
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rlx.process import processes
from rlx.sampler import _engines
from rlx.sampler._engines import Asked, Server

ASKED = Asked(max_tokens=4, temperature=0.7, end_ids=(1, 9), seed_rows=True)
WITHOUT_SEEDS = replace(ASKED, seed_rows=False)


class StandIn(ThreadingHTTPServer):
    """Answers a prompt with its ids and then its request's seed; keeps what it was asked and by how many at once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict[str, Any]] = []
        self.connections: set[tuple[str, int]] = set()
        self.at_work, self.most, self.lock = 0, 0, threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self._say({"data": [{"id": "the-model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.bodies.append(body)
            server.connections.add(self.client_address)
            server.at_work += 1
            server.most = max(server.most, server.at_work)
        threading.Event().wait(0.02)
        with server.lock:
            server.at_work -= 1
        self._say({"choices": [_choice(ids, body.get("seed", 0)) for ids in body["prompt"]]})

    def _say(self, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _choice(ids: list[int], seed: int) -> dict[str, Any]:
    drawn = [*ids, seed]
    tokens, logps = [f"token_id:{i}" for i in drawn], [-float(i) for i in drawn]
    of_tokens = {"tokens": tokens, "token_logprobs": logps, "top_logprobs": [None] * len(drawn)}
    return {"prompt_token_ids": ids, "token_ids": drawn, "logprobs": of_tokens}


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(
        "trl.generation.vllm_client.is_vllm_available", lambda **_: True
    )  # the client asks it of no other
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def client_of(stand_in: StandIn, policy) -> Server:
    return Server(policy, f"http://127.0.0.1:{stand_in.server_port}", 51216, 5.0)


PROMPTS = [[2, i] for i in range(60)]
SEEDS = list(range(1000, 1060))


def test_every_row_is_drawn_with_its_own_seed_and_comes_back_in_its_place(stand_in, tiny_llama):
    rows = client_of(stand_in, tiny_llama).generate(PROMPTS, SEEDS, ASKED)
    assert [row.ids for row in rows] == [[2, i, 1000 + i] for i in range(60)]
    assert rows[3].logps == [-2.0, -3.0, -1003.0]
    assert Counter(body["seed"] for body in stand_in.bodies) == Counter(SEEDS)


def test_without_seeds_many_rows_are_one_request_that_names_no_seed(stand_in, tiny_llama, monkeypatch):
    monkeypatch.setattr(_engines, "ROWS", 25)
    rows = client_of(stand_in, tiny_llama).generate(PROMPTS, SEEDS, WITHOUT_SEEDS)
    assert [row.ids for row in rows] == [[2, i, 0] for i in range(60)]
    assert sorted(len(body["prompt"]) for body in stand_in.bodies) == [10, 25, 25]
    assert not any("seed" in body for body in stand_in.bodies)


def test_all_processes_together_ask_no_more_at_once_than_a_server_works_on(stand_in, tiny_llama, monkeypatch):
    monkeypatch.setattr(_engines, "REQUESTS", 16)
    monkeypatch.setattr(processes, "size", lambda: 4)
    rows = client_of(stand_in, tiny_llama).generate(PROMPTS, SEEDS, ASKED)
    assert len(rows) == 60 and len(stand_in.bodies) == 60
    assert 1 < stand_in.most <= 4 and len(stand_in.connections) <= 4  # each connection is used again


def test_no_rows_are_no_request(stand_in, tiny_llama):
    assert client_of(stand_in, tiny_llama).generate([], [], WITHOUT_SEEDS) == [] and not stand_in.bodies
