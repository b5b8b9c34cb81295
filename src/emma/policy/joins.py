"""The ways in which one action chunk follows another."""

from typing import Final

# auto: rtc for a policy trained for it, else blend.
JOINS: Final = ("auto", "blend", "rtc", "ensemble", "drain")
