"""A comparison in words: the sentence, and the 80-column table. Pure."""

import textwrap
from collections.abc import Iterator, Sequence

from loadtests.comparing.answers import ChangeWord, Comparison, Question, SideName
from loadtests.judging.samples import title
from loadtests.records.figures import FigureKey
from loadtests.wording import counted, duration

FIGURE_NAMES: dict[FigureKey, str] = {
    "p50_ms": "p50",
    "p95_ms": "p95",
    "p99_ms": "p99",
    "mean_ms": "mean",
    "share_over": "over 500 ms",
}
IN_WORDS: dict[FigureKey, str] = FIGURE_NAMES | {"share_over": "the share over 500 ms", "mean_ms": "the mean"}
FOOT = (
    "Each 95 % interval is for its own difference alone. Slower and faster are significant even after"
    " adjusting for the number of figures (Holm)."
)
CHANGE_MARKS: dict[ChangeWord, str] = {
    "slower": "SLOWER",
    "slower within the margin": "slower, a bit",
    "faster": "faster",
}


def value(question: Question, side: SideName) -> str:
    """The figure before or after: "≥ 120 ms", "1.5 %"."""
    bound = question["lower_bounds"][side == "after"]
    return ("≥ " if bound else "") + _amount(question["figure"], question[side])


def change(question: Question) -> str:
    """The difference: "+12 ms", "-0.5 points" (percentage points)."""
    return _signed(question["figure"], question["difference"])


def interval(question: Question) -> str:
    """The interval of the difference: "-3.0 ms to +27 ms"; an unknown end is "?", two are "unknown"."""
    ends = [question["low"], question["high"]]
    if ends == [None, None]:
        return "unknown"
    return " to ".join("?" if end is None else _signed(question["figure"], end) for end in ends)


def reach(question: Question) -> float | None:
    """Half the interval: the smallest detectable change. None if unknown."""
    if question["low"] is None or question["high"] is None:
        return None
    return (question["high"] - question["low"]) / 2


def too_wide(question: Question) -> bool:
    """True if no difference was seen, and one as large as the margin could have been missed."""
    half = reach(question)
    return question["finding"] == "none seen" and (half is None or half > question["margin"])


def mark(question: Question) -> str:
    """The finding in a word or two; empty if none was seen, and one above the margin would have been."""
    if question["finding"] == "not judged":
        return "too few" if question["low"] is None and question["high"] is None else "lower bound"
    return "too wide" if too_wide(question) else CHANGE_MARKS.get(question["finding"], "")


def where(question: Question) -> str:
    """Which requests it is about: "POST /feeds (queued, 20 users, 8 slots)"."""
    group = title(question["group"])
    return f"{group} ({question['condition']})" if question["condition"] else group


def sentence(comparison: Comparison) -> str:
    """The result, in one or two sentences."""
    questions = comparison["questions"]
    slower = [each for each in questions if each["finding"] == "slower"]
    unfit = comparison["unfit"]
    told = []
    if slower:
        told.append(f"Slower: {_worst(slower)}.")
    elif unfit:
        told.append("Not fit to compare.")
    elif not questions:
        told.append("Undecided: on one side nothing was answered.")
    elif nothing := unseen(questions):
        more = f" and of {counted(len(nothing) - 1, 'other group')}" if nothing[1:] else ""
        told.append(
            f"Undecided: nothing got slower beyond doubt, but a change of {nothing[0]}{more} would not have"
            " been seen."
        )
    else:
        allowed = f"{comparison['worse_percent']:g} %"
        told.append(
            f"Not slower: of {counted(len(questions), 'figure')} none is worse beyond doubt and by more than"
            f" {allowed} (a share: by more than 1 percentage point)."
        )
    if unfit:
        lost = unfit[0]
        why = "; ".join(lost["reasons"])
        told.append(
            f"{counted(len(unfit), 'condition')} had no repeat fit to compare (first:"
            f" {lost['condition'] or 'the file'}, {lost['side']}: {why})."
        )
    told += _too_small_to_see(questions)
    return " ".join(told)


def unseen(questions: Sequence[Question]) -> list[str]:
    """The groups of requests of which no figure could have shown a difference as large as its margin."""
    seen = {where(each) for each in questions if not _blind(each)}
    return list(dict.fromkeys(where(each) for each in questions if where(each) not in seen))


def _blind(question: Question) -> bool:
    return too_wide(question) or question["finding"] == "not judged"


def _worst(slower: Sequence[Question]) -> str:
    """The figure that grew most relative to its margin, and how many others grew."""
    first = max(slower, key=lambda each: each["difference"] / each["margin"])
    others = len(slower) - 1
    return (
        f"{IN_WORDS[first['figure']]} of {where(first)} went from {value(first, 'before')} to"
        f" {value(first, 'after')} ({change(first)}, 95 % interval {interval(first)})"
        + (f", and {counted(others, 'other figure')} grew too" if others else "")
    )


def _too_small_to_see(questions: Sequence[Question]) -> list[str]:
    """What these runs could not have seen; empty if they would have seen everything that matters."""
    wide = [each for each in questions if _blind(each)]
    if not wide:
        return []
    known = [each for each in wide if reach(each) is not None]
    if not known:
        return [f"For {counted(len(wide), 'figure')} there are too few requests to say anything."]
    first = max(known, key=lambda each: (reach(each) or 0.0) / each["margin"])
    return [
        f"For {counted(len(wide), 'figure')} the interval is too wide to say: these runs could not have seen"
        f" a change of {IN_WORDS[first['figure']]} of {where(first)} smaller than"
        f" {_amount(first['figure'], reach(first) or 0.0, ' points')}. Longer runs or more repeats see more."
    ]


def comparison_table(comparison: Comparison) -> str:
    """All questions in at most 80 columns, and below them what was left out and why."""
    lines: list[str] = []
    head = None
    for each in comparison["questions"]:
        if (each["condition"], each["group"]) != head:
            head = each["condition"], each["group"]
            lines += [*([""] if lines else []), *_heading(each)]
        lines.append(
            f"  {FIGURE_NAMES[each['figure']]:11} {value(each, 'before'):>9} {value(each, 'after'):>9}"
            f" {change(each):>9} {interval(each):>21}  {mark(each)}".rstrip()
        )
    notes = [*([FOOT] if lines else []), *comparison["warnings"], *_left_out(comparison)]
    return "\n".join([*lines, *(line for note in notes for line in ["", *textwrap.wrap(note, 80)])]).lstrip(
        "\n"
    )


def _heading(question: Question) -> list[str]:
    before, after = question["repeats"]
    how = (
        f"between repeats, {before} and {after}"
        if question["between"]
        else "within the run, by block bootstrap"
    )
    columns = f"  {'':11} {'before':>9} {'after':>9} {'change':>9} {'95 % interval':>21}"
    return [*textwrap.wrap(f"{where(question)}: {how}", 80), columns]


def _left_out(comparison: Comparison) -> Iterator[str]:
    for lost in comparison["unfit"]:
        name = lost["condition"] or "The file"
        yield f"Not compared: {name}. Not fit {lost['side']}: {'; '.join(lost['reasons'])}."
    if comparison["left_out"]:
        yield f"Only on one side: {'; '.join(comparison['left_out'])}."


def _amount(figure: FigureKey, amount: float, points: str = " %") -> str:
    if figure == "share_over":
        return f"{100 * amount:.1f}{points}"
    return duration(amount)


def _signed(figure: FigureKey, amount: float) -> str:
    sign = "-" if amount < 0 else "+"
    return sign + (f"{100 * abs(amount):.1f} pt" if figure == "share_over" else duration(abs(amount)))
