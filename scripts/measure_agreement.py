"""How often the intervals of ``fermedia agree`` hold the true value, by the number of people.

    python scripts/measure_agreement.py

Made-up people differ in how often they show each of four labels, and in how well two coders agree on them. The truth is
the value over very many of these people; a study has a few, with 500 frames each.
"""

from __future__ import annotations

import measuring
import numpy as np

from fermedia.study.agreement import Bootstrap, Floats, ac1, f1, kappa

LABELS, FRAMES = 4, 500

STATISTICS = {"kappa": kappa, "AC1": ac1, "F1": f1}


def people(count: int, rng: np.random.Generator) -> Floats:
    """The confusion of two coders for each person: (count, labels, labels)."""
    shares = rng.dirichlet([6, 2, 1, 0.5], count)
    agree = rng.beta(7, 3, count)
    guess = rng.dirichlet([3, 2, 1, 1], count)
    expected = agree[:, None, None] * np.eye(LABELS) * shares[:, :, None]
    expected += (1 - agree)[:, None, None] * shares[:, :, None] * guess[:, None, :]
    tables = [rng.multinomial(FRAMES, table.ravel() / table.sum()) for table in expected]
    return np.array(tables, np.float64).reshape(count, LABELS, LABELS)


def main() -> None:
    """Print the table."""
    options = measuring.parser(__doc__)
    options.add_argument("--studies", type=int, default=1000, help="made-up studies for each number of people")
    studies = options.parse_args().studies
    rng = np.random.default_rng(0)
    whole = people(50_000, rng).sum(axis=0)
    truth = {name: float(statistic(whole)) for name, statistic in STATISTICS.items()}
    rows = []
    for count in (3, 5, 10, 20, 40):
        held = dict.fromkeys(STATISTICS, 0)
        for study in range(studies):
            tables, bootstrap = people(count, rng), Bootstrap(count, 2000, study)
            for name, statistic in STATISTICS.items():
                found = bootstrap.estimate(tables, statistic)
                held[name] += found.low <= truth[name] <= found.high
        rows.append((str(count), *(f"{100 * held[name] / studies:.0f} %" for name in STATISTICS)))
    print(", ".join(f"{name} {value:.2f}" for name, value in truth.items()))
    print(measuring.table(("people", *STATISTICS), rows))


if __name__ == "__main__":
    main()
