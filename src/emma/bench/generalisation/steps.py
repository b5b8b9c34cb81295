"""All the jobs of a budget in the order in which they are worth doing, with what each will take."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from emma.bench.generalisation.costs import TYPICAL, Costs
from emma.bench.generalisation.data import Data, generate, generated, kept_clips, render, rendered
from emma.bench.generalisation.jobs import Job
from emma.bench.generalisation.looks import film, filmed
from emma.bench.generalisation.plan import CHOICE, ROWS, UNSEEN, Recipe, sweeps
from emma.bench.generalisation.training import PERIODS, Policy, made, make
from emma.bench.generalisation.trials import run_trials, tried

# Frames that AdaMix judges an episode by, as in its configuration; frames of a demonstration, about.
JUDGED, FRAMES = 16, 76
TRUE = "re-render the prompts"


@dataclass(frozen=True, kw_only=True)
class Steps:
    """seed: of the first evaluation episode. costs: None if they were not measured; the forecast then goes by how they
    usually compare."""

    data: Data
    seed: int
    costs: Costs | None = None

    def jobs(self) -> list[Job]:
        """Clips first, then seed by seed: trainings, the appearances for choices, and last those for nothing else."""
        budget = self.data.budget
        jobs = list(self._pictures(budget.chosen))
        for seed in range(budget.seeds):
            policies = [Policy(data=self.data, recipe=recipe, seed=seed) for recipe in budget.chosen]
            jobs += [self._training(policy) for policy in policies]
            jobs += [self._trials(policy, CHOICE) for policy in policies]
            jobs += [self._trials(policy, UNSEEN) for policy in policies]
        jobs.append(self._film())
        # What a sweep shares with the table is there once, in the table's place.
        return list({job.name: job for job in (*jobs, *self._sweeps())}.values())

    def swept(self) -> list[Recipe]:
        """Every recipe of the sweeps once."""
        budget = self.data.budget
        recipes = [recipe for sweep in sweeps(budget).values() for recipe in sweep.values()] if budget.sweeps else []
        return list({recipe.name: recipe for recipe in recipes}.values())

    def _sweeps(self) -> Iterator[Job]:
        recipes = self.swept()
        yield from self._pictures(recipes)
        for seed in range(self.data.budget.sweep_seeds if recipes else 0):
            for recipe in recipes:
                policy = Policy(data=self.data, recipe=recipe, seed=seed)
                yield self._training(policy)
                yield self._trials(policy, CHOICE)

    def _pictures(self, recipes: tuple[Recipe, ...] | list[Recipe]) -> Iterator[Job]:
        budget = self.data.budget
        # The upper bound shows the prompts of the clips that the filter kept.
        ways = dict.fromkeys("whole" if r.pictures == "true" else r.way for r in recipes if r.pictures != "none")
        for way in ways:
            for shard in range(budget.shards):
                yield Job(
                    name=_clips(way, shard),
                    work=partial(generate, self.data, way, shard),
                    share=partial(generated, self.data, way, shard),
                    cost_s=self._cost("clip_s") * len(self.data.episodes(shard)) * budget.variants,
                )
        if any(recipe.pictures == "true" for recipe in recipes):
            yield Job(
                name=TRUE,
                work=partial(render, self.data),
                share=partial(_rendered, self.data),
                needs=self._needs("kept", "whole"),
                cost_s=self._cost("true_s") * budget.demonstrations * budget.variants,
            )

    def _film(self) -> Job:
        return Job(
            name="film the random looks",
            work=partial(film, self.data, self.seed),
            share=partial(filmed, self.data, self.seed),
            cost_s=self._cost("true_s") * self.data.budget.looks,
        )

    def _needs(self, pictures: str, way: str) -> tuple[str, ...]:
        if pictures == "none":
            return ()
        if pictures == "true":
            return (TRUE,)
        return tuple(_clips(way, shard) for shard in range(self.data.budget.shards))

    def _training(self, policy: Policy) -> Job:
        return Job(
            name=f"train {policy.name}",
            work=partial(make, policy),
            share=partial(made, policy),
            needs=self._needs(policy.recipe.pictures, policy.recipe.way),
            cost_s=self._training_s(policy),
        )

    def _trials(self, policy: Policy, appearances: tuple[str, ...]) -> Job:
        where = "unseen" if appearances == UNSEEN else "graded"
        assert where == "graded" or policy.recipe in ROWS
        return Job(
            name=f"evaluate {policy.name}, {where}",
            work=partial(run_trials, policy, appearances, self.seed),
            share=partial(tried, policy, appearances, self.seed),
            needs=(f"train {policy.name}",),
            cost_s=self._cost("episode_s") * sum(self.data.budget.episodes_in(appearances).values()),
        )

    def _training_s(self, policy: Policy) -> float:
        b, recipe, costs = self.data.budget, policy.recipe, self.costs or TYPICAL
        episodes = b.demonstrations * (1 if recipe.pictures == "none" else 1 + b.variants)
        judged = episodes * JUDGED * (PERIODS - 1) if recipe.sampler.startswith("adamix") else 0
        return (
            b.steps * costs.step_s[recipe.augment]
            + episodes * FRAMES / 1000 * costs.load_s
            + judged / 1000 * costs.judge_s
            + costs.export_s
        )

    def _cost(self, name: str) -> float:
        return float(getattr(self.costs or TYPICAL, name))


def _clips(way: str, shard: int) -> str:
    return f"generate {way.replace('_', ' ')}, part {shard + 1}"


def _rendered(data: Data) -> float:
    # How many there are is known when all clips are decided.
    decided = all(generated(data, "whole", shard) >= 1.0 for shard in range(data.budget.shards))
    return rendered(data, len(kept_clips(data))) if decided else 0.0
