"""A policy on its way in or out of a running control loop."""

from dataclasses import dataclass

from emma.control.chunk_executor import ExecutorConfig
from emma.control.inference_worker import InferenceWorker
from emma.observation import Aligner
from emma.policy.isolated import IsolatedRuntime
from emma.policy.runtime import PolicyRuntime


@dataclass(frozen=True, kw_only=True)
class NextPolicy:
    """aligner: over the topics that the policy sees; worker: the runtime's, waiting for work."""

    runtime: PolicyRuntime
    worker: InferenceWorker
    aligner: Aligner
    executor: ExecutorConfig

    def close(self) -> None:
        """End the worker, then the runtime. One that hangs in an inference is left alone, unless it can be ended so."""
        if self.worker.close() or isinstance(self.runtime, IsolatedRuntime):
            self.runtime.close()
