"""The round screen: table of rounds, accuracy compared with random, and the next step."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen

from dgaal_cli.escaping import show
from dgaal_cli.tui import theme
from dgaal_cli.tui.actions import action_of, live_actions
from dgaal_cli.tui.bridge import LabelView, RoundsReport
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.screens.pick_dialogs import NumberDialog, PickDialog
from dgaal_cli.tui.widgets.bars import action_bar
from dgaal_cli.tui.widgets.lines import Pieces, line
from dgaal_cli.tui.widgets.round_table import curve_rows, table_rows
from dgaal_cli.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

SYNTHESIZED = 12
"""Default number of images to synthesize."""
WIDE = 100

Kind = Literal["label", "train", "review", "grid", "export", "synthesize", "set"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The next step chosen by the operator."""

    kind: Kind
    count: int = 0
    """Images to synthesize."""
    values: dict[str, str | int | bool] = field(default_factory=dict[str, "str | int | bool"])
    """Keys of ``dgaal.toml``."""


class RoundsScreen(Screen[Choice]):
    """Shows the rounds; dismissed with the next step."""

    def __init__(
        self, view: LabelView, report: RoundsReport, keymap: Keymap, *, is_training: bool
    ) -> None:
        super().__init__()
        self.view = view
        self.report = report
        self.keymap = keymap
        self.actions = live_actions("rounds", keymap)
        self._is_training = is_training
        self._note = ""

    def compose(self) -> ComposeResult:
        """Create table and curve between status line and key bar."""
        yield Rows(id="status")
        with Horizontal(id="middle"):
            yield Rows(id="table")
            yield Rows(id="curve")
        yield Rows(id="keys-bar")

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new size; a narrow terminal shows only the table."""
        is_wide = event.size.width >= WIDE
        self.query_one("#table", Rows).styles.width = "62%" if is_wide else "100%"
        self.query_one("#curve", Rows).display = is_wide
        self.call_after_refresh(self.draw)

    def on_key(self, event: events.Key) -> None:
        """Run the action of a key."""
        event.stop()
        self._note = ""
        name = action_of(self.actions, key_name(event))
        if name:
            self.act(name)
        self.draw()

    def act(self, name: str) -> None:
        """Run an action by its name."""
        handlers: dict[str, Callable[[], object]] = {
            "go": lambda: self._choose("label" if self.view.state == "labeling" else "train"),
            "label": lambda: self._choose("label"),
            "train": lambda: self._choose("train"),
            "review": lambda: self._choose("review"),
            "grid": lambda: self._choose("grid"),
            "export": lambda: self._choose("export"),
            "synthesize": self._synthesize,
            "method": self._pick_method,
            "size": self._pick_size,
            "help": self._help,
        }
        handlers[name]()
        self.draw()

    def _choose(self, kind: Kind) -> None:
        self.dismiss(Choice(kind=kind))

    def _help(self) -> None:
        from dgaal_cli.tui.screens.help import HelpDialog

        self.app.push_screen(HelpDialog(self.keymap, (), self.actions))

    def _synthesize(self) -> None:
        if self._is_training:
            self._note = "a training is running; synthesize after it"
            return
        if self.report.is_paused:
            self._note = (
                f"paused: more than {self.report.max_junk:.0%} of this query's synthetic images "
                "could not be labeled; the next query asks only pool images, then synthesis resumes"
            )
            self.app.bell()
            return

        if sum(count > 0 for count in self.view.by_class.values()) < 2:
            self._note = (
                "synthesis needs a boundary between classes: first label images of two classes"
            )
            self.app.bell()
            return

        def go(count: int | None) -> None:
            if count:
                self.dismiss(Choice(kind="synthesize", count=count))

        question = (
            "Images to synthesize near the class boundary and ask in addition to pool images. "
            "They are marked SYNTHETIC; answer can't tell if no class fits."
        )
        dialog = NumberDialog("query by synthesis", question, value=SYNTHESIZED, maximum=1000)
        self.app.push_screen(dialog, go)

    def _pick_method(self) -> None:
        if self._is_training:
            self._note = "a training is running; change the method after it"
            return
        if self.report.next_step == "query":
            self._note = "this round is trained: choose its query first, then change the method"
            return

        def go(name: str | None) -> None:
            if name and name != self.report.method:
                self.dismiss(Choice(kind="set", values={"method": name}))

        dialog = PickDialog("method", self.report.methods, current=self.report.method)
        self.app.push_screen(dialog, go)

    def _pick_size(self) -> None:
        def go(count: int | None) -> None:
            if count and count != self.report.query_size:
                self.dismiss(Choice(kind="set", values={"query.size": count}))

        question = "Images asked per round, from the next query on."
        self.app.push_screen(NumberDialog("query size", question, value=self.report.query_size), go)

    def draw(self) -> None:
        """Draw everything; unchanged rows are not sent."""
        if not self.query("#keys-bar"):
            return
        status, bar = self.query_one("#status", Rows), self.query_one("#keys-bar", Rows)
        status.show_rows([line(status.size.width, self._left(), self._right(), theme.BAR_BASE)])
        bar.show_rows([action_bar(self.actions, bar.size.width)])
        table, curve = self.query_one("#table", Rows), self.query_one("#curve", Rows)
        if table.size.width >= 36:
            table.show_rows(
                table_rows(self.report, self.view, table.size.width, table.size.height, self._note)
            )
        if curve.display and curve.size.width >= 30:
            curve.show_rows(curve_rows(self.report, self.view, curve.size.width, curve.size.height))

    def _left(self) -> Pieces:
        return (
            (" ROUNDS ", theme.BRAND),
            (f"  {show(self.view.name)} ", theme.BAR_STRONG),
            (f" method {show(self.report.method)} ", theme.BAR_BASE),
            (f" {self.report.query_size} per query ", theme.BAR_BASE),
        )

    def _right(self) -> Pieces:
        if self._is_training:
            return ((" training ", theme.BAR_KEY), (" ✔ saved ", theme.BAR_GOOD))
        return ((" ✔ saved ", theme.BAR_GOOD),)
