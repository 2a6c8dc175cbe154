"""The log: lines of JSON from every process, by request and job, and without prompts. 20 seconds, most of torch's."""

import json
import logging
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from hibari.serve.journal import JsonLines, TextLines, about, about_job, is_news, request_id
from houses import own_home

PATIENCE_S = 120.0
PROMPT = "an octopus drifts over the ocean, unmistakably"


def line_of(said: str, **extra: Any) -> dict[str, Any]:
    """What the journal makes of one logging call."""
    record = logging.makeLogRecord({"name": "hibari.x", "levelno": 20, "levelname": "INFO", "msg": said} | extra)
    return json.loads(JsonLines().format(record))


def test_a_line_says_what_it_is_about_and_nothing_of_loggings_own() -> None:
    line = line_of("done", ms=0.5)
    assert (line["says"], line["ms"], line["level"], line["from"]) == ("done", 0.5, "info", "hibari.x")
    assert "args" not in line and "msg" not in line and "request_id" not in line


def test_what_is_worked_on_stands_in_each_line_of_its_task() -> None:
    others: list[dict[str, Any]] = []
    with about(request_id="req_1"), about_job("video_1", {"request_id": "req_2"}):
        line = line_of("here")
        assert (line["request_id"], line["video"], request_id()) == ("req_2", "video_1", "req_2")
        thread = Thread(target=lambda: others.append(line_of("elsewhere")))
        thread.start()
        thread.join()
    with about_job("video_2", {}):
        assert "request_id" not in line_of("an older job")
    assert not {"request_id", "video"} & others[0].keys()
    assert request_id() is None


def asked(method: str, status: int) -> logging.LogRecord:
    facts = {"operation": "list_videos", "method": method, "status": status, "code": None, "user": "ann"}
    return logging.makeLogRecord({"name": "hibari.serve", "levelno": 20, "levelname": "INFO", "msg": "request"} | facts)


def test_a_person_reads_the_time_the_words_and_the_id() -> None:
    record = logging.makeLogRecord({"levelno": 30, "levelname": "WARNING", "msg": "no \x1b[2J beat"})
    with about_job("video_1", {"request_id": "req_2"}):
        line = TextLines().format(record)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  warning: no �\[2J beat \[video_1\]", line)
    assert TextLines().format(asked("POST", 200)).endswith("  ann: list_videos, 200")


def test_what_only_looked_is_no_news_and_a_terminal_gets_text() -> None:
    assert [is_news(asked(*one)) for one in (("GET", 200), ("GET", 404), ("POST", 200))] == [False, True, True]
    code = "from hibari.serve.journal import write_journal as w; import logging; w({}); logging.warning('hear')"
    ours, theirs = os.openpty()
    said = {}
    for kind in ("'auto'", "'json'"):
        subprocess.run([sys.executable, "-c", code.format(kind)], stderr=theirs, check=True)
        said[kind] = os.read(ours, 1000).decode()
    os.close(ours)
    os.close(theirs)
    assert said["'auto'"].endswith("  warning: hear\r\n") and json.loads(said["'json'"])["says"] == "hear"


def test_the_last_fault_of_a_child_is_a_line_too() -> None:
    code = "from hibari.serve.journal import write_childs_journal as w; w(); import warnings; warnings.warn('old'); 1/0"
    ended = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=False)
    warned, fault = (json.loads(line) for line in ended.stderr.splitlines())
    assert ended.returncode == 1 and "old" in warned["says"]
    assert "ZeroDivisionError" in fault["says"] and "division by zero" in fault["trace"]


@contextmanager
def serving(home: Path, log: Path) -> Iterator[tuple[str, str]]:
    """`hibari serve` with one worker, and its log in a file; its address, and its admin's key."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HIBARI_")}
    words = ["serve", "--port", "0", "--workers", "1", "--home", str(home)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "hibari", *words], stderr=file, env=environment | {"HIBARI_MODEL": "tiny"}
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while "serves at " not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        told = log.read_text()
        yield told.partition("serves at ")[2].split()[0], (home / "admin.key").read_text().strip()
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def ask(url: str, key: str, body: dict[str, Any] | None = None, request: str = "") -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "X-Request-Id": request}
    data = json.dumps(body).encode() if body is not None else None
    asked = urllib.request.Request(url, data=data, headers=headers)
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def said(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """A video's id, and all that was logged while it and a moderation were asked for."""
    folder = tmp_path_factory.mktemp("journal")
    with serving(own_home(home, folder / "home"), folder / "log") as (address, key):
        fields = {"prompt": PROMPT, "model": "tiny", "seconds": "0.5", "size": "192x128"}
        video = ask(f"{address}/videos", key, fields, "asked.1")["id"]
        ask(f"{address}/moderations", key, {"input": PROMPT}, "asked.2")
        deadline = time.monotonic() + PATIENCE_S
        while (now := ask(f"{address}/videos/{video}", key))["status"] in ("queued", "in_progress"):
            assert time.monotonic() < deadline, now
            time.sleep(0.2)
        assert now["status"] == "completed", now
    lines = (folder / "log").read_text().splitlines()
    return video, [json.loads(line) for line in lines if not line.startswith("hibari: ")]


def test_each_process_names_the_request_and_the_job(said: tuple[str, list[dict[str, Any]]]) -> None:
    video, lines = said
    [api] = [line for line in lines if line.get("operation") == "create_video"]
    [helper] = [line for line in lines if line.get("request_id") == "asked.2" and line["says"] == "moderate answered"]
    ours = [line for line in lines if line.get("video") == video]
    assert {line["request_id"] for line in ours} == {api["request_id"]} == {"asked.1"}
    assert len({api["process"], helper["process"]} | {line["process"] for line in ours}) == 4, "and worker, and maker"
    assert all(line["at"] and line["level"] and line["from"] for line in lines)


def test_no_prompt_is_in_the_log(said: tuple[str, list[dict[str, Any]]]) -> None:
    assert "unmistakably" not in json.dumps(said[1])
