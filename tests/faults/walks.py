"""Random walks: two to four faults in one operation, drawn from a seed, which is all that is needed to walk again."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from tests.faults.faults import FIVE_TIMES, ONCE, trap
from tests.faults.harness import Rig
from tests.faults.scenarios import SUCCEEDED, Scenario


def walks(sites: Mapping[str, Sequence[str]], seeds: Sequence[int]) -> Iterator[Scenario]:
    """Yield a walk for each seed. What passes by itself must not keep an operation from ending well."""
    for seed in seeds:
        drawn = Random(seed)  # noqa: S311
        variation = drawn.choice(sorted(sites))
        count = drawn.randint(2, 4)
        # Throttled five times twice at one place would be more than the state machine retries.
        kinds = [drawn.choice(sorted(FIVE_TIMES)), *(drawn.choice(sorted(ONCE)) for _ in range(count - 1))]
        chosen = [(site, fault) for site, fault in zip(drawn.sample(list(sites[variation]), count), kinds, strict=True)]

        def arm(rig: Rig, chosen: Sequence[tuple[str, str]] = chosen) -> None:
            rig.traps.extend(trap(site, fault) for site, fault in chosen)

        # Other durations make other polls: not every place need be reached.
        yield Scenario(f"walk/{seed}", variation, arm, ends=SUCCEEDED, seed=seed, certain=False)
