"""Which key presses count as answers: nobody can have judged an image that was not on the screen.

Ten keys sent 7 to 45 ms apart were once all stored against images nobody had seen. Hence: a key is
refused until its image has been visible for a moment, and a held key counts once.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum

REPEAT_S = 0.11
"""The same key again within this time is the keyboard repeating, not a person; a keyboard that
nobody tuned repeats every 33 to 90 ms."""
HOLD_DELAY_S = 0.9
"""Before it repeats, a keyboard waits for a quarter to two thirds of a second: the same key again
within this time may be held."""
STARTLED_S = 1.0
"""An image that came by itself must have been on the screen this long: a key that was on its way
was meant for the one before."""
LATE_REPLY_S = 0.3
"""After a lone escape character: how long what follows may be a terminal's late reply."""
_REMEMBERED = 64
"""Presses that no screen has asked for, as dialogs do not."""


class Verdict(Enum):
    """What becomes of a key press."""

    ACCEPTED = "accepted"
    REPEATED = "key held: counted once"
    TOO_EARLY = "too fast: the image was not yet on the screen"
    NO_GUESS = "too fast: the guess was not yet on the screen"
    STARTLED = "this image came by itself: look at it first"
    ESCAPED = "ignored: part of a terminal's reply"


@dataclass(frozen=True, slots=True)
class KeyPress:
    """When a key was pressed."""

    at: float
    gap: float
    """Seconds since the press before, if that was of the same key; else endless."""


class KeyTrail:
    """All key presses of a program: a held key goes on over dialogs and screens."""

    def __init__(self) -> None:
        self._key = ""
        self._at = float("-inf")
        # With the events themselves: the number of one that is gone would be given to another.
        self._heard: OrderedDict[int, tuple[object, KeyPress]] = OrderedDict()

    def note(self, key: str, at: float) -> KeyPress:
        """Note a press when it was made, which may be earlier than it is heard of."""
        gap = at - self._at if key == self._key else float("inf")
        self._key, self._at = key, at
        return KeyPress(at, gap)

    def hear(self, event: object, key: str, at: float) -> None:
        """Note the press of an event that a screen may ask for later."""
        self._heard[id(event)] = event, self.note(key, at)
        if len(self._heard) > _REMEMBERED:
            self._heard.popitem(last=False)

    def press_of(self, event: object) -> KeyPress | None:
        """Return the press of an event that was heard."""
        _, press = self._heard.pop(id(event), (None, None))
        return press


class Gate:
    """Judges key presses by an injected clock in seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        visible_s: float,
        is_patient: bool = False,
    ) -> None:
        """Close the gate until something is painted.

        Args:
            clock: Seconds.
            visible_s: How long an image must have been visible before an answer counts.
            is_patient: Whether the same key as an answer again is refused for as long as it may be
                held, as nobody judges what is answered here that fast.
        """
        self._clock = clock
        self._trail = KeyTrail()
        self._visible_s = visible_s
        self._answer_repeat_s = HOLD_DELAY_S if is_patient else REPEAT_S
        self._startled_s = 0.0
        self.may_be_held = False
        """Whether the last key may be a held key's first repetition; the next one will tell."""
        self._painted_at: float | None = None
        self._guess: Hashable | None = None
        self._guess_at = 0.0
        self._last_answer_at = float("-inf")
        self._deaf_until = float("-inf")
        self.dropped = 0
        """Presses that were refused."""

    def hide(self) -> None:
        """Note that the image changes; no answer counts until ``paint``."""
        self._painted_at = None

    def startle(self) -> None:
        """Note that the image that comes now was not asked for; the next answer ends that."""
        self._startled_s = STARTLED_S

    def paint(self) -> None:
        """Note that the image has gone to the terminal; later frames of it do not count."""
        if self._painted_at is None:
            self._painted_at = self._clock()

    def paint_guess(self, guess: Hashable | None) -> None:
        """Note which guess is on the terminal, if any; a new one has to be seen anew."""
        if guess != self._guess:
            self._guess, self._guess_at = guess, self._clock()

    def elapsed_ms(self) -> int | None:
        """Milliseconds since the image appeared."""
        if self._painted_at is None:
            return None
        return round((self._clock() - self._painted_at) * 1000)

    def hear_escape(self) -> None:
        """Note a lone escape character."""
        self._deaf_until = self._clock() + LATE_REPLY_S

    def judge(
        self,
        key: str,
        *,
        is_answer: bool,
        guess: Hashable | None = None,
        press: KeyPress | None = None,
    ) -> Verdict:
        """Judge one key press.

        Args:
            key: Its name.
            is_answer: Whether it answers the image.
            guess: What it would take as the answer: it must have been seen too.
            press: When it was made; without it: now, after those that this gate has judged.
        """
        press = press or self._trail.note(key, self._clock())
        now = press.at
        self.may_be_held = press.gap < HOLD_DELAY_S
        is_repeat = press.gap < (self._answer_repeat_s if is_answer else REPEAT_S)
        verdict = self._judge(now, is_repeat=is_repeat, is_answer=is_answer)
        if verdict is Verdict.ACCEPTED and guess is not None:
            is_seen = guess == self._guess and now - self._guess_at >= self._visible_s
            verdict = Verdict.ACCEPTED if is_seen else Verdict.NO_GUESS
        if verdict is not Verdict.ACCEPTED:
            self.dropped += 1
        return verdict

    def _judge(self, now: float, *, is_repeat: bool, is_answer: bool) -> Verdict:
        if now < self._deaf_until:
            self._deaf_until = now + LATE_REPLY_S
            return Verdict.ESCAPED
        if is_repeat:
            return Verdict.REPEATED
        if not is_answer:
            return Verdict.ACCEPTED
        if self._painted_at is not None and now - self._painted_at < self._startled_s:
            self._last_answer_at = now
            return Verdict.STARTLED
        # A refused key holds the gate too, so that a burst of keys is one answer, not every fifth.
        since = max(self._last_answer_at, self._painted_at or now)
        self._last_answer_at = now
        if self._painted_at is None or now - since < self._visible_s:
            return Verdict.TOO_EARLY
        self._startled_s = 0.0
        return Verdict.ACCEPTED
