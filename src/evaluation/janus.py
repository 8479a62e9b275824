"""How often an object shows its face from behind: the Janus rate, freed from the judge's own error."""

from dataclasses import dataclass

from src.evaluation.judge.judge import Judge
from src.evaluation.verdict import Rate, Verdict
from src.toybox.world.captions import Subject


@dataclass(frozen=True)
class Janus:
    """Of the views from behind, those that show a front."""

    raw: Rate  # as the judge calls them
    corrected: float | None  # None where the judge's error is unknown or tells nothing
    sensitivity: float | None  # P(called front | front seen), on true solids of the kind
    false_alarm: float | None  # P(called front | back seen)


def rogan_gladen(share: float, sensitivity: float, false_alarm: float) -> float | None:
    """True prevalence from what an imperfect test says: (share - false_alarm) / (sensitivity - false_alarm).

    Rogan & Gladen 1978, eq. 1; None where the test is no better than a coin.  Below 0 where fewer alarms were
    raised than usual: cut off there, run by run, the mean of many would be too large.
    """
    if sensitivity <= false_alarm:
        return None
    return (share - false_alarm) / (sensitivity - false_alarm)


def measure(verdict: Verdict, judge: Judge, subject: Subject | None) -> Janus | None:
    """Janus rate of an object that has a front; None for every other.

    The judge's error is that of its kind, clean and half-degraded true solids together: a run's object is
    somewhere between the two.
    """
    raw = verdict.called_front
    if raw is None or subject is None:
        return None
    if judge.errors is None:
        return Janus(raw, None, None, None)
    front, back = (_called_front(judge.errors, subject.kind, side) for side in ("front", "back"))
    if front is None or back is None:
        return Janus(raw, None, front, back)
    return Janus(raw, rogan_gladen(raw.share, front, back), front, back)


def _called_front(
    errors: dict[str, dict[str, dict[str, dict[str, int]]]], kind: str, side: str
) -> float | None:
    counts = [errors[state]["fronts"].get(kind, {}) for state in ("clean", "degraded")]
    count = sum(c.get(side, 0) for c in counts)
    return sum(c.get(f"{side}_called_front", 0) for c in counts) / count if count else None
