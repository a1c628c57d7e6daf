"""The round screen: table of rounds, accuracy compared with random, and the next step."""

from dataclasses import dataclass, field
from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal

from dgaal_cli.escaping import show
from dgaal_cli.tui import theme
from dgaal_cli.tui.actions import action_of
from dgaal_cli.tui.bridge import LabelView, RoundsReport
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.screens.overlay import Overlay
from dgaal_cli.tui.screens.pick_dialogs import NumberDialog, PickDialog
from dgaal_cli.tui.widgets.bars import save_mark
from dgaal_cli.tui.widgets.round_table import curve_rows, table_rows
from dgaal_cli.tui.widgets.rows import Rows

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


class RoundsScreen(Overlay[Choice]):
    """Shows the rounds; dismissed with the next step."""

    def __init__(
        self, view: LabelView, report: RoundsReport, keymap: Keymap, *, is_training: bool
    ) -> None:
        super().__init__("rounds", view, keymap)
        self.report = report
        self._is_training = is_training

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
        self.note = ""
        name = action_of(self.actions, key_name(event))
        if name:
            self.act(name)
        self.draw()

    def act(self, name: str) -> None:
        """Run an action by its name."""
        match name:
            case "go":
                self.dismiss(Choice(kind="label" if self.view.state == "labeling" else "train"))
            case "label" | "train" | "review" | "grid" | "export":
                self.dismiss(Choice(kind=name))
            case "synthesize":
                self._synthesize()
            case "method":
                self._pick_method()
            case "size":
                self._pick_size()
            case _:
                self.show_help()
        self.draw()

    def _synthesize(self) -> None:
        if self._is_training:
            self.note = "a training is running; synthesize after it"
            return
        if self.report.refusal:
            self.note = show(self.report.refusal)
            self.app.bell()
            return
        if self.report.is_paused:
            self.note = (
                f"paused: more than {self.report.max_junk:.0%} of this query's synthetic images "
                "could not be labeled; the next query asks only pool images, then synthesis resumes"
            )
            self.app.bell()
            return
        if sum(count > 0 for count in self.view.by_class.values()) < 2:
            self.note = (
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
            self.note = "a training is running; change the method after it"
            return
        if self.report.next_step == "query":
            self.note = "this round is trained: choose its query first, then change the method"
            return

        def go(name: str | None) -> None:
            if name and name != self.report.method:
                self.dismiss(Choice(kind="set", values={"method": name}))

        methods, current = self.report.methods, self.report.method
        dialog = PickDialog("method", [*methods], current=current, notes=methods)
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
        left = (
            (" ROUNDS ", theme.BRAND),
            (f"  {show(self.view.name)} ", theme.BAR_STRONG),
            (f" method {show(self.report.method)} ", theme.BAR_BASE),
            (f" {self.report.query_size} per query ", theme.BAR_BASE),
        )
        right = ((" training ", theme.BAR_KEY),) if self._is_training else ()
        self.draw_bars(left, (*right, save_mark("saved")))
        table, curve = self.query_one("#table", Rows), self.query_one("#curve", Rows)
        if table.size.width >= 36:
            table.show_rows(
                table_rows(self.report, self.view, table.size.width, table.size.height, self.note)
            )
        if curve.display and curve.size.width >= 30:
            curve.show_rows(curve_rows(self.report, self.view, curve.size.width, curve.size.height))
