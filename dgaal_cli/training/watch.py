"""Warnings about games in which one player has lost, from the reported losses."""

from collections.abc import Mapping

SATURATED = 0.02
"""Cross-entropy in nats below which a discriminator separates its inputs almost perfectly."""
SATURATED_REPORTS = 5
"""Consecutive reports below ``SATURATED`` before a warning."""
RUNAWAY = 100.0
"""A critic diverges if its absolute value exceeds this and ten times its first value."""

DISCRIMINATORS = ("latent_discriminator", "discriminator")
GAMES = frozenset({"encoder_game", "adversary"})
"""Losses that mark a phase as a game; outside a game, D may separate its pools."""


class GameWatch:
    """Checks reported losses; each kind of problem is reported once per phase."""

    def __init__(self) -> None:
        self._reported: set[tuple[str, str]] = set()
        self._saturated: dict[str, int] = {}
        self._first: dict[str, float] = {}

    def look(self, phase: str, step: int, losses: Mapping[str, float]) -> list[str]:
        """Return messages about new problems."""
        problems = {
            "saturated": self._saturation(phase, step, losses),
            "runaway": self._runaway(phase, step, losses),
        }
        found: list[str] = []
        for kind, sentence in problems.items():
            if sentence and (phase, kind) not in self._reported:
                self._reported.add((phase, kind))
                found.append(sentence)
        return found

    def _saturation(self, phase: str, step: int, losses: Mapping[str, float]) -> str:
        own = next((losses[name] for name in DISCRIMINATORS if name in losses), None)
        if own is None or not GAMES & losses.keys():
            return ""
        self._saturated[phase] = self._saturated.get(phase, 0) + 1 if own < SATURATED else 0
        if self._saturated[phase] < SATURATED_REPORTS:
            return ""
        return (
            f"the discriminator has won its game (loss {own:.3f} at step {step}): it separates "
            "labeled from unlabeled images almost perfectly, probably by memorizing them, and the "
            "encoder learns nothing more from it; more labels or a smaller latent_hidden help"
        )

    def _runaway(self, phase: str, step: int, losses: Mapping[str, float]) -> str:
        critic = abs(losses.get("critic", 0.0))
        first = self._first.setdefault(phase, critic)
        if critic < max(RUNAWAY, 10 * first):
            return ""
        return (
            f"the image discriminator diverges (critic {losses['critic']:.3g} at step {step}, "
            f"{first:.3g} at first): the images of this game will be noise; lower pretrain.lr_image"
        )
