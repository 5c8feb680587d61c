"""How the workbook writes numbers."""


def in_words(value: float, unit: str = "seconds") -> str:
    """A figure in words: "18 ms", "2.3 s", "12 %", "5.5 a second", "24 users"."""
    match unit:
        case "seconds":
            from loadtests.wording import duration

            return duration(1000 * value)
        case "percent":
            return f"{number(value)} %"
        case "per_second":
            return f"{number(value)} a second"
        case _:
            name = unit.replace("_", " ")
            return f"{number(value)} {name.removesuffix('s') if value == 1 else name}"


def number(value: float) -> str:
    """Three significant digits, and whole numbers from 100 up: "0.125", "7.4", "1,240"."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
