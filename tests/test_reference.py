"""The reference pages are the code's, and the documents build as a site without a broken link."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str) -> None:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_reference_pages_are_what_the_code_says() -> None:
    run("scripts/reference.py", "--check")


def test_the_site_builds_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    run("-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site"))
    assert (tmp_path / "site" / "reference" / "nodes.html").is_file()
