"""Decide which key presses count as answers: an image must have been visible before.

Without this, ten keys sent 7 to 45 ms apart were stored as answers to images that no person had
seen. So a key is refused until its image has been visible for a moment, and a held key counts once.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum

REPEAT_S = 0.11
"""The same key within this time is a keyboard repetition; by default keyboards repeat every 33 to
90 ms."""
HOLD_DELAY_S = 0.9
"""Keyboards wait 0.25 to 0.67 s before they repeat: the same key within this time may be held."""
UNREQUESTED_VISIBLE_S = 1.0
"""Min visible time of an image that appeared without a key press: an earlier key was meant for the
previous image."""
LATE_REPLY_S = 0.3
"""Time after a lone escape character in which input may be a late reply of the terminal."""
_REMEMBERED = 64
"""Max recorded presses that no screen has read; dialogs do not read them."""


class Verdict(Enum):
    """Result for a key press; the value is the message."""

    ACCEPTED = "accepted"
    REPEATED = "key held: counted once"
    TOO_EARLY = "too fast: the image was not yet on the screen"
    NO_GUESS = "too fast: the guess was not yet on the screen"
    UNREQUESTED = "a new image appeared: look at it first"
    ESCAPED = "ignored: part of a terminal's reply"


@dataclass(frozen=True, slots=True)
class KeyPress:
    """Time of a key press."""

    at: float
    gap: float
    """Seconds since the previous press if it was the same key; else infinite."""


class KeyTrail:
    """All key presses of the program: a key may be held across dialogs and screens."""

    def __init__(self) -> None:
        self._key = ""
        self._at = float("-inf")
        # Keeps the events alive, because ``id`` values are reused.
        self._presses: OrderedDict[int, tuple[object, KeyPress]] = OrderedDict()

    def note(self, key: str, at: float) -> KeyPress:
        """Record a press with the time of the press."""
        gap = at - self._at if key == self._key else float("inf")
        self._key, self._at = key, at
        return KeyPress(at, gap)

    def record(self, event: object, key: str, at: float) -> None:
        """Record the press of an event; a screen may read it with ``press_of``."""
        self._presses[id(event)] = event, self.note(key, at)
        if len(self._presses) > _REMEMBERED:
            self._presses.popitem(last=False)

    def press_of(self, event: object) -> KeyPress | None:
        """Return the press of a recorded event; None if unknown."""
        _, press = self._presses.pop(id(event), (None, None))
        return press


class Gate:
    """Accepts or refuses key presses by their time."""

    def __init__(
        self, clock: Callable[[], float], *, visible_s: float, is_patient: bool = False
    ) -> None:
        """Start closed, until an image has been visible for ``visible_s``.

        A patient gate refuses the same answer key for as long as it may be held. It is for screens
        where no person answers that fast.
        """
        self._clock = clock
        self._trail = KeyTrail()
        self._visible_s = visible_s
        self._answer_repeat_s = HOLD_DELAY_S if is_patient else REPEAT_S
        self._unrequested_s = 0.0
        self.may_be_held = False
        """Whether the last key may be the first repetition of a held key."""
        self._painted_at: float | None = None
        self._guess: Hashable | None = None
        self._guess_at = 0.0
        self._last_answer_at = float("-inf")
        self._ignored_until = float("-inf")
        self.dropped = 0
        """Number of refused presses."""

    def hide(self) -> None:
        """Note that the image changes; answers are refused until ``paint``."""
        self._painted_at = None

    def expect_unrequested(self) -> None:
        """Note that the next image appears without a key press; ends with the next answer."""
        self._unrequested_s = UNREQUESTED_VISIBLE_S

    def paint(self) -> None:
        """Note that the image was sent to the terminal; only its first frame counts."""
        if self._painted_at is None:
            self._painted_at = self._clock()

    def paint_guess(self, guess: Hashable | None) -> None:
        """Note which guess is shown, if any; a new one must be visible for the min time too."""
        if guess != self._guess:
            self._guess, self._guess_at = guess, self._clock()

    def elapsed_ms(self) -> int | None:
        """Return milliseconds since the image appeared; None if it is not shown."""
        if self._painted_at is None:
            return None
        return round((self._clock() - self._painted_at) * 1000)

    def note_escape(self) -> None:
        """Note a lone escape character."""
        self._ignored_until = self._clock() + LATE_REPLY_S

    def judge(
        self,
        key: str,
        *,
        is_answer: bool,
        guess: Hashable | None = None,
        press: KeyPress | None = None,
    ) -> Verdict:
        """Accept or refuse one key press; without ``press``, it is pressed now.

        A ``guess`` that the key would accept must have been visible too.
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
        if now < self._ignored_until:
            self._ignored_until = now + LATE_REPLY_S
            return Verdict.ESCAPED
        if is_repeat:
            return Verdict.REPEATED
        if not is_answer:
            return Verdict.ACCEPTED
        if self._painted_at is not None and now - self._painted_at < self._unrequested_s:
            self._last_answer_at = now
            return Verdict.UNREQUESTED
        # Refused keys restart the waiting time, so that a burst of keys is at most one answer.
        since = max(self._last_answer_at, self._painted_at or now)
        self._last_answer_at = now
        if self._painted_at is None or now - since < self._visible_s:
            return Verdict.TOO_EARLY
        self._unrequested_s = 0.0
        return Verdict.ACCEPTED
