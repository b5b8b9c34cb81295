"""What a conversion takes from bags, as one frozen configuration."""

from dataclasses import dataclass

from emma.errors import EmmaError
from emma.options import option


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What to convert and how strictly: options of `emma episodes convert`.

    What `keep_stale` and `keep_damaged` let through is said in the episode's provenance.
    """

    cameras: tuple[str, ...] | None = option(None, help="cameras to store; all where none is named")
    depth: bool = option(True, help="store depth, lossless")
    video: bool = option(False, help="colour as lossy video: a hundredth of the size")
    instruction: str = option("", metavar="WORDS", help="words for bags that have none")
    keep_failed: bool = option(True, help="take episodes marked as failures")
    keep_recovered: bool = option(False, help="take episodes that a crash cut short")
    keep_stale: bool = option(
        False, help="take episodes with streams older than max_age_s or cameras further apart than max_skew_s"
    )
    keep_damaged: bool = option(False, help="take what is left of bags with damaged or missing parts")
    joined: bool = option(False, flag="join", help="the bags in each folder below BAGS are one episode")
    workers: int = option(1, metavar="N", help="processes")

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise EmmaError("bad value for workers", found=self.workers, expected="1 or more")
