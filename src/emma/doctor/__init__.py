"""What is in use on this machine, what is wrong with it, and the fix for each: the checks behind `emma doctor`."""

from emma.doctor.check import Check, Status
from emma.doctor.run import examine

__all__ = ["Check", "Status", "examine"]
