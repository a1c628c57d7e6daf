"""Access to the served terminal: unauthorized requests are refused and start no process."""

import asyncio
import json
import sys

import pytest

from dgaal_cli.tui.serve.child import child_environment
from dgaal_cli.tui.serve.guard import MAX_MESSAGES, MAX_SESSIONS, Guard, Rate, cookie_name

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")


def ws(server, **headers: str) -> dict:
    host = f"localhost:{server.port}"
    plain = {"Host": host, "Origin": f"http://{host}", "Cookie": "", **headers}
    return {key: value for key, value in plain.items() if value}


def cookie(server, token: str) -> str:
    return f"{cookie_name(f'localhost:{server.port}')}={token}"


async def connect(session, server, headers):
    return await session.ws_connect(f"http://127.0.0.1:{server.port}/ws?width=80", headers=headers)


REFUSED = {
    "no token": ({}, 401),
    "wrong token": ({"Cookie": "wrong"}, 401),
    "foreign origin": ({"Cookie": "yes", "Origin": "http://evil.example"}, 403),
    "origin of another local server": ({"Cookie": "yes", "Origin": "http://localhost:1"}, 403),
    "no origin": ({"Cookie": "yes", "Origin": ""}, 403),
    "null origin": ({"Cookie": "yes", "Origin": "null"}, 403),
    "foreign host": ({"Cookie": "yes", "Host": "evil.example"}, 421),
    "rebound host": (
        {"Cookie": "yes", "Host": "evil.example:80", "Origin": "http://evil.example:80"},
        421,
    ),
    "host that looks like ours": ({"Cookie": "yes", "Host": "localhost.evil.example"}, 421),
    "address of the network": ({"Cookie": "yes", "Host": "192.168.0.7:8000"}, 421),
    "another site's fetch": ({"Cookie": "yes", "Sec-Fetch-Site": "cross-site"}, 403),
    "a sibling's fetch": ({"Cookie": "yes", "Sec-Fetch-Site": "same-site"}, 403),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_unauthorized_socket_is_refused_and_starts_no_process(served, recorder, case):
    headers, status = REFUSED[case]
    async with served() as (server, guard), aiohttp.ClientSession() as session:
        tokens = {"yes": guard.token, "wrong": "wrong"}
        headers = {k: cookie(server, tokens[v]) if v in tokens else v for k, v in headers.items()}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(session, server, ws(server, **headers))
        assert refused.value.status == status
        assert guard.open_sessions == 0
    assert recorder.lines == []


@pytest.mark.parametrize("path", ["/", "/static/textual.js", "/static/page.css", "/ws", "/x"])
async def test_pages_need_the_token(served, recorder, path):
    async with served() as (server, _), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}{path}"
        async with session.get(url, headers={"Host": "localhost"}) as response:
            assert response.status == (403 if path == "/ws" else 401)
    assert recorder.lines == []


async def test_printed_address_sets_an_http_only_same_site_cookie(served):
    async with served() as (server, guard), aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{server.port}"
        good = f"{base}/?token={guard.token}"
        async with session.get(good, allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == "/"
            set_cookie = response.headers["Set-Cookie"]
            assert "HttpOnly" in set_cookie
            assert "SameSite=Strict" in set_cookie
        async with session.get(f"{base}/?token=wrong", allow_redirects=False) as response:
            assert response.status == 401
            assert "Set-Cookie" not in response.headers
        async with session.get(good, headers={"Host": "evil.example"}) as response:
            assert response.status == 421
            assert "Set-Cookie" not in response.headers


async def test_page_contacts_no_other_host_and_lists_no_folder(served):
    async with served() as (server, guard), aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{server.port}"
        headers = {"Cookie": cookie(server, guard.token)}
        async with session.get(base, headers=headers) as response:
            page = await response.text()
            policy = response.headers["Content-Security-Policy"]
            assert response.status == 200
        assert "http://" not in page
        assert "https://" not in page
        assert f"ws://127.0.0.1:{server.port}/ws" in page
        assert "default-src 'none'" in policy
        assert "googleapis" not in page + policy
        for path in ("/static", "/static/", "/static/js", "/static/..%2fserver.py", "/download/x"):
            async with session.get(base + path, headers=headers) as response:
                assert response.status == 404, path
                assert "textual" not in await response.text()
        async with session.get(f"{base}/static/textual.js", headers=headers) as response:
            assert response.status == 200
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_keys_reach_the_process_and_closing_waits_for_its_end(served, recorder):
    async with served() as (server, guard), aiohttp.ClientSession() as session:
        socket = await connect(session, server, ws(server, Cookie=cookie(server, guard.token)))
        assert (await socket.receive()).data == b"hello"
        await socket.send_str(json.dumps(["stdin", "3"]))
        assert (await socket.receive()).data == b"3"
        await socket.send_str(json.dumps(["resize", {"width": 100, "height": 30}]))
        await socket.send_str(json.dumps(["ping", 7]))
        assert json.loads((await socket.receive()).data) == ["pong", 7]
        assert guard.open_sessions == 1
        await socket.close()
        for _ in range(200):
            if guard.open_sessions == 0:
                break
            await asyncio.sleep(0.05)
        assert guard.open_sessions == 0
    assert recorder.count("D 3") == 1
    assert any('"width": 100' in line for line in recorder.lines)
    assert recorder.lines[-1] == "end"


BAD_FRAMES = {
    "1 MB": json.dumps(["stdin", "x" * 2**20]),
    "no list": json.dumps({"stdin": "3"}),
    "no json": "3",
    "unknown kind": json.dumps(["deliver", "3"]),
    "keys that are no text": json.dumps(["stdin", ["3"]]),
    "size that is no number": json.dumps(["resize", {"width": "80", "height": 24}]),
    "deep": "[" * 60_000,
}


@pytest.mark.parametrize("case", BAD_FRAMES)
async def test_bad_message_ends_the_session_and_sends_no_key(served, recorder, case):
    async with served() as (server, guard), aiohttp.ClientSession() as session:
        socket = await connect(session, server, ws(server, Cookie=cookie(server, guard.token)))
        assert (await socket.receive()).data == b"hello"
        await socket.send_str(BAD_FRAMES[case])
        message = await asyncio.wait_for(socket.receive(), 10)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await socket.close()
    assert recorder.count("D ") == 0


async def test_terminal_beyond_the_limit_is_refused(served, recorder):
    async with served() as (server, guard), aiohttp.ClientSession() as session:
        headers = ws(server, Cookie=cookie(server, guard.token))
        sockets = [await connect(session, server, headers) for _ in range(MAX_SESSIONS)]
        for socket in sockets:
            assert (await socket.receive()).data == b"hello"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(session, server, headers)
        assert refused.value.status == 503
        assert recorder.count("start") == MAX_SESSIONS
        for socket in sockets:
            await socket.close()


async def test_control_stock_server_accepts_unauthorized_sockets(recorder):
    """Negative control: without our checks the same requests start a process and send keys."""
    from aiohttp.test_utils import TestServer
    from textual_serve.server import Server

    stock = Server(" ".join(recorder.argv), host="127.0.0.1", port=0)
    stock.console.quiet = True
    async with TestServer(await stock._make_app()) as server, aiohttp.ClientSession() as session:
        for headers, _ in (REFUSED["no token"], REFUSED["foreign origin"], REFUSED["rebound host"]):
            socket = await connect(session, server, ws(server, **headers))
            assert (await socket.receive()).data == b"hello"
            await socket.send_str(json.dumps(["stdin", "3"]))
            assert (await socket.receive()).data == b"3"
            await socket.close()
        for _ in range(200):
            if recorder.count("end") == 3:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
    assert recorder.count("start") == 3
    assert recorder.count("D 3") == 3


def test_child_environment_has_no_secrets():
    environment = {
        "PATH": "/bin",
        "HOME": "/h",
        "AWS_SECRET_ACCESS_KEY": "x",
        "LD_PRELOAD": "x",
        "PYTHONPATH": "x",
        "DGAAL_SEED": "3",
    }
    child = child_environment(environment, width=10, height=5)
    assert child["DGAAL_SEED"] == "3"
    assert child["COLUMNS"] == "10"
    assert not {"AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "PYTHONPATH"} & set(child)


def test_rate_refuses_too_many_messages():
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert all(rate.take() for _ in range(MAX_MESSAGES))
    assert not rate.take()
    now[0] += 1.0
    assert rate.take()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:9", "[::1]", "LOCALHOST:1"])
def test_host_names_of_this_machine_are_accepted(host):
    assert Guard().check_host({"Host": host}) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil", "localhost:x", "localhost@evil:1", "127.0.0.1.evil:1", ":80", "localhost:80:80"],
)
def test_other_host_names_are_refused(host):
    assert Guard().check_host({"Host": host}) is not None


async def test_error_of_a_process_that_does_not_start_is_shown(served, recorder):
    recorder.argv[:] = [sys.executable, "-c", "import sys; sys.exit('in use by process 7')"]
    async with served() as (server, guard), aiohttp.ClientSession() as session:
        socket = await connect(session, server, ws(server, Cookie=cookie(server, guard.token)))
        assert b"in use by process 7" in (await socket.receive()).data
        await socket.close()
