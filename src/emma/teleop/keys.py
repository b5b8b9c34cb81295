"""Keys: from a terminal's bytes to their names, from names to axes of the tool, and to what a console shall do."""

from enum import StrEnum

from emma.teleop.jog import AXES

SPACE = "space"
# What terminals send for keys that are no character (ECMA-48 and DEC's application mode).
SEQUENCES = {
    **{f"\x1b{lead}A": "up" for lead in "[O"},
    **{f"\x1b{lead}B": "down" for lead in "[O"},
    **{f"\x1b{lead}C": "right" for lead in "[O"},
    **{f"\x1b{lead}D": "left" for lead in "[O"},
    "\x1b[5~": "page_up",
    "\x1b[6~": "page_down",
}
# Axis number and direction of every key that moves the tool.
MOVES = {
    "up": (0, 1.0),
    "down": (0, -1.0),
    "left": (1, 1.0),
    "right": (1, -1.0),
    "page_up": (2, 1.0),
    "page_down": (2, -1.0),
    "i": (2, 1.0),
    "k": (2, -1.0),
    "j": (3, 1.0),
    "l": (3, -1.0),
    "o": (4, 1.0),
    "c": (4, -1.0),
}
SLOWEST, FASTER = 0.1, 1.25

HELP = """  space  start an episode; again: stop and save      arrows     forward, back, left, right
  s d    save, discard                               i k        up, down (or page up, page down)
  r      mark as success; again: as failure          j l        turn left, right
  t      take the robot over; again: give it back    o c        open, close the gripper
  p      policy on, off      n  next task            + -        faster, slower
  h      this help           q  quit"""


class KeyParser:
    """Bytes of a terminal to key names: characters, `space`, and those of SEQUENCES. Unknown ones vanish."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The keys that are whole by now; the beginning of a sequence waits for its end."""
        text, keys = self._rest + data.decode(errors="ignore"), []
        while text:
            if text[0] != "\x1b":
                keys += [SPACE if text[0] == " " else text[0]] if text[0].isprintable() else []
                text = text[1:]
                continue
            length = _sequence_length(text)
            if length == 0:
                break
            if name := SEQUENCES.get(text[:length]):
                keys.append(name)
            text = text[length:]
        self._rest = text
        return keys

    def flush(self) -> None:
        """Forget a sequence whose end did not come: it was the escape key."""
        self._rest = ""


def _sequence_length(text: str) -> int:
    """Characters of the escape sequence that `text` begins with; 0 if its end is still to come."""
    if len(text) == 1:
        return 0
    if text[1] == "O":
        return 3 if len(text) > 2 else 0
    if text[1] != "[":
        return 1
    for i, character in enumerate(text[2:], start=2):
        if "@" <= character <= "~":
            return i + 1
    return 0


class HeldKeys:
    """Terminals say when a key goes down and repeat it, never when it comes up: a key counts for `hold_s` after."""

    def __init__(self, hold_s: float = 0.15) -> None:
        self._hold_s = hold_s
        self._pressed: dict[int, tuple[float, float]] = {}
        self.speed = 0.5

    def press(self, key: str, t_s: float) -> bool:
        """Take a key; False if it moves nothing."""
        if key in ("+", "="):
            self.speed = min(self.speed * FASTER, 1.0)
        elif key in ("-", "_"):
            self.speed = max(self.speed / FASTER, SLOWEST)
        elif key in MOVES:
            axis, direction = MOVES[key]
            self._pressed[axis] = (direction, t_s)
        else:
            return False
        return True

    def axes(self, t_s: float) -> list[float]:
        """The deflection of the five axes now."""
        axes = [0.0] * len(AXES)
        for axis, (direction, at) in self._pressed.items():
            if t_s - at <= self._hold_s:
                axes[axis] = direction * self.speed
        return axes


class Action(StrEnum):
    """What a key asks a console to do."""

    START = "start"
    SAVE = "save"
    DISCARD = "discard"
    SUCCESS = "success"
    FAILURE = "failure"
    TAKE = "take"
    GIVE = "give"
    ENABLE = "enable"
    DISABLE = "disable"
    NEXT = "next"
    HELP = "help"
    QUIT = "quit"


def action(
    key: str, *, recording: bool = False, success: bool | None = None, driving: bool = False, enabled: bool = False
) -> Action | None:
    """What `key` means while an episode is being recorded, marked `success`, a person drives, the policy is enabled."""
    simple = {"s": Action.SAVE, "d": Action.DISCARD, "n": Action.NEXT, "h": Action.HELP, "?": Action.HELP}
    simple["q"] = Action.QUIT
    if key in simple:
        return simple[key]
    choices = {
        SPACE: (recording, Action.SAVE, Action.START),
        "r": (success is True, Action.FAILURE, Action.SUCCESS),
        "t": (driving, Action.GIVE, Action.TAKE),
        "p": (enabled, Action.DISABLE, Action.ENABLE),
    }
    if key not in choices:
        return None
    on, then, otherwise = choices[key]
    return then if on else otherwise
