"""What a cycle needs before it can begin, looked at without changing anything."""

from pathlib import Path

from emma.cycle.config import ImproveConfig
from emma.cycle.versions import Versions
from emma.errors import EmmaError
from emma.policy.bundle import Bundle, load_bundle

DATASET_INFO = "meta/info.json"


def require_ready(config: ImproveConfig) -> None:
    """Raise EmmaError where `emma improve` would end before its first stage. Cheap: reads no bag."""
    if not config.bags and not config.datasets:
        raise EmmaError(
            "there is nothing to learn from",
            found="neither bags nor datasets in the configuration",
            expected="folders of recorded episodes, or LeRobotDatasets",
            fix="name them under bags or datasets",
        )
    for folder in config.bags:
        if not Path(folder).is_dir():
            raise EmmaError("no such folder of episodes", found=folder, expected="a folder", fix="correct bags")
    for folder in config.datasets:
        if not (Path(folder) / DATASET_INFO).is_file():
            raise EmmaError(
                "no such dataset", found=folder, expected=f"a folder with {DATASET_INFO}", fix="correct datasets"
            )
    if Versions(config.root / "versions", config.keep).current == 0:
        first_policy(config)
    require_measurable(config)


def require_measurable(config: ImproveConfig) -> None:
    """Raise EmmaError where the stage evaluate would end, hours later."""
    if config.measure == "simulator":
        # MuJoCo comes with it.
        from emma.cycle.simulation import simulation_of

        simulation_of(config)


def first_policy(config: ImproveConfig) -> Bundle:
    """The bundle that becomes version 1. Raises EmmaError if there is none, or none for this robot."""
    if not config.policy:
        raise EmmaError(
            "there is no policy to begin with",
            found=f"no version in {config.root / 'versions'}",
            expected="a bundle",
            fix="give one with --policy, or train one with `emma train`",
        )
    bundle, robot = load_bundle(config.policy), config.spec.name
    if bundle.info.robot != robot:
        raise EmmaError(
            "the policy is for another robot",
            found=bundle.info.robot,
            expected=robot,
            fix="set robot, or --policy",
        )
    return bundle
