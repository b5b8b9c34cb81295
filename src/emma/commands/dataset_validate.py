"""`emma dataset validate` and `emma episodes validate`: what would break in a dataset."""

import argparse
import sys
import time
from pathlib import Path

HELP = """find what would break training in a LeRobotDataset from any source; exit code 1 if there is anything

Opens every file: metadata, tables, videos; compares counts, times, sizes and statistics. With --full it decodes every
picture and every video to its last frame and compares each file with its checksum, where the dataset has them.

examples:
  emma dataset validate data/real
  emma dataset validate data/real --full
"""
# A line this often while it works.
LINE_S = 10.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, help="dataset folder, of version 3, 2.1 or 2.0; it is only read")
    parser.add_argument(
        "--full", action="store_true", help="decode everything to the last frame, compare checksums; takes minutes"
    )
    parser.add_argument("--every-image", action="store_true", help="decode every image, not two of each episode")


def run(args: argparse.Namespace) -> int:
    from emma.datasets.files import dataset_root

    dataset_root(args.dataset)  # a wrong path is answered before the libraries load
    from emma.datasets.validate import validate

    said = time.monotonic()

    def progress(what: str) -> None:
        nonlocal said
        if time.monotonic() - said > LINE_S:
            said = time.monotonic()
            print(f"checking {what}", file=sys.stderr, flush=True)

    findings = validate(args.dataset, full=args.full, every_image=args.every_image, progress=progress)
    for finding in findings:
        print(finding)
    errors = sum(finding.level == "error" for finding in findings)
    print(f"{args.dataset}: {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0
