"""What `fruits emr schedule --show` prints."""

from dataclasses import asdict
from datetime import datetime

from fruits.console import OUT, Format, print_json, print_table
from fruits.emr.schedule import Shown, ShownRun, Trigger
from fruits.emr.settings import EmrSettings

_LOOKS = {Trigger.CLOCK: "a run", Trigger.ARRIVAL: "a look for photographs"}


def print_schedules(emr: EmrSettings, shown: Shown, shape: Format) -> None:
    """Print the schedules with their next times, what has arrived, and how the last run ended."""
    if shape == Format.json:
        print_json(asdict(shown))
        return
    if not shown.schedules:
        OUT.print(f"The stack {emr.stack} has no schedule: no run starts by itself.", soft_wrap=True)
    else:
        rows = [
            (_LOOKS[Trigger(one.trigger)], one.expression, one.zone, _times(one.next), one.code)
            for one in shown.schedules
        ]
        print_table(("what", "when", "time zone", "next (UTC)", "code"), rows)
    if shown.arrived:
        OUT.print(f"About {shown.arrived:,} photographs have arrived since the last look that found some.")
    OUT.print(
        "No run has started by itself yet." if shown.last_run is None else _sentence(shown.last_run), soft_wrap=True
    )


def _times(times: list[datetime]) -> str:
    return "\n".join(f"{one:%Y-%m-%d %H:%M}" for one in times) or "as AWS reckons it"


def _sentence(run: ShownRun) -> str:
    began = f"The last run began at {run.began:%Y-%m-%d %H:%M} UTC"
    if run.ended is None:
        return f"{began}, and goes on."
    how = {"SUCCEEDED": "was done", "FAILED": "failed", "TIMED_OUT": "took too long", "ABORTED": "was aborted"}
    why = f": {run.why}" if run.why else "."
    return f"{began}, and {how.get(run.status, run.status.lower())} at {run.ended:%H:%M}{why}"
