"""The details of an image: its file, the figures of its query, and the model's guesses."""

import textwrap
from collections.abc import Sequence

from textual.widgets import Static

from dgaal_cli.data.photo_facts import PhotoFacts
from dgaal_cli.escaping import show
from dgaal_cli.tui.bridge import LabeledNeighbor, QueryImage
from dgaal_cli.tui.screens.dialogs import PageDialog, text
from dgaal_cli.tui.widgets.captions import key_of, reason_of
from dgaal_cli.tui.widgets.scene import Scene

MAX_GUESSES = 5
_TITLE = 10
Rows = list[tuple[str, str]]
"""Titles with their texts; a row with an empty text is left out."""


class DetailsDialog(PageDialog):
    """Shows everything that is known of the image on the screen."""

    heading = " details "
    leave_keys = ("escape", "q", "enter", "i", "I")

    def __init__(
        self,
        scene: Scene,
        facts: PhotoFacts,
        size: tuple[int, int] | None,
        neighbors: Sequence[LabeledNeighbor],
    ) -> None:
        """Create the page for the image of ``scene``.

        Args:
            scene: What the label screen shows.
            facts: What its file states.
            size: Width and height in pixels.
            neighbors: The labeled images most alike to it.
        """
        super().__init__()
        self._rows = detail_rows(scene, facts, size, neighbors)

    def body(self) -> Sequence[Static]:
        """Create the page."""
        room = min(90, int(0.96 * self.app.size.width)) - 8 - _TITLE
        parts: list[str | tuple[str, str]] = []
        for title, value in self._rows:
            lines = textwrap.wrap(value, max(10, room)) or [""]
            parts.append((f"{title:<{_TITLE}}", "#8a95a3"))
            parts.append(f"\n{' ' * _TITLE}".join(lines) + "\n")
        return [Static(text(*parts)), self.keys(("Esc", "back"))]


def detail_rows(
    scene: Scene,
    facts: PhotoFacts,
    size: tuple[int, int] | None,
    neighbors: Sequence[LabeledNeighbor],
) -> Rows:
    """Return the rows of the page; guesses and classes only if guesses are visible."""
    image = scene.image
    if image is None:
        return []
    folder, _, name = show(image.sample_id).rpartition("/")
    file_size = "" if facts.size_bytes is None else f"{facts.size_bytes / 1000:,.1f} kB"
    rows: Rows = [
        ("name", name),
        ("folder", folder),
        ("pixels", "" if size is None else f"{size[0]} x {size[1]}"),
        ("file", file_size),
        ("taken", show(facts.taken_at)),
        ("camera", show(facts.camera)),
        *_query_rows(scene, image),
        *_neighbor_rows(scene, image, neighbors),
        ("guesses", _guesses(scene, image)),
    ]
    return [(title, value) for title, value in rows if value]


def _query_rows(scene: Scene, image: QueryImage) -> Rows:
    view = scene.view
    place = f"number {image.rank} of {view.progress.size}, " if image.rank else ""
    score = ""
    if image.score is not None:
        score = f"{image.score:.3f}; a higher score is asked first"
    if score and image.percentile is not None:
        score += f"; {image.percentile:.1f}% of the pool have a lower one"
    return [
        ("query", f"{place}round {view.round}, by {show(view.strategy)}"),
        ("why", reason_of(image, view)),
        ("score", score),
    ]


def _neighbor_rows(scene: Scene, image: QueryImage, neighbors: Sequence[LabeledNeighbor]) -> Rows:
    """Name the labeled images most alike, the best first; else the one that the query found."""
    if not neighbors:
        nearest_class = show(image.nearest_class) if scene.is_guess_visible else ""
        nearest = f"{show(image.nearest)} {nearest_class}".strip()
        text_of_one = f"{nearest}: the labeled image that is most alike"
        return [("nearest", text_of_one if image.nearest else "")]
    classes = (f" {show(scene.view.class_name(n.uid))}" for n in neighbors)
    shown = classes if scene.is_guess_visible else ("" for _ in neighbors)
    names = [f"{show(n.sample_id)}{name}" for n, name in zip(neighbors, shown, strict=True)]
    return [("nearest", f"{', '.join(names)}: the labeled images that are most alike")]


def _guesses(scene: Scene, image: QueryImage) -> str:
    if image.predicted is None:
        return "the model has none for this image"
    if not scene.is_guess_visible:
        is_blind = scene.are_hints_on and image.is_blind
        how = "to compare answers" if is_blind else f"{key_of(scene.keymap, 'hints')} shows them"
        return f"hidden: {how}"
    shares = sorted(image.probabilities, key=lambda pair: -pair[1])[:MAX_GUESSES]
    named = [f"{show(scene.view.class_name(uid))} {share:.1%}" for uid, share in shares]
    return ", ".join(named) or show(scene.view.class_name(image.predicted))
