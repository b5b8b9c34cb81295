"""Pre- and post-processing of the spatial_flow policy. The vocabulary travels inside the saved pipeline."""

from dataclasses import dataclass, field
from typing import Any

import torch
from lerobot.configs import FeatureType, PipelineFeatureType, PolicyFeature
from lerobot.lerobot_types import TransitionKey
from lerobot.processor import (
    AbsoluteActionsProcessorStep,
    ObservationProcessorStep,
    PolicyAction,
    PolicyProcessorPipeline,
    ProcessorStepRegistry,
    RelativeActionsProcessorStep,
    make_default_policy_processor_steps,
    make_policy_processor_pipelines,
)
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from lerobot_policy_spatial_flow.configuration_spatial_flow import SpatialFlowConfig

PAD, UNKNOWN = "[PAD]", "[UNK]"


@ProcessorStepRegistry.register("spatial_flow_words")
@dataclass
class WordsProcessorStep(ObservationProcessorStep):
    """The task text to word ids (B, max_tokens) and a mask that leaves padding and unknown words out.

    `vocabulary` is part of the saved configuration, so a policy folder needs no tokenizer from elsewhere.
    """

    vocabulary: list[str] = field(default_factory=list)
    max_tokens: int = 24

    def __post_init__(self) -> None:
        ids = {word: i for i, word in enumerate([PAD, UNKNOWN, *self.vocabulary])}
        self.tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
        self.tokenizer.normalizer, self.tokenizer.pre_tokenizer = _reading()
        self.tokenizer.enable_padding(pad_id=0, pad_token=PAD, length=self.max_tokens)
        self.tokenizer.enable_truncation(self.max_tokens)

    @property
    def unknown_id(self) -> int:
        """The id of every word that is not in the vocabulary."""
        return int(self.tokenizer.token_to_id(UNKNOWN))

    def learn(self, tasks: list[str], size: int) -> None:
        """Add the words of `tasks` that are new; known ones keep their ids. Raises ValueError beyond `size` ids."""
        new = [word for word in vocabulary_of(tasks, size) if word not in self.vocabulary]
        if len(self.vocabulary) + len(new) + 2 > size:
            raise ValueError(f"{len(new)} new words, room for {size - 2 - len(self.vocabulary)}")
        self.vocabulary = [*self.vocabulary, *new]
        self.__post_init__()

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        task = (self.transition.get(TransitionKey.COMPLEMENTARY_DATA) or {}).get("task")
        if task is None:
            raise ValueError("spatial_flow needs the instruction as 'task'")
        tasks = [task] if isinstance(task, str) else list(task)
        tokens = torch.tensor([encoding.ids for encoding in self.tokenizer.encode_batch(tasks)])
        return {**observation, OBS_LANGUAGE_TOKENS: tokens, OBS_LANGUAGE_ATTENTION_MASK: tokens > 1}

    def get_config(self) -> dict[str, Any]:
        return {"vocabulary": self.vocabulary, "max_tokens": self.max_tokens}

    def transform_features(
        self, features: dict[PipelineFeatureType, dict[str, PolicyFeature]]
    ) -> dict[PipelineFeatureType, dict[str, PolicyFeature]]:
        for key in (OBS_LANGUAGE_TOKENS, OBS_LANGUAGE_ATTENTION_MASK):
            features[PipelineFeatureType.OBSERVATION].setdefault(
                key, PolicyFeature(type=FeatureType.LANGUAGE, shape=(self.max_tokens,))
            )
        return features


def _reading() -> tuple[Any, Any]:
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    return normalizer, pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("removed")])


def vocabulary_of(tasks: list[str], size: int) -> list[str]:
    """Every word in `tasks`, sorted. Raises ValueError if padding, unknown and the words exceed `size`."""
    normalizer, splitter = _reading()
    words = {word for task in tasks for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(task))}
    if len(words) + 2 > size:
        raise ValueError(
            f"{len(words)} different words in the instructions, room for {size - 2}: raise vocabulary_size"
        )
    return sorted(words)


def make_spatial_flow_pre_post_processors(
    config: SpatialFlowConfig,
    dataset_stats: dict[str, dict[str, torch.Tensor]] | None = None,
    dataset_meta: Any | None = None,
) -> tuple[
    PolicyProcessorPipeline[dict[str, Any], dict[str, Any]],
    PolicyProcessorPipeline[PolicyAction, PolicyAction],
]:
    """Rename, batch, words, device, relative actions, normalise; and back. Words come from `dataset_meta.tasks`.

    With `use_relative_actions` the statistics of `action` must be those of the relative actions.
    """
    tasks = [str(task) for task in dataset_meta.tasks.index] if dataset_meta is not None else []
    steps = make_default_policy_processor_steps(config, dataset_stats)
    relative = RelativeActionsProcessorStep(
        enabled=config.use_relative_actions,
        exclude_joints=config.relative_exclude_joints,
        action_names=config.action_feature_names,
    )
    return make_policy_processor_pipelines(
        input_steps=[
            steps.rename_observations,
            steps.add_batch_dim,
            WordsProcessorStep(vocabulary_of(tasks, config.vocabulary_size), config.max_tokens),
            steps.to_device,
            relative,
            steps.normalize,
        ],
        output_steps=[
            steps.unnormalize,
            AbsoluteActionsProcessorStep(enabled=config.use_relative_actions, relative_step=relative),
            steps.to_cpu,
        ],
    )
