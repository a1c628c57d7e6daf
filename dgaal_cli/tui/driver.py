"""Textual's driver with an ear of our own: it hands on keys only, and no byte ends it."""

import os
import selectors
import time
from codecs import getincrementaldecoder
from functools import lru_cache

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from dgaal_cli.tui.replies import ESC, ReplyCutter

_TICK_S = 0.05
_READ = 4096


@lru_cache(maxsize=1024)
def is_known(sequence: str) -> bool:
    """Whether Textual makes one thing of a sequence, rather than type it out."""
    try:
        messages = list(XTermParser(debug=False).feed(sequence))
    except (ValueError, OverflowError):
        return False
    # A sequence that is too long to be known begins with a caret in place of its escape.
    first = messages[0] if messages else None
    return first is not None and getattr(first, "key", "") != "circumflex_accent"


class SteadyDriver(LinuxDriver):
    """Reads the keyboard through ``ReplyCutter``.

    In Textual 8 one byte that is no UTF-8, as of a Latin-1 terminal, ends the program, and so does
    a key code beyond Unicode; here what was read with it is dropped.
    """

    def run_input_thread(self) -> None:
        """Wait for input and hand it on, until the program ends."""
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
                        return  # the line is closed; a hang-up signal says the rest
                    text = decoder.decode(data)
                now = time.monotonic()
                if cutter.tick(now):
                    self.process_message(events.Key("escape", ESC))
                try:
                    self._hand_on(parser, cutter.feed(text, now) if text else "")
                except (ValueError, OverflowError):
                    parser = XTermParser(debug=False)

    def _hand_on(self, parser: XTermParser, text: str) -> None:
        if text:
            for message in parser.feed(text):
                self.process_message(message)
        for message in parser.tick():
            self.process_message(message)
