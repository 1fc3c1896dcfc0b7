"""Bodies, declared or not; routes; and that what streams goes on streaming."""

import asyncio
import json
from collections.abc import Iterable

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vae_demo.ui import limits
from vae_demo.ui.limits import BODIES, BodyLimit, KnownRoutes

LIMIT = 100
HTTP: Scope = {"type": "http", "path": "/gradio_api/call/sample", "headers": []}


def body(*parts: bytes) -> list[Message]:
    last = len(parts) - 1
    return [
        {"type": "http.request", "body": part, "more_body": i < last}
        for i, part in enumerate(parts)
    ]


def answer_of(app: ASGIApp, scope: Scope, messages: Iterable[Message]) -> list[Message]:
    """What the app sends; `messages` run out into a disconnect."""
    incoming, sent = iter(messages), []

    async def receive() -> Message:
        return next(incoming, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def status_and_detail(sent: list[Message]) -> tuple[int, str]:
    content = b"".join(message.get("body", b"") for message in sent[1:])
    assert not sent[-1].get("more_body", False)
    return sent[0]["status"], json.loads(content)["detail"]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body and answers with it, in two parts."""
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": content[:1], "more_body": True})
    await send({"type": "http.response.body", "body": content[1:]})


async def untouched(scope: Scope, receive: Receive, send: Send) -> None:
    pytest.fail("the request should not have come so far")


def with_length(*values: bytes) -> Scope:
    return {**HTTP, "headers": [(b"content-length", value) for value in values]}


# Bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [(b"",), (b"x" * LIMIT,), (b"x" * 60, b"y" * 40)])
def test_a_body_up_to_the_limit_passes_part_by_part(parts: tuple[bytes, ...]) -> None:
    content = b"".join(parts)
    sent = answer_of(BodyLimit(echo, LIMIT), with_length(str(len(content)).encode()), body(*parts))
    assert [message.get("body") for message in sent] == [None, content[:1], content[1:]]


def test_a_declared_body_is_refused_unread() -> None:
    status, detail = status_and_detail(
        answer_of(BodyLimit(untouched, 12 * 2**20), with_length(b"13000000"), body(b"x" * 10))
    )
    assert status == 413
    assert "larger than 12 MB" in detail
    assert "smaller" in detail


def test_the_rest_of_a_refused_body_is_read_and_dropped() -> None:
    # A connection closed with unread bytes is reset, and the sender never sees the answer.
    parts = iter(body(*[b"x" * 50] * 10))
    sent = answer_of(BodyLimit(untouched, LIMIT), with_length(b"500"), parts)
    assert sent[0]["status"] == 413
    assert list(parts) == []


@pytest.mark.parametrize("silence", [True, False])
def test_a_refused_sender_cannot_hold_the_line(
    silence: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINGER_S", 0.05)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(60 if silence else 0)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    app = BodyLimit(untouched, LIMIT)
    asyncio.run(asyncio.wait_for(app(with_length(b"500"), receive, send), 5))
    assert status_and_detail(sent)[0] == 413


@pytest.mark.parametrize("value", [b"-1", b"abc", b"", b"1e3", b"0x10", b"1.5", b"9" * 5000])
def test_a_length_that_is_no_number_is_refused(value: bytes) -> None:
    sent = answer_of(BodyLimit(untouched, LIMIT), with_length(value), body(b""))
    assert status_and_detail(sent)[0] == 400


def test_the_largest_of_several_lengths_counts() -> None:
    sent = answer_of(BodyLimit(untouched, LIMIT), with_length(b"5", b"500"), body(b""))
    assert status_and_detail(sent)[0] == 413


@pytest.mark.parametrize("scope", [HTTP, with_length(b"5")], ids=["undeclared", "lied"])
def test_an_undeclared_body_is_counted_while_it_is_read(scope: Scope) -> None:
    seen = 0

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal seen
        while True:
            seen += len((await receive()).get("body", b""))

    sent = answer_of(BodyLimit(count, LIMIT), scope, body(*[b"x" * 30] * 50))
    assert status_and_detail(sent)[0] == 413
    assert seen <= LIMIT


def test_an_app_that_takes_the_refusal_for_bad_json_is_overruled() -> None:
    async def forgiving(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, receive, send)
        except Exception:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"Invalid JSON body."})

    sent = answer_of(BodyLimit(forgiving, LIMIT), HTTP, body(b"x" * 60, b"x" * 60))
    assert status_and_detail(sent)[0] == 413


def test_many_senders_cannot_do_what_one_may_not() -> None:
    limit = BodyLimit(echo, LIMIT)

    async def scenario() -> list[int]:
        statuses: list[int] = []
        go_on = asyncio.Event()

        async def one(last: bool) -> None:
            parts = iter(body(b"x" * (LIMIT - 1), b"x"))
            waited = False

            async def receive() -> Message:
                nonlocal waited
                if waited and not last:
                    await go_on.wait()
                waited = True
                return next(parts)

            async def send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            await limit(HTTP, receive, send)

        held = [asyncio.create_task(one(False)) for _ in range(BODIES)]
        await asyncio.sleep(0)
        await one(True)  # finds no room
        go_on.set()
        await asyncio.gather(*held)
        await one(True)  # the room is free again
        return statuses

    assert asyncio.run(scenario()) == [503] + [200] * (BODIES + 1)
    assert limit.held_bytes == 0


def test_an_error_of_the_app_stays_its_own() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise KeyError("its own")

    limit = BodyLimit(broken, LIMIT)
    with pytest.raises(KeyError):
        answer_of(limit, HTTP, body(b"x"))
    assert limit.held_bytes == 0


def test_a_stream_passes_as_it_comes() -> None:
    # Server-sent events: each part leaves at once, and the app learns when the reader has gone.
    seen: list[str] = []
    sent: list[Message] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for i in range(3):
            await send({"type": "http.response.body", "body": b"%d" % i, "more_body": True})
            seen.append(sent[-1]["body"].decode())
        assert (await receive())["type"] == "http.disconnect"

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(BodyLimit(stream, LIMIT)(HTTP, receive, send))
    assert seen == ["0", "1", "2"]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_what_is_no_request_passes_untouched(kind: str) -> None:
    handed: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handed.extend((scope, receive, send))

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None: ...

    scope: Scope = {"type": kind, "path": "/"}
    asyncio.run(KnownRoutes(BodyLimit(app, LIMIT))(scope, receive, send))
    assert handed == [scope, receive, send]


# Routes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/config",
        "/assets/index.js",
        "/theme.css",
        "/gradio_api/info",
        "/gradio_api/call/sample",
        "/gradio_api/call/v2/sample",
        "/gradio_api/queue/join",
        "/gradio_api/component_server/",
        "/gradio_api/file=/home/me/plotly.min.js",
        "/behind/a/proxy/gradio_api/heartbeat/abc",
    ],
)
def test_what_the_app_uses_passes(path: str) -> None:
    sent = answer_of(KnownRoutes(echo), {**HTTP, "path": path}, body(b"ok"))
    assert sent[0]["status"] == 200


@pytest.mark.parametrize(
    "route",
    [
        "upload",
        "upload/",
        "upload_progress",
        "process_recording",
        "proxy=https://a.hf.space/",
        "file=https://example.org/a.png",
        "file=HTTP://example.org/a.png",
        "deep_link",
        "stream/abc",
        "vibe-code/",
        "run/sample",
        "",
        "/upload",
    ],
)
def test_other_routes_do_not_exist(route: str) -> None:
    scope = {**HTTP, "path": f"/gradio_api/{route}"}
    assert status_and_detail(answer_of(KnownRoutes(untouched), scope, body(b"")))[0] == 404


def test_file_forms_are_refused() -> None:
    headers = [(b"content-type", b"Multipart/form-data; boundary=x")]
    sent = answer_of(KnownRoutes(untouched), {**HTTP, "headers": headers}, body(b"--x"))
    assert status_and_detail(sent)[0] == 415


# On the running app -------------------------------------------------------------------------------

POSTS = ["component_server/", "call/reconstruct", "call/v2/reconstruct", "queue/join"]


@pytest.mark.parametrize("route", POSTS)
@pytest.mark.parametrize("declared", [True, False])
def test_13_mb_are_refused(served: str, route: str, declared: bool) -> None:
    content = b'{"data": ["' + b"a" * 13_000_000 + b'"]}'
    parts = content if declared else (content[i : i + 2**20] for i in range(0, len(content), 2**20))
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{served}/gradio_api/{route}", content=parts, headers=headers, timeout=60)
    assert answer.status_code == 413
    assert "larger than 12 MB" in answer.json()["detail"]


def test_nothing_can_be_uploaded(served: str) -> None:
    for route, status in (("upload", 404), ("component_server/", 415)):
        answer = httpx.post(f"{served}/gradio_api/{route}", files={"files": b"x"})
        assert answer.status_code == status
        assert "This app" in answer.json()["detail"]
