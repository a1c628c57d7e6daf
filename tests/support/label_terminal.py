"""A label terminal under Textual's pilot, with a clock that the test sets."""

import io
import sys
import time
from collections.abc import Callable
from contextlib import asynccontextmanager

from class_labels import name_of
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Static

from dgaal_cli.events import encode
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.store.open import open_store
from dgaal_cli.tui.app import LabelApp
from dgaal_cli.tui.bridge import Bridge, LabelView, Press, QueryImage
from dgaal_cli.tui.gate import Gate
from dgaal_cli.tui.keymap import Keymap, OwnKeys
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.screens.label import LabelScreen
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets.image_view import ImageView
from dgaal_cli.tui.widgets.rows import Rows

WIDE = (120, 40)


class Terminal:
    """An app under a pilot, with a clock that the test sets."""

    def __init__(self, app: LabelApp, pilot: Pilot, clock, workspace) -> None:
        self.app = app
        self.pilot = pilot
        self.clock = clock
        self.workspace = workspace

    @property
    def screen(self) -> LabelScreen:
        return self.app.label_screen

    @property
    def view(self) -> LabelView:
        return self.screen.shown.view

    @property
    def image(self) -> QueryImage | None:
        return self.screen.shown.image

    @property
    def gate(self) -> Gate:
        return self.screen.shown.gate

    @property
    def keymap(self) -> Keymap:
        return self.screen.shown.keymap

    @property
    def pending(self) -> Press | None:
        return self.screen.answers.pending

    @property
    def busy(self) -> str:
        return self.screen.answers.busy

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        end = time.monotonic() + 120.0
        while time.monotonic() < end:
            if condition():
                return
            await self.pilot.pause(0.01)
        raise AssertionError(f"timed out {what}; the screen shows:\n{self.text()}")

    async def settle(self) -> None:
        """Wait until no answer is pending and the image, if any, is on the screen."""
        screen = self.screen
        await self.until(lambda: not self.pending and not self.busy, "for the store")
        if screen.is_current and self.image and not screen.has_class("-too-small"):
            await self.until(lambda: self.gate.elapsed_ms() is not None, "for the image")

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.settle()
            await self.pilot.pause()  # a late layout may draw the image again
            await self.settle()
            self.clock.now += 1
            await self.pilot.press(key)
            await self.pilot.pause()
        await self.settle()

    def events(self) -> list[tuple[str, str, str | None]]:
        with open_store(self.workspace.store_path, read_only=True) as store:
            return [(e.kind, e.sample_id, name_of(store, e)) for e in store.events()]

    def labels(self) -> dict[str, str]:
        with open_store(self.workspace.store_path, read_only=True) as store:
            return {r.sample_id: name_of(store, r) for r in store.labels()}

    def text(self) -> str:
        """Return the text of the label screen."""
        rows = [strip.text for widget in self.screen.query(Rows) for strip in widget._rows]
        rows += ["".join(t for t, _ in p) for p in self.screen.query_one(ImageView)._lines]
        return "\n".join(rows)

    def dialog(self) -> str:
        return "\n".join(str(s.content) for s in self.app.screen.query(Static))


def starter(make_workspace, config, clock, fake_reader):
    """Return a context manager that starts a terminal over a small workspace."""

    @asynccontextmanager
    async def start(
        *,
        workspace=None,
        size=WIDE,
        hints=False,
        train: dict[str, list[str]] | None = None,
        make_reader=fake_reader,
        has_sampler=False,
        learner=True,
        keys: dict[str, str | list[str]] | None = None,
        **kwargs,
    ):
        workspace = workspace or make_workspace(**kwargs)

        def opener() -> LabelSession:
            store = open_store(workspace.store_path)
            return LabelSession(
                store, config=config, workspace=workspace, annotator="ann", clock=clock
            )

        settings = Settings(
            mode=Mode.HALF,
            gate_s=0.08,
            hints=hints,
            make_reader=make_reader,
            train_command=lambda step: (train or {})[step],
            clock=clock,
            has_sampler=lambda: has_sampler,
            uses_learner=learner,
            keys=OwnKeys(commands=keys or {}),
        )
        bridge = Bridge(opener)
        app = LabelApp(bridge, bridge.start(), settings)
        try:
            async with app.run_test(size=size) as pilot:
                terminal = Terminal(app, pilot, clock, workspace)
                await terminal.settle()
                yield terminal
        finally:
            bridge.close()

    return start


def text_of(app: LabelApp) -> str:
    """Return the text of the terminal without trailing blanks."""
    width, height = app.size
    console = Console(
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",  # a style caches its first color system, also for later tests
        record=True,
    )
    console.print(app.screen._compositor.render_update(full=True))
    lines = console.export_text(styles=False).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def script(*lines: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(["import sys, time", *lines])]


def print_events(*events) -> str:
    return "".join(f"print({encode(e).decode()!r}, flush=True);" for e in events)
