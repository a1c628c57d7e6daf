"""``dgaal label --serve`` in a headless browser: keys arrive, and no other host is contacted."""

import asyncio
import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from class_labels import name_of
from PIL import Image

from dgaal_cli.ids import SampleId
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import NewItem, Query, QueryEntry

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


class Page:
    """One browser tab, controlled by the DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._number = 0
        self.requests: list[str] = []

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_str(json.dumps(message))
        while True:
            answer = json.loads((await asyncio.wait_for(self._socket.receive(), 30)).data)
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("method") == "Network.webSocketCreated":
                self.requests.append(answer["params"]["url"])
            if answer.get("id") == self._number:
                return answer.get("result", {})

    async def value(self, expression: str) -> Any:
        result = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    async def key(self, text: str) -> None:
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, key=text)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=text)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    pool = tmp_path / "pool"
    pool.mkdir()
    (tmp_path / "dgaal.toml").write_text('name = "web"\n[pool]\nsource = "pool"\n')
    with store_location(tmp_path / "labels.db").create() as store:
        for name in "0123456789":
            store.add_class(name)
        for i in range(6):
            path = pool / f"{i}.png"
            y, x = np.mgrid[:32, :32]
            pixels = np.stack([x * 8, y * 8, np.full_like(x, 40 * i)], axis=2).astype(np.uint8)
            Image.fromarray(pixels).save(path)
            data = path.read_bytes()
            new = NewItem(
                sample_id=SampleId(path.name),
                sha256=hashlib.sha256(data).digest(),
                size_bytes=len(data),
                width=32,
                height=32,
            )
            store.add_items([new])
        entries = [QueryEntry(item_id=i.item_id, rank=r) for r, i in enumerate(store.items(), 1)]
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=tuple(entries)))
    return tmp_path


@pytest.fixture
def address(workspace: Path):
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "dgaal_cli", "-C", str(workspace)),
            *("label", "--serve", "--port", "0", "--annotator", "ann"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.send_signal(signal.SIGINT)
    assert server.wait(30) == 130
    server.stdout.close()


@pytest.fixture
def devtools(tmp_path: Path):
    browser = subprocess.Popen(
        [
            str(CHROMIUM),
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"),
            *("--window-size=1240,860", f"--user-data-dir={tmp_path / 'profile'}", "about:blank"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert browser.stderr is not None
    line = next(line for line in browser.stderr if "DevTools listening" in line)
    yield re.search(r"ws://([^/]+)/", line)[1]  # type: ignore[index]
    os.killpg(browser.pid, signal.SIGKILL)
    browser.wait()
    browser.stderr.close()


def events(root: Path) -> list[tuple[str, str, str | None]]:
    with open_store(root / "labels.db", read_only=True) as store:
        return [(e.kind, e.sample_id, name_of(store, e)) for e in store.events()]


async def until(condition, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not (condition() if not asyncio.iscoroutinefunction(condition) else await condition()):
        assert time.monotonic() < end, "timed out"
        await asyncio.sleep(0.2)


async def test_keys_in_a_browser_store_labels(workspace, address, devtools):
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{devtools}/json/list") as response:
            tabs = await response.json(content_type=None)
        tab = next(tab for tab in tabs if tab["type"] == "page")
        async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Page(socket)
            await page.send("Network.enable")
            await page.send("Page.enable")
            await page.send("Page.navigate", url=address)

            async def is_painted() -> bool:
                return bool(await page.value("document.body.className.includes('-first-byte')"))

            await until(is_painted)
            await asyncio.sleep(3)
            click = {"x": 400, "y": 300, "button": "left", "clickCount": 1}
            await page.send("Input.dispatchMouseEvent", type="mousePressed", **click)
            await page.send("Input.dispatchMouseEvent", type="mouseReleased", **click)
            for count, key in enumerate("3x5", start=1):
                await asyncio.sleep(1.0)
                await page.key(key)
                await until(lambda count=count: len(events(workspace)) == count)
            assert "token" not in await page.value("location.href")
            screenshot = await page.send("Page.captureScreenshot", format="png")
            image_bytes = base64.b64decode(screenshot["data"])
            screenshot_path = os.environ.get("KEEP_SCREENSHOT_AT")
            if screenshot_path:
                Path(screenshot_path).write_bytes(image_bytes)
    assert events(workspace) == [
        ("label", "0.png", "3"),
        ("cannot_tell", "1.png", None),
        ("label", "2.png", "5"),
    ]
    hosts = {re.sub(r"^\w+://([^/:]+).*", r"\1", url) for url in page.requests}
    assert hosts <= {"localhost"}, page.requests
    assert len(image_bytes) > 20_000
