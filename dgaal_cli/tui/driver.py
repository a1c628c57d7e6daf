"""Textual driver with hardened input parsing."""

import os
import selectors
import time
from codecs import getincrementaldecoder
from functools import lru_cache

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from dgaal_cli.tui.mouse import CLICKS_OFF
from dgaal_cli.tui.replies import ESC, ReplyCutter

_TICK_S = 0.05
_READ = 4096


@lru_cache(maxsize=1024)
def is_known(sequence: str) -> bool:
    """Whether Textual parses a sequence as one event, not as single characters."""
    try:
        messages = list(XTermParser(debug=False).feed(sequence))
    except (ValueError, OverflowError):
        return False
    # For a sequence that is too long, Textual replaces the escape by a caret.
    first = messages[0] if messages else None
    return first is not None and getattr(first, "key", "") != "circumflex_accent"


class SteadyDriver(LinuxDriver):
    """Reads the keyboard through ``ReplyCutter``.

    In Textual 8 a byte that is not UTF-8 (from a Latin-1 terminal) or a key code beyond Unicode
    ends the program; here the input read with it is dropped.
    """

    def run_input_thread(self) -> None:
        """Read and parse input until the program ends."""
        decoder = getincrementaldecoder("utf-8")(errors="ignore")
        cutter = ReplyCutter(is_known)
        parser = XTermParser(debug=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                is_ready = bool(selector.select(_TICK_S))
                text = ""
                if is_ready:
                    data = os.read(self.fileno, _READ)
                    if not data:
                        return  # the terminal is closed; SIGHUP follows
                    text = decoder.decode(data)
                now = time.monotonic()
                if cutter.tick(now):
                    self.process_message(events.Key("escape", ESC))
                try:
                    self._parse(parser, cutter.feed(text, now) if text else "")
                except (ValueError, OverflowError):
                    parser = XTermParser(debug=False)

    def disable_input(self) -> None:
        """Stop reading, and give the mouse back to the terminal."""
        super().disable_input()
        self.write(CLICKS_OFF)

    def _parse(self, parser: XTermParser, text: str) -> None:
        if text:
            for message in parser.feed(text):
                self.process_message(message)
        for message in parser.tick():
            self.process_message(message)
