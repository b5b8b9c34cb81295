"""Real disks that fail: full, read-only, files that may not grow. Each in a small file system of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMON = """
import json, os, subprocess, sys, time
from pathlib import Path
from emma.bags.episode import EpisodeMeta
from emma.recording.recorder import EpisodeRecorder
from emma.recording.stats import RecorderConfig
from emma.bags.repair import repair
from emma.errors import EmmaError
from rosbags.rosbag2 import Reader
disk = Path(sys.argv[1])
warnings = []
config = RecorderConfig(min_free_bytes=0, sync_s=0.02, chunk_bytes=1 << 20)
recorder = EpisodeRecorder(disk, config, on_warning=warnings.append)

def begin():
    return recorder.start(EpisodeMeta(id="e", robot="arm"), {"/a": "std_msgs/msg/String"})

def offer(numbers):
    for i in numbers:
        recorder.offer("/a", i.to_bytes(4, "little") + bytes(100_000), i + 1, i + 1)
        time.sleep(0.001)

def until_failing():
    deadline = time.monotonic() + 10
    while recorder.stats().state != "failing" and time.monotonic() < deadline:
        time.sleep(0.01)

def read():
    with Reader(disk / "e") as reader:
        return [int.from_bytes(data[:4], "little") for _, _, data in reader.messages()]

def tell(**values):
    print(json.dumps({"warnings": warnings, **values}))
"""


def run(code: str, folder: Path, *prefix: str) -> dict:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", COMMON + code, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict = json.loads(done.stdout)
    return told


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[Path, tuple[str, ...]]:
    """A file system of 24 MB that exists for one child process, and the words to start that process with."""
    disk = tmp_path / "disk"
    disk.mkdir()
    prefix = ("unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size=24m tmpfs "{disk}" && exec "$@"', "sh")
    if (
        shutil.which("unshare") is None
        or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system does not let a user mount a file system of its own")
    return disk, prefix


@pytest.fixture
def removable_disk(tmp_path: Path) -> tuple[Path, tuple[str, ...]]:
    """An ext4 file system in a file, mounted for one child process at a time; what was on it is there the next time."""
    disk, image = tmp_path / "disk", tmp_path / "disk.img"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    prefix = ("unshare", "-m", "sh", "-c", f'mount -o loop "{image}" "{disk}" && exec "$@"', "sh")
    if (
        not all(map(shutil.which, ("unshare", "mkfs.ext4")))
        or subprocess.run(["mkfs.ext4", "-q", image], capture_output=True, check=False).returncode
        or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("mounting an image of a disk needs root and a loop device")
    return disk, prefix


def test_a_disk_that_is_pulled_out_and_put_back(removable_disk: tuple) -> None:
    """ext4 is shut down without writing its journal out: to the recorder a pulled disk, to the files a power cut."""
    disk, prefix = removable_disk
    told = run(
        """
import fcntl, struct
EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
folder = begin()
offer(range(60))
while recorder.stats().written_bytes < 5_500_000:
    time.sleep(0.01)
time.sleep(1.0)
opened = os.open(disk, os.O_RDONLY)
fcntl.ioctl(opened, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
os.close(opened)
offer(range(60, 120))
until_failing()
status = str(recorder.stats())
try:
    recorder.save()
except EmmaError as error:
    tell(status=status, error=str(error))
""",
        disk,
        *prefix,
    )
    assert "recording stopped: Input/output error" in told["status"]
    assert "episode e is on the disk but could not be finished" in told["error"]
    assert "emma episodes repair" in told["error"]
    # The next recorder on it, after it was put back.
    told = run('tell(state=EpisodeMeta.load(disk / "e").state, numbers=read())', disk, *prefix)
    assert told["state"] == "recovered"
    assert told["numbers"] == list(range(len(told["numbers"])))
    assert len(told["numbers"]) >= 50
    assert any("unfinished episode e: recovered" in warning for warning in told["warnings"])


def test_a_full_disk_keeps_the_episode_up_to_there(small_disk: tuple) -> None:
    disk, prefix = small_disk
    told = run(
        """
folder = begin()
offer(range(400))
until_failing()
status = str(recorder.stats())
try:
    meta = recorder.save()
except EmmaError as error:
    tell(saved=False, error=str(error))
    raise SystemExit
tell(saved=True, status=status, numbers=read(), count=meta.topics["/a"].count, dropped=meta.topics["/a"].dropped,
     problems=meta.problems, again=repair(folder).action)
""",
        disk,
        *prefix,
    )
    assert told["saved"], told
    assert "No space left on device" in told["status"]
    assert told["numbers"] == list(range(told["count"]))
    assert 200 < told["count"] < 250
    assert told["count"] + told["dropped"] == 400
    assert any("No space left on device after 2" in problem for problem in told["problems"])
    assert told["again"] == "untouched"


def test_a_device_that_fails_under_the_recorder(tmp_path: Path) -> None:
    told = run(
        """
folder = begin()
offer(range(40))
while recorder.stats().written_bytes < 3_000_000:
    time.sleep(0.02)
# What a device that went away looks like from here: every write to the open file is an error.
os.dup2(os.open(disk / "e/e_0.mcap", os.O_RDONLY), recorder._recording._bag.fileno())
offer(range(40, 80))
until_failing()
status = str(recorder.stats())
meta = recorder.save()
tell(status=status, numbers=read(), count=meta.topics["/a"].count, dropped=meta.topics["/a"].dropped)
""",
        tmp_path,
    )
    assert "recording stopped: Bad file descriptor" in told["status"]
    assert told["numbers"] == list(range(told["count"]))
    assert told["count"] >= 30
    assert told["count"] + told["dropped"] == 80


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    told = run(
        """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
folder = begin()
offer(range(80))
until_failing()
status = str(recorder.stats())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
meta = recorder.save()
tell(status=status, numbers=read(), count=meta.topics["/a"].count, dropped=meta.topics["/a"].dropped)
""",
        tmp_path,
    )
    assert "File too large" in told["status"]
    assert told["numbers"] == list(range(told["count"]))
    assert 20 <= told["count"] < 80
    assert told["count"] + told["dropped"] == 80


def test_no_room_to_begin(small_disk: tuple) -> None:
    disk, prefix = small_disk
    told = run(
        """
recorder = EpisodeRecorder(disk, on_warning=warnings.append)
try:
    begin()
except EmmaError as error:
    tell(error=str(error), left=[str(p) for p in disk.iterdir()])
""",
        disk,
        *prefix,
    )
    assert "is full" in told["error"]
    assert "at least 268 MB" in told["error"]
    assert told["left"] == []


def test_a_read_only_disk_is_refused(small_disk: tuple) -> None:
    disk, prefix = small_disk
    told = run(
        """
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
try:
    begin()
except EmmaError as error:
    tell(error=str(error))
""",
        disk,
        *prefix,
    )
    assert "cannot record to" in told["error"]
    assert "Read-only file system" in told["error"]
