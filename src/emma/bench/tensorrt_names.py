"""Names of TensorRT's Python interface, read from its bindings; loading those would need its libraries and a GPU."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BINDINGS = "tensorrt-cu13-bindings"


def pinned() -> str:
    """BINDINGS==version, as constraints.txt has it."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{BINDINGS}=="))


def bindings_names() -> bytes | None:
    """The bindings' binary and sources, fetched through uv; None where they cannot be had."""
    uv = next((str(path) for path in (shutil.which("uv"), ROOT / ".uv/bin/uv") if path and Path(path).exists()), None)
    if uv is None:
        return None
    with tempfile.TemporaryDirectory(prefix="emma-bindings-") as folder:
        command = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--python-version",
            "3.12",
            "--target",
            folder,
            pinned(),
        ]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return None
        files = [path for path in sorted(Path(folder).rglob("*")) if path.suffix in (".so", ".py")]
        return b"\0".join(path.read_bytes() for path in files) or None


def absent(names: Iterable[str], bindings: bytes) -> list[str]:
    """Names, as `Class.member`, of which a part is no string of the bindings.

    Compilers let a string be the end of another one, so what stands before it is not looked at.
    """
    return sorted(name for name in names if not all(part.encode() + b"\0" in bindings for part in name.split(".")))
