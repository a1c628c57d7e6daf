"""The command palette: commands of the current screen by name, with their keys."""

from collections.abc import Sequence
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from dgaal_cli.tui.keymap import Action, spell_key
from dgaal_cli.tui.screens.overlay import Overlay
from dgaal_cli.tui.screens.registry import TaskScreen

NOT_OFFERED = ("move", "confirm", "cannot_tell")
"""Actions that are not in the palette: they answer visible images or need a direction."""


class LabelCommands(Provider):
    """Provides the commands of the label screen, or the actions of another screen."""

    async def discover(self) -> Hits:
        """List all commands."""
        for command in self._commands():
            yield DiscoveryHit(
                self._title(command), partial(self._run, command.name), help=command.explanation
            )

    async def search(self, query: str) -> Hits:
        """List the matching commands."""
        matcher = self.matcher(query)
        for command in self._commands():
            title = self._title(command)
            score = max(matcher.match(title), matcher.match(command.explanation))
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(title),
                    partial(self._run, command.name),
                    help=command.explanation,
                )

    def _commands(self) -> Sequence[Action]:
        screen = self.screen
        if isinstance(screen, TaskScreen):
            return screen.commands
        if isinstance(screen, Overlay):
            return [action for action in screen.actions if action.name not in NOT_OFFERED]
        return []

    def _title(self, command: Action) -> str:
        return f"{command.title}   {' '.join(spell_key(key) for key in command.keys)}"

    def _run(self, name: str) -> None:
        screen = self.screen
        if isinstance(screen, TaskScreen):
            screen.do(name)
        elif isinstance(screen, Overlay):
            screen.act(name)
