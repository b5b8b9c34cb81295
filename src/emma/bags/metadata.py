"""`metadata.yaml` of a rosbag2 directory, as `ros2 bag` of Jazzy and Kilted reads it (version 9)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from rosbags.interfaces import Qos
from rosbags.rosbag2.metadata import dump_qos_v9

METADATA_NAME = "metadata.yaml"
VERSION = 9


@dataclass(frozen=True, kw_only=True)
class BagTopic:
    """One topic of a bag: its type, how many messages it holds, and what its publishers offered."""

    name: str
    type: str
    count: int = 0
    qos: Sequence[Qos] = field(default=())
    type_hash: str = ""


def dump_qos(qos: Sequence[Qos]) -> str:
    """QoS profiles as the YAML text that MCAP channels carry."""
    return yaml.safe_dump(dump_qos_v9(list(qos)), sort_keys=False) if qos else ""


@dataclass(frozen=True, kw_only=True)
class BagFile:
    """One MCAP file of a bag: messages, first and last log time (ns)."""

    name: str
    count: int
    first_ns: int = 0
    last_ns: int = 0


def bag_metadata(files: Sequence[BagFile], topics: Sequence[BagTopic]) -> str:
    """The text of `metadata.yaml`."""
    used = [file for file in files if file.count] or list(files)
    first, last = min(file.first_ns for file in used), max(file.last_ns for file in used)
    information: dict[str, Any] = {
        "version": VERSION,
        "storage_identifier": "mcap",
        **_span(first, last),
        "message_count": sum(topic.count for topic in topics),
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.type,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": dump_qos_v9(list(topic.qos)),
                    "type_description_hash": topic.type_hash,
                },
                "message_count": topic.count,
            }
            for topic in topics
        ],
        # Chunks compress themselves; rosbag2's own compression is something else and stays off.
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file.name for file in files],
        "files": [
            {"path": file.name, **_span(file.first_ns, file.last_ns), "message_count": file.count} for file in files
        ],
        "custom_data": None,
        "ros_distro": os.environ.get("ROS_DISTRO", "jazzy"),
    }
    return str(yaml.dump({"rosbag2_bagfile_information": information}, Dumper=_Plain, sort_keys=False))


def _span(first_ns: int, last_ns: int) -> dict[str, Any]:
    return {
        "duration": {"nanoseconds": max(0, last_ns - first_ns)},
        "starting_time": {"nanoseconds_since_epoch": first_ns},
    }


class _Plain(yaml.SafeDumper):
    """YAML without aliases: a mapping that stands twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True
