"""What a URDF or MJCF file tells about a robot: joints, limits, mimics and the chains of its links."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MimicOf:
    """A joint that follows another one: position = multiplier x position of `joint` + offset."""

    joint: str
    multiplier: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DescribedJoint:
    """One movable joint. Limits in rad or m, velocity in rad/s or m/s; None for what the file leaves open.

    parent, child: the links that it joins. A continuous joint turns without end and has no limits.
    """

    name: str
    unit: str
    parent: str
    child: str
    lower: float | None = None
    upper: float | None = None
    velocity: float | None = None
    continuous: bool = False
    mimic: MimicOf | None = None


@dataclass(frozen=True, kw_only=True)
class Description:
    """A robot as its file describes it. joints: in the order of the tree, from the base outwards.

    parents: link -> the link that carries it, through fixed joints too; the root is not among its keys. frames: names
    beside the links that kinematics can use, as the sites of an MJCF. notes: what was left out, and why.
    """

    kind: str
    name: str
    root: str
    joints: tuple[DescribedJoint, ...]
    parents: Mapping[str, str]
    frames: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def driven(self) -> tuple[DescribedJoint, ...]:
        """The joints with a motor of their own: all that mimic none."""
        return tuple(joint for joint in self.joints if joint.mimic is None)

    def chain(self, link: str) -> tuple[str, ...]:
        """The joints that move `link`, from the base outwards."""
        moved_by = {joint.child: joint.name for joint in self.joints}
        return tuple(reversed([moved_by[each] for each in self._upwards(link) if each in moved_by]))

    def leaves(self) -> tuple[str, ...]:
        """The links that carry no other, in the order of the file."""
        carriers = set(self.parents.values())
        return tuple(link for link in self.parents if link not in carriers)

    def _upwards(self, link: str) -> Iterator[str]:
        while link != self.root:
            yield link
            link = self.parents[link]
