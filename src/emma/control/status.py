"""What a control loop tells of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ControlStatus:
    """What a console shows. ages_s: newest sample of each stream; problem: why observations cannot be made."""

    mode: str
    reason: str
    warnings: tuple[str, ...]
    clipped: tuple[str, ...]
    ages_s: dict[str, float]
    skew_s: float
    problem: str
    inference_error: str
    instruction: str
