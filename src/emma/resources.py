"""Where the data folders (`calibration`, `models`) are: in a checkout, an installed ROS package or your own home."""

import os
import sys
from pathlib import Path

from emma.errors import EmmaError


def _candidates() -> list[Path]:
    checkout = Path(__file__).resolve().parents[2]
    places = [checkout, Path(sys.prefix) / "share" / "emma"]
    places += [Path(p) / "share" / "emma" for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    if home := os.environ.get("EMMA_HOME"):
        places.insert(0, Path(home))
    return places


def data_dir(kind: str) -> Path:
    """The folder `kind` (`calibration` or `models`): in $EMMA_HOME, the checkout, or share/emma. Raises EmmaError."""
    places = [place / kind for place in _candidates()]
    for place in places:
        if place.is_dir():
            return place
    raise EmmaError(
        f"no {kind} folder",
        found=", ".join(str(p) for p in places) + " do not exist",
        expected=f"a folder {kind}/ in one of them",
        fix="set EMMA_HOME to the folder that holds it",
    )
