"""What a check found, and what AWS's refusal to answer means for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from fruits.emr.aws import errors_of_aws
from fruits.emr.settings import EmrSettings
from fruits.settings import Settings
from lakehouse.errors import LakehouseError
from lakehouse.storage import aws_errors


class Outcome(StrEnum):
    """What a finding means for a run."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One line of the check.

    Attributes:
        what: was looked at.
        outcome: what that means for a run.
        said: what was found.
        advice: what to do; empty where there is nothing to do.
    """

    what: str
    outcome: Outcome
    said: str
    advice: str = ""


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Attributes:
        emr: settings of the cluster.
        settings: of the run; None where no photographs and lake are named.
        serverless: whether it is for EMR Serverless.
        is_complete: whether the stack's outputs are in `emr`.
    """

    emr: EmrSettings
    settings: Settings | None
    serverless: bool
    is_complete: bool = False

    def completed(self, emr: EmrSettings) -> "Subject":
        """The same, with the stack's outputs."""
        return replace(self, emr=emr, is_complete=True)


def reading(check: Callable[[Subject], Iterator[Finding]], subject: Subject) -> list[Finding]:
    """A check's findings; where AWS does not answer, those before, and one that says what could not be asked."""
    what = check.__name__.replace("_", " ")
    found = []
    try:
        for one in check(subject):
            found.append(one)  # noqa: PERF402 - those before an error count
    except errors_of_aws() as error:
        found.append(unanswered(what, error))
    except LakehouseError as error:
        found.append(Finding(what, Outcome.FAILURE, str(error)))
    return found


def unanswered(what: str, error: Exception) -> Finding:
    """Nothing is known: the credentials may not ask, or AWS cannot be asked."""
    if is_denied(error):
        asked = getattr(error, "operation_name", "it")
        advice = f"Allow the credentials {asked} (it only reads), or look in AWS's console."
        return Finding(what, Outcome.NOT_CHECKED, f"the credentials may not ask ({asked}).", advice)
    return Finding(what, Outcome.NOT_CHECKED, f"AWS did not answer: {str(error).rstrip('.')}.", "Try again later.")


def is_denied(error: Exception) -> bool:
    """Whether AWS refuses to answer who asks."""
    code = aws_errors.code_of(error)
    return "Denied" in code or "Unauthorized" in code or code == "Forbidden" or aws_errors.status_of(error) == 403


def is_missing(error: Exception) -> bool:
    """Whether AWS answers that there is no such thing."""
    code = aws_errors.code_of(error)
    return aws_errors.status_of(error) == 404 or code.startswith(("NoSuch", "NotFound")) or code.endswith(".NotFound")
