"""`emma dream caption`: sentences for a dataset by a vision-language model."""

import argparse
from pathlib import Path

from emma.device import AUTO
from emma.device import HELP as DEVICES

HELP = """let a model say how each episode looks, as training a generator needs it

Any image-text-to-text model of transformers, by its name on the hub or a folder. The sentences go to the dataset's
meta/provenance.jsonl as `caption`, one by one: interrupted, the same command goes on. Read and correct them there.

examples:
  emma dream caption data/robot --model HuggingFaceTB/SmolVLM-Instruct
  emma dream caption data/robot --model Salesforce/blip-image-captioning-base --camera front --again
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, help="LeRobotDataset folder; its provenance is written")
    parser.add_argument("--model", required=True, metavar="NAME", help="name on the hub, or a folder")
    parser.add_argument("--camera", metavar="NAME", help="the view that is described (default the first)")
    parser.add_argument(
        "--frames", type=int, default=1, metavar="N", help="frames of an episode to show it (default 1)"
    )
    parser.add_argument(
        "--question", metavar="TEXT", help="what a chat model is asked (default: foreground, ground, light)"
    )
    parser.add_argument("--again", action="store_true", help="also where there is a caption already")
    parser.add_argument("--device", default=AUTO, help=f"where the model runs: {DEVICES} (default auto)")


def run(args: argparse.Namespace) -> int:
    from emma.device import choose_device
    from emma.dreamtransfer.captioner import QUESTION, Captioner
    from emma.dreamtransfer.captions import caption_dataset
    from emma.progress import progress_bar

    device = choose_device(args.device)
    print(f"device: {device}", flush=True)
    captioner = Captioner(args.model, device.name, question=args.question or QUESTION)
    with progress_bar() as bar:
        task = bar.add_task("caption", total=None, note="")

        def advance(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total, note=text[:60])

        written = caption_dataset(
            args.dataset, captioner, view=args.camera, frames=args.frames, again=args.again, progress=advance
        )
    print(f"{args.dataset}: {written} captions written to meta/provenance.jsonl")
    return 0
