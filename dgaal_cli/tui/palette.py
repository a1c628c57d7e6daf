"""The command palette: every command of the label screen by name, with its keys."""

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from dgaal_cli.tui.keymap import Command, spell_key
from dgaal_cli.tui.screens.label import LabelScreen


class LabelCommands(Provider):
    """Offers what the keymap offers; empty on screens that have keys of their own."""

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

    def _commands(self) -> list[Command]:
        screen = self.screen
        if not isinstance(screen, LabelScreen):
            return []
        return list(dict.fromkeys(screen.keymap.commands.values()))

    def _words(self, command: Command) -> str:
        screen = self.screen
        keys = screen.keymap.keys_of(command.name) if isinstance(screen, LabelScreen) else ()
        return f"{command.title}   {' '.join(spell_key(key) for key in keys)}"

    def _run(self, name: str) -> None:
        screen = self.screen
        if isinstance(screen, LabelScreen):
            screen.do(name)
