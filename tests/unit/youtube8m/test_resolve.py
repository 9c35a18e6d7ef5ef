"""`resolve` against a real HTTP server."""

import email.utils
import functools
import itertools
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.youtube8m.conftest import rows_of
from tests.unit.youtube8m.servers import Reply, Server
from v2a.youtube8m.cli import main
from v2a.youtube8m.lookup import Service

HEADER = "id,labels,split,start_s,end_s\n"


def _good(path: str) -> Reply:
    name = path.rpartition("/")[2].removesuffix(".js")
    return Reply(body=f'i("{name}","{_video(name)}");'.encode())


def _video(name: str) -> str:
    return f"{name}_video__"[:11]


def _path(name: str) -> str:
    return f"/2/j/i/{name[:2]}/{name}.js"


@pytest.fixture
def server(serve: Callable[[Callable[[str], Reply]], Server]) -> Server:
    return serve(_good)


@pytest.fixture
def resolve(server: Server, tmp_path: Path, cli, monkeypatch):
    """Resolve these ids; exit status, what was printed, complaints."""
    monkeypatch.setattr("v2a.youtube8m.resolve.Service", functools.partial(Service, backoff_s=0.01))

    def run(names: list[str], *more: object) -> tuple[int, str, str]:
        _write(tmp_path / "ids.csv", names)
        return cli(*_arguments(server, tmp_path), *more)

    return run


def _arguments(server: Server, tmp_path: Path, rate: str = "2000/s") -> list[object]:
    service = f"{server.url}/2/j/i/"
    return ["resolve", tmp_path / "ids.csv", "--out", tmp_path / "out.csv", "--service", service, "--rate", rate]


def _write(path: Path, names: list[str]) -> None:
    path.write_text(HEADER + "".join(f"{name},Airplane;Landing,train,,\n" for name in names))


def _failures(tmp_path: Path) -> dict[str, str]:
    lines = (tmp_path / "out.csv.failures.jsonl").read_text().splitlines()
    return {entry["id"]: entry["kind"] for entry in map(json.loads, lines)}


def test_every_id_gets_its_video(server: Server, tmp_path: Path, resolve):
    names = [f"a{number:03}" for number in range(60)]
    status, out, err = resolve(names)
    assert (status, err) == (0, "")
    assert out == f"60 ids: 60 resolved (60 now), 0 gone, 0 failed\nwrote {tmp_path / 'out.csv'}\n"
    rows = rows_of(tmp_path / "out.csv")
    assert list(rows[0]) == ["id", "video_id", "labels", "split", "start_s", "end_s"]
    assert {row["id"]: row["video_id"] for row in rows} == {name: _video(name) for name in names}
    assert rows[0]["labels"] == "Airplane;Landing"
    assert sorted(path for _, path in server.asked) == sorted(map(_path, names))


def test_the_same_command_again_asks_for_nothing(server: Server, tmp_path: Path, resolve):
    resolve(["aaaa", "bbbb"])
    before = (tmp_path / "out.csv").read_bytes()
    status, out, _ = resolve(["aaaa", "bbbb"])
    assert (status, out.splitlines()[0]) == (0, "2 ids: 2 resolved (0 now), 0 gone, 0 failed")
    assert len(server.asked) == 2
    assert (tmp_path / "out.csv").read_bytes() == before


def test_spans_of_one_video_are_one_lookup(server: Server, tmp_path: Path, resolve, cli):
    (tmp_path / "ids.csv").write_text(HEADER + "aaaa,x,,5,10\naaaa,x,,20,25\naaaa,x,,20,25\n")
    assert cli(*_arguments(server, tmp_path))[0] == 0
    (tmp_path / "ids.csv").write_text(HEADER + "aaaa,x,,5,10\naaaa,x,,20,25\naaaa,x,,40,45\n")
    assert cli(*_arguments(server, tmp_path))[0] == 0
    assert [row["start_s"] for row in rows_of(tmp_path / "out.csv")] == ["5", "20", "40"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [403, 404, 410])
def test_what_is_gone_is_listed_and_not_asked_for_again(code: int, server: Server, tmp_path: Path, resolve):
    server.script(_path("gone"), Reply(code))
    status, out, _ = resolve(["gone", "here"])
    assert status == 0
    assert "1 resolved (1 now), 1 gone, 0 failed" in out
    assert _failures(tmp_path) == {"gone": "gone"}
    resolve(["gone", "here"])
    assert server.times(_path("gone")) == 1
    server.script(_path("gone"), _good(_path("gone")))
    assert "2 resolved (1 now), 0 gone" in resolve(["gone", "here"], "--retry-gone")[1]
    assert _failures(tmp_path) == {}


@pytest.mark.parametrize(
    "stumble",
    [Reply(500), Reply(503), Reply(429), Reply(body=b'i("late","x', drop_after=5, headers={"Content-Length": "24"}),
     Reply(body=b"x", drop_after=0)],
    ids=["500", "503", "429", "cut", "dropped"],
)  # fmt: skip
def test_a_service_that_stumbles_is_asked_again(stumble: Reply, server: Server, tmp_path: Path, resolve):
    server.script(_path("late"), stumble, stumble, _good(_path("late")))
    assert "1 resolved" in resolve(["late"])[1]
    assert server.times(_path("late")) == 3


def test_a_service_that_only_fails_is_asked_five_times_and_again_the_next_time(server: Server, tmp_path: Path, resolve):
    server.script(_path("fail"), Reply(502))
    status, out, _ = resolve(["fail", "here"])
    assert status == 0
    assert "1 resolved (1 now), 0 gone, 1 failed" in out
    assert server.times(_path("fail")) == 5
    entry = json.loads((tmp_path / "out.csv.failures.jsonl").read_text())
    assert entry == {"id": "fail", "kind": "failed", "reason": "HTTP 502 Bad Gateway (5 tries)"}
    server.script(_path("fail"), _good(_path("fail")))
    assert "2 resolved (1 now), 0 gone, 0 failed" in resolve(["fail", "here"])[1]


def test_the_waits_between_tries_double(server: Server, tmp_path: Path, resolve, monkeypatch):
    monkeypatch.setattr("v2a.youtube8m.resolve.Service", functools.partial(Service, backoff_s=0.1))
    server.script(_path("fail"), Reply(500))
    resolve(["fail"])
    times = [when for when, _ in server.asked]
    waits = [after - before for before, after in itertools.pairwise(times)]
    for number, wait in enumerate(waits):
        assert 0.1 * 2**number <= wait < 0.1 * 2**number * 1.5 + 2, waits


def test_a_service_that_hangs_is_given_up_on(server: Server, tmp_path: Path, resolve):
    server.script(_path("hang"), Reply(delay_s=2.0))
    server.script(_path("drip"), Reply(body=b"x" * 200, drip_s=0.02))
    begun = time.monotonic()
    assert "0 resolved (0 now), 0 gone, 2 failed" in resolve(["hang", "drip"], "--timeout", "0.3", "--retries", "1")[1]
    assert time.monotonic() - begun < 4
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "out.csv.failures.jsonl").read_text().splitlines()]
    assert reasons == ["no answer within 0.3 s (2 tries)"] * 2


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_holds_all_lookups(as_date: bool, server: Server, tmp_path: Path, resolve):
    text = email.utils.formatdate(time.time() + 2.5, usegmt=True) if as_date else "1"
    server.script(_path("full"), Reply(429, headers={"Retry-After": text}), _good(_path("full")))
    assert "9 resolved" in resolve(["full", *(f"n{number}aa" for number in range(8))], "--parallel", "1")[1]
    times = [when for when, _ in server.asked]
    assert times[1] - times[0] >= 0.95, "the others wait, too"
    assert times[-1] - times[1] < 5


def test_a_service_that_asks_for_a_day_is_left_alone(server: Server, tmp_path: Path, resolve):
    server.script(_path("full"), Reply(429, headers={"Retry-After": "86400"}))
    assert "1 failed" in resolve(["full"])[1]
    assert "asks to wait 86400 s" in (tmp_path / "out.csv.failures.jsonl").read_text()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "expected i("),
        (b"<html>Sign in to this hotel's network</html>", "Sign in to this hotel"),
        (b'i("odd1","short");', "expected i("),
        (b'i("odd1","../../../etc");', "expected i("),
        (b'i("other","abcdefghijk");', "the service answered for another id, b'other'"),
        (b'i("odd1","abcdefghijk");' + b" " * 5000 + b"x", "expected i("),
        (b"\xff\xfe\x00", "expected i("),
    ],
)
def test_answers_that_are_none(body: bytes, reason: str, server: Server, tmp_path: Path, resolve):
    server.script(_path("odd1"), Reply(body=body))
    assert "1 failed" in resolve(["odd1"])[1]
    assert reason in json.loads((tmp_path / "out.csv.failures.jsonl").read_text())["reason"]
    assert server.times(_path("odd1")) == 1


def test_the_rate_and_the_number_at_once_are_kept(serve, tmp_path: Path, cli):
    server = serve(lambda path: Reply(body=_good(path).body, delay_s=0.15))
    _write(tmp_path / "ids.csv", [f"n{number:03}" for number in range(12)])
    begun = time.monotonic()
    assert cli(*_arguments(server, tmp_path, rate="20/s"), "--parallel", "2")[0] == 0
    assert time.monotonic() - begun >= 12 / 2 * 0.15
    assert max(when for when, _ in server.asked) - begun >= 11 / 20
    assert server.most_at_once == 2


def test_a_kill_at_any_moment_loses_no_line(server: Server, tmp_path: Path, start_cli, cli):
    names = [f"k{number:03}" for number in range(150)]
    _write(tmp_path / "ids.csv", names)
    arguments = _arguments(server, tmp_path, rate="100/s")
    for more in (20, 30):
        process = start_cli(*arguments)
        goal = len(server.asked) + more
        while len(server.asked) < goal:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(rows_of(tmp_path / "out.csv")) >= 40
    assert cli(*_arguments(server, tmp_path))[0] == 0
    rows = rows_of(tmp_path / "out.csv")
    assert sorted(row["id"] for row in rows) == names
    assert all(row["video_id"] == _video(row["id"]) for row in rows)
    assert len(server.asked) <= 150 + 2 * (4 + 4), "only what was under way is asked for twice"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_done(number: int, server: Server, tmp_path: Path, start_cli):
    _write(tmp_path / "ids.csv", [f"c{n:03}" for n in range(500)])
    process = start_cli(*_arguments(server, tmp_path, rate="50/s"))
    while len(server.asked) < 10:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, "")
    assert err == "stopped; what is done is kept, and the same command goes on from there\n"
    assert len(rows_of(tmp_path / "out.csv")) >= 5


def test_a_service_that_is_away_stops_the_run(tmp_path: Path, server: Server, resolve):
    server.close()
    status, _, err = resolve([f"n{number:03}" for number in range(200)], "--retries", "0")
    assert status == 1
    assert "20 lookups in a row failed, the last: no connection: [Errno 111] Connection refused" in err
    assert len(_failures(tmp_path)) == 20


def test_a_proxy_that_refuses_everything_makes_no_video_gone(serve, tmp_path: Path, cli):
    server = serve(lambda path: Reply(403))
    names = [f"n{number:03}" for number in range(200)]
    _write(tmp_path / "ids.csv", names)
    status, _, err = cli(*_arguments(server, tmp_path))
    assert status == 1
    assert "the first 50 videos would all be gone (HTTP 403 Forbidden)" in err
    assert _failures(tmp_path) == {}
    status, out, _ = cli(*_arguments(server, tmp_path), "--retry-gone")
    assert "200 gone" in out


def test_a_dry_run_asks_nothing(server: Server, tmp_path: Path, resolve):
    status, out, _ = resolve(["aaaa", "bbbb"], "--dry-run")
    assert status == 0
    assert "2 would be asked for" in out
    assert server.asked == []
    assert not (tmp_path / "out.csv").exists()
    resolve(["aaaa"])
    assert "1 are known, 0 are gone, 1 would be asked for" in resolve(["aaaa", "bbbb"], "--dry-run")[1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no file"),
        (
            "path,label\n",
            "has no column id: expected id in its first row, but got path, label; `python -m v2a.youtube8m select`",
        ),
        (HEADER, "has no ids"),
        (HEADER + "../x,,,,\n", "expected ids of letters and digits, such as nXSc, but got '../x'"),
        (HEADER + "aaaa,,\n", ":2 has 3 fields, but its first row names 5 columns"),
    ],
)
def test_other_lists_are_refused(text: str | None, sentence: str, server: Server, tmp_path: Path, cli):
    if text is not None:
        (tmp_path / "ids.csv").write_text(text)
    status, _, err = cli(*_arguments(server, tmp_path))
    assert status == 1
    assert sentence in err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--rate", "fast", "expected a rate such as 5/s, 30/min or 100/h, but got 'fast'"),
        ("--rate", "0/s", "expected a rate"),
        ("--parallel", "0", "expected a whole number of 1 to 64, but got '0'"),
        ("--timeout", "0", "expected seconds of up to 3600, but got '0'"),
        ("--retries", "-1", "expected a whole number of 0 to 99, but got '-1'"),
        ("--service", "file:///etc", "expected an address that begins with http:// or https://"),
    ],
)
def test_options_out_of_range(option: str, value: str, sentence: str, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["resolve", "ids.csv", "--out", "o.csv", option, value])
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err
