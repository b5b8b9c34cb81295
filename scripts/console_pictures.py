"""Pictures of the console's three pages for the documents: the simulated arm, a policy that moves it, a recording.

    .venv/bin/python scripts/console_pictures.py docs/images

Needs Debian's chromium and chromium-driver, and takes a minute or two. Writes console-record.png, console-supervise.png
and console-review.png.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "fixtures"))

from chromium import Page, chromium  # noqa: E402
from console_browser import free_port  # noqa: E402

WIDTH, HEIGHT = 1280, 860
# A policy that loads imports torch.
START_S = 300.0
TO_THE_MIDDLE = """
const slider = document.querySelector("input[type=range]");
slider.value = slider.max / 2;
slider.dispatchEvent(new Event("input"));
"""


def main() -> int:
    """Start the console with its simulated arm, work with it as an operator does, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--policy", type=Path, default=ROOT / "models" / "desk_arm_source", help="bundle that moves it")
    args = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="emma-pictures-") as scratch:
        bags = Path(scratch) / "bags"
        bags.mkdir()
        command = [sys.executable, "-m", "emma", "console", "--sim", "--policy", str(args.policy), str(bags)]
        console = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True)
        try:
            for line in console.stdout or ():
                if line.startswith("open "):
                    break
            with chromium(Path(scratch) / "profile", width=WIDTH, height=HEIGHT) as page:
                page.open(f"http://127.0.0.1:{port}")
                take(page, args.out)
        finally:
            console.terminate()
            console.wait(60.0)
    return 0


def take(page: Page, out: Path) -> None:
    """An episode by the policy, and a picture of each page at a moment that shows what it is for."""
    page.until(lambda: page.text("#word") == "ready" and page.fact("Leader"), "the robot", START_S)
    page.click("Operate")
    page.click("Next task")
    page.until(lambda: page.fact("Instruction"), "an instruction")
    page.until(lambda: len(page.all('.tile[data-live="yes"]')) == len(page.all(".tile")), "all cameras")
    page.click("Start")
    page.until(lambda: page.fact("Messages"), "messages")
    page.show("supervise")
    page.until(lambda: page.fact("Mode") == "disabled", "the policy", START_S)
    page.until(lambda: enabled(page), "the policy's motion")
    page.until(lambda: page.all('.plot[data-ahead]:not([data-ahead="0.00"])'), "the chunk ahead of now")
    wait(page, 6.0)
    picture(page, out / "console-supervise.png")
    page.show("record")
    page.until(lambda: len(page.all('.tile[data-live="yes"]')) == len(page.all(".tile")), "all cameras")
    wait(page, 2.0)
    picture(page, out / "console-record.png")
    page.click("Success")
    page.click("Save")
    page.until(lambda: page.fact("Saved").startswith("1,"), "the saved episode")
    page.run("location.hash = 'review/last'")
    page.until(lambda: page.all(".transport"), "the player")
    page.run(TO_THE_MIDDLE)
    wait(page, 2.0)
    picture(page, out / "console-review.png")


def enabled(page: Page) -> bool:
    """Ask again while streams are too old, as on a busy machine."""
    if page.fact("Mode") == "disabled" and (button := page.usable_button("Enable")):
        button.click()
    return page.text("#word") in ("policy runs", "recording") and page.fact("Mode") not in ("disabled", "holding")


def wait(page: Page, seconds: float) -> None:
    """Until the page has shown so many more seconds."""
    begin = page.run("return performance.now()")
    page.until(lambda: page.run("return performance.now()") - begin > 1e3 * seconds, f"{seconds} s")


def picture(page: Page, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    page.driver.save_screenshot(str(path))
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
