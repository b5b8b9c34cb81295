"""One expert motion filmed in several looks at once: the true re-renders that generated clips are measured against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emma.dreamtransfer.camera_poses import calibrated_poses
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.geometry import CameraGeometry
from emma.sim.arm import DeskArm
from emma.sim.demonstrations import demonstrate, target_of
from emma.sim.domains import PARTS, Domain
from emma.sim.domains.domain import COLORS, LEVELS, TONES

# Cards that measure the light: everything in one colour, dark or `metrics.colour.GREY`. Not white: no pixel may be
# clipped at 255. They are filmed at every CARD_EVERY-th frame.
DARK_CARD, GREY_CARD = 0.0, 0.5
CARD_EVERY = 4

Pictures = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Look:
    """A motion in one look. images: camera -> (T, H, W, 3) uint8; dark, grey: cards at every CARD_EVERY-th moment."""

    domain: Domain
    images: Pictures
    dark: Pictures
    grey: Pictures


@dataclass(frozen=True, kw_only=True)
class Take:
    """A motion of T moments. clip: in the source look, as a recording gives it; looks: the same in other looks.

    The clip's camera poses are those of the measured state, up to a picture period late; `cameras` has exact ones.
    classes: camera -> (T, H, W) uint8 ids of emma.sim.scene.CLASSES; seed: the episode's.
    """

    clip: Clip
    cameras: Mapping[str, CameraGeometry]
    looks: tuple[Look, ...]
    classes: Pictures
    seed: int


class _Shots:
    """What is filmed at every frame's moment."""

    def __init__(self, looks: Sequence[Domain]) -> None:
        self.looks = tuple(looks)
        self.classes: list[Pictures] = []
        self.poses: list[Pictures] = []
        self.images: list[list[Pictures]] = [[] for _ in looks]
        self.cards: tuple[list[list[Pictures]], ...] = ([[] for _ in looks], [[] for _ in looks])

    def __call__(self, sim: DeskArm) -> None:
        own = sim.domain
        self.classes.append({camera: sim.segmentation(camera) for camera in sim.cameras})
        self.poses.append({camera: sim.extrinsics(camera) for camera in sim.cameras})
        for n, look in enumerate(self.looks):
            self.images[n].append(_seen(sim, look))
            if len(self.classes) % CARD_EVERY == 1:
                for shots, card in zip(self.cards, cards(look), strict=True):
                    shots[n].append(_seen(sim, card))
        sim.set_domain(own)


def film(sim: DeskArm, seed: int, looks: Sequence[Domain], *, noise: float = 0.02, source: str = "source") -> Take:
    """Film the expert with the first seed from `seed` on with which it succeeds, at the dataset's rate."""
    sim.set_domain(source)
    while True:
        shots = _Shots(looks)
        episode = demonstrate(sim, seed, target_of(seed), noise=noise, fps=sim.spec.fps, watch=shots)
        if episode is not None:
            break
        seed += 1
    poses = _stacked(shots.poses)
    cameras = {c: CameraGeometry(intrinsics=sim.camera_matrix(c), base_from_camera=poses[c]) for c in sim.cameras}
    recorded = {c: g for c, g in calibrated_poses(sim.spec)(episode.state).items() if c in sim.cameras}
    dark, grey = shots.cards
    return Take(
        clip=Clip(images=episode.images, depth=episode.depth, cameras=recorded, fps=sim.spec.fps),
        cameras=cameras,
        looks=tuple(
            Look(domain=look, images=_stacked(shots.images[n]), dark=_stacked(dark[n]), grey=_stacked(grey[n]))
            for n, look in enumerate(looks)
        ),
        classes=_stacked(shots.classes),
        seed=seed,
    )


def part(take: Take, stop: int) -> Take:
    """The first `stop` moments."""

    def cut(pictures: Pictures, n: int = stop) -> dict[str, np.ndarray]:
        return {camera: p[:n] for camera, p in pictures.items()}

    few = -(-stop // CARD_EVERY)
    return replace(
        take,
        clip=take.clip.part(0, stop),
        looks=tuple(replace(k, images=cut(k.images), dark=cut(k.dark, few), grey=cut(k.grey, few)) for k in take.looks),
        classes=cut(take.classes),
        cameras={camera: geometry.at(slice(0, stop)) for camera, geometry in take.cameras.items()},
    )


def cards(look: Domain) -> tuple[Domain, Domain]:
    """The dark and the grey card under the light of `look`."""
    return _card(look, DARK_CARD), _card(look, GREY_CARD)


def domain_of(words: Mapping[str, str], seed: int) -> Domain:
    """The look that a prompt of the desk's grammar says; `seed` places the grains of a speckled table."""
    colours: dict[str, Any] = {slot: COLORS[words[slot]] for slot in PARTS}
    return Domain(
        name=f"prompt_{seed}",
        role="random",
        accent=COLORS[words.get("accent", words["table"])],
        pattern=words["pattern"],
        level=LEVELS[words["level"]],
        tone=TONES[words["tone"]],
        texture_seed=seed,
        **colours,
    )


def _card(look: Domain, value: float) -> Domain:
    colours: dict[str, Any] = dict.fromkeys((*PARTS, "accent"), (value, value, value))
    return replace(look, pattern="plain", **colours)


def _seen(sim: DeskArm, look: Domain) -> Pictures:
    sim.set_domain(look)
    return {camera: sim.render(camera) for camera in sim.cameras}


def _stacked(moments: Sequence[Pictures]) -> dict[str, np.ndarray]:
    return {camera: np.stack([m[camera] for m in moments]) for camera in moments[0]}
