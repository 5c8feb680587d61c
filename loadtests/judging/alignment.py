"""How exactly the clocks of several load generators agree, and what that means for the rule. Pure."""

from loadtests.records.recording import Recording

WORTH_SAYING = 0.01  # of the rule: a larger error is mentioned
DOUBTED = 0.1  # of the rule: with a larger error the load is not fit


def clock_doubt(recording: Recording) -> str | None:
    """Why requests of different load generators can't be put on one clock; None if they can."""
    error, most = 1000 * recording.clock_error_s, DOUBTED * recording.rule_ms
    if error <= most:
        return None
    return (
        f"the clocks of the load generators agree only to within {error:.0f} ms (at most {most:g} ms,"
        f" {100 * DOUBTED:g} % of the rule): messages to them take too long"
    )


def clock_note(recording: Recording) -> str | None:
    """A sentence on the clocks' error, if it is neither negligible nor a doubt; otherwise None."""
    error = 1000 * recording.clock_error_s
    if not WORTH_SAYING * recording.rule_ms < error <= DOUBTED * recording.rule_ms:
        return None
    return f"The clocks of the load generators agree to within {error:.0f} ms."
