"""A file that grows in whole blocks past the page cache, or plainly: the same bytes, whatever the disk refuses."""

import errno
import os
import random
from pathlib import Path

import pytest

from emma.bags.append_file import BLOCK, STAGE_BYTES, AppendFile
from emma.bags.mcap_scan import scan
from emma.bags.mcap_writer import McapWriter

WAYS = pytest.mark.parametrize("direct", [True, False], ids=["direct", "plain"])


def pieces(seed: int, sizes: list[int]) -> list[list[bytes]]:
    source = random.Random(seed)
    return [[source.randbytes(size // 3), b"", source.randbytes(size - size // 3)] for size in sizes]


def made(path: Path, direct: bool) -> AppendFile:
    file = AppendFile.create(path, direct=direct)
    if direct and not file.direct:
        pytest.skip("this file system has no direct writes")
    return file


@WAYS
def test_what_is_appended_is_there_at_once(tmp_path: Path, direct: bool) -> None:
    file, sent = made(tmp_path / "x", direct), b""
    for buffers in pieces(0, [1, BLOCK - 1, BLOCK, 3, 5 * BLOCK + 7, 2 * STAGE_BYTES + 11, STAGE_BYTES - 22, 0, 1]):
        file.append(buffers)
        sent += b"".join(buffers)
        there = (tmp_path / "x").read_bytes()
        assert there[: len(sent)] == sent
        assert len(there) - len(sent) < BLOCK
        assert not any(there[len(sent) :])
    file.cut()
    file.close()
    assert (tmp_path / "x").read_bytes() == sent


def test_the_page_cache_takes_over_in_the_middle(tmp_path: Path) -> None:
    file, sent = made(tmp_path / "x", True), b""
    for i, buffers in enumerate(pieces(1, [5000, 70_000, 3, 9, 8192])):
        if i == 2:
            file.use_cache()
            assert not file.direct
            assert (tmp_path / "x").stat().st_size == len(sent)
        file.append(buffers)
        sent += b"".join(buffers)
    file.close()
    assert (tmp_path / "x").read_bytes() == sent


def test_nothing_is_written_over_when_the_disk_refuses_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made(tmp_path / "x", True)
    file.append([b"first"])

    def refuses(fd: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("emma.bags.append_file.os.ftruncate", refuses)
        with pytest.raises(OSError, match="Input/output"):
            file.use_cache()
    file.append([b", second"])
    file.cut()
    file.close()
    assert (tmp_path / "x").read_bytes() == b"first, second"


@WAYS
def test_what_cannot_be_written_whole_is_not_there(
    tmp_path: Path, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made(tmp_path / "x", direct)
    file.append([b"first"])

    def refuses(fd: int, *rest: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("emma.bags.append_file.os.pwrite", refuses)
        patch.setattr("emma.bags.append_file.write_all.__defaults__", (refuses,))
        with pytest.raises(OSError, match="No space"):
            file.append([bytes(10_000)])
    assert (tmp_path / "x").read_bytes() == b"first"
    file.append([b", second"])
    file.cut()
    file.close()
    assert (tmp_path / "x").read_bytes() == b"first, second"


def test_a_file_system_that_refuses_only_when_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, real, refused = made(tmp_path / "x", True), os.pwrite, []

    def picky(fd: int, data: memoryview, at: int) -> int:
        if os.get_blocking(fd) and not refused:
            refused.append(at)
            raise OSError(errno.EINVAL, "Invalid argument")
        # And takes odd lengths afterwards.
        return real(fd, data[: min(len(data), 777)], at)

    monkeypatch.setattr("emma.bags.append_file.os.pwrite", picky)
    buffers = pieces(2, [100_000])[0]
    file.append(buffers)
    file.cut()
    assert refused == [0]
    assert (tmp_path / "x").read_bytes() == b"".join(buffers)


def test_zeros_after_the_last_record_are_no_loss(tmp_path: Path) -> None:
    writer = McapWriter(tmp_path / "x.mcap", direct=True)
    channel = writer.add_channel("/text", writer.add_schema("std_msgs/msg/String", "ros2msg", "string data"), {})
    for i in range(5):
        writer.write(channel, i, i, b"whole")
    writer.flush()
    writer.close()
    found = scan(tmp_path / "x.mcap")
    assert (sum(found.counts.values()), found.end, found.cut_bytes) == (5, writer.size, 0)
