"""The command palette: what the screen at hand can do, by name, with its keys."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol, runtime_checkable

from textual.command import DiscoveryHit, Hit, Hits, Provider

from dgaal_cli.tui.actions import Action
from dgaal_cli.tui.keymap import Command, spell_key
from dgaal_cli.tui.screens.registry import TaskScreen

JUDGED = ("move", "confirm", "cannot_tell")
"""Not offered beside the label screen: they answer what is seen, or need a direction."""


@runtime_checkable
class Acting(Protocol):
    """A screen beside the label screen."""

    actions: tuple[Action, ...]

    def act(self, name: str) -> None:
        """Do one of them."""
        ...


class LabelCommands(Provider):
    """Offers what the keymap offers, or the actions of another screen."""

    async def discover(self) -> Hits:
        """List everything."""
        for command in self._commands():
            yield DiscoveryHit(
                self._words(command), partial(self._run, command.name), help=command.explanation
            )

    async def search(self, query: str) -> Hits:
        """List what fits."""
        matcher = self.matcher(query)
        for command in self._commands():
            words = self._words(command)
            score = max(matcher.match(words), matcher.match(command.explanation))
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(words),
                    partial(self._run, command.name),
                    help=command.explanation,
                )

    def _commands(self) -> Sequence[Command | Action]:
        screen = self.screen
        if isinstance(screen, TaskScreen):
            return screen.commands
        if isinstance(screen, Acting):
            return [action for action in screen.actions if action.name not in JUDGED]
        return []

    def _words(self, command: Command | Action) -> str:
        return f"{command.title}   {' '.join(spell_key(key) for key in command.keys)}"

    def _run(self, name: str) -> None:
        screen = self.screen
        if isinstance(screen, TaskScreen):
            screen.do(name)
        elif isinstance(screen, Acting):
            screen.act(name)
