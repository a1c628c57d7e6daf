"""Watches a game's losses and says in plain words when a player has lost it for good."""

from collections.abc import Mapping

SATURATED = 0.02
"""Cross-entropy in nats below which a discriminator tells its sides apart without any doubt."""
SATURATED_LOOKS = 5
"""Looks in a row that must find it so."""
RUNAWAY = 100.0
"""A critic further from zero than this, and than ten times its start, has left its bounds."""

DISCRIMINATORS = ("latent_discriminator", "discriminator")
GAMES = frozenset({"encoder_game", "adversary"})
"""Losses that only a phase with a game has; D may tell its pools apart outside of one."""


class GameWatch:
    """Looks at the losses that are reported; each kind of trouble of a phase is told once."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()
        self._looks: dict[str, int] = {}
        self._first: dict[str, float] = {}

    def look(self, phase: str, step: int, losses: Mapping[str, float]) -> list[str]:
        """Return what is new and wrong, in sentences for the user."""
        troubles = {
            "saturated": self._saturation(phase, step, losses),
            "runaway": self._runaway(phase, step, losses),
        }
        found: list[str] = []
        for kind, sentence in troubles.items():
            if sentence and (phase, kind) not in self._told:
                self._told.add((phase, kind))
                found.append(sentence)
        return found

    def _saturation(self, phase: str, step: int, losses: Mapping[str, float]) -> str:
        own = next((losses[name] for name in DISCRIMINATORS if name in losses), None)
        if own is None or not GAMES & losses.keys():
            return ""
        self._looks[phase] = self._looks.get(phase, 0) + 1 if own < SATURATED else 0
        if self._looks[phase] < SATURATED_LOOKS:
            return ""
        return (
            f"the discriminator has won its game (loss {own:.3f} at step {step}): it tells labeled "
            "from unlabeled images without any doubt, most likely by heart, and the encoder learns "
            "nothing more from it; more labels or a smaller latent_hidden help"
        )

    def _runaway(self, phase: str, step: int, losses: Mapping[str, float]) -> str:
        critic = abs(losses.get("critic", 0.0))
        first = self._first.setdefault(phase, critic)
        if critic < max(RUNAWAY, 10 * first):
            return ""
        return (
            f"the image discriminator runs away (critic {losses['critic']:.3g} at step {step}, "
            f"{first:.3g} at first): the images of this game will be noise; lower pretrain.lr_image"
        )
