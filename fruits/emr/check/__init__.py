"""`fruits emr check`: what can be known before a cluster costs money, asked of AWS by read-only requests alone."""

from collections.abc import Callable, Iterator

from fruits.emr.aws import AwsError
from fruits.emr.check import account, network, permissions, places, stack
from fruits.emr.check.finding import Finding, Outcome, Subject, reading
from fruits.emr.settings import EmrSettings
from fruits.settings import Settings

Check = Callable[[Subject], Iterator[Finding]]

_OF_THE_ACCOUNT: tuple[Check, ...] = (account.region, account.release, account.linked_roles)
_OF_THE_MACHINES: tuple[Check, ...] = (account.quotas, network.offered)
_OF_THE_STACK: tuple[Check, ...] = (stack.current, stack.key, network.way_out)
_OF_THE_PLACES: tuple[Check, ...] = (places.reach, places.buckets, places.images, places.files, places.lake)
_OF_THE_ROLES: tuple[Check, ...] = (places.missing_keys, permissions.roles, permissions.caller)
_OF_THE_INDEX: tuple[Check, ...] = (network.index,)
_CHEAP: tuple[Check, ...] = (*_OF_THE_MACHINES, places.images, places.files)
"""A second or two, and what else shows after eight paid minutes."""


def check(emr: EmrSettings, settings: Settings | None, *, serverless: bool = False) -> list[Finding]:
    """All findings, in the order in which they are best put right. Nothing is made or changed.

    Args:
        emr: settings; what is null in them is taken from the stack's outputs.
        settings: of the run; without them places and their permissions are not checked.
        serverless: for EMR Serverless instead of a cluster.
    """
    subject = Subject(emr, settings, serverless)
    found = reading(account.credentials, subject)
    if any(one.outcome == Outcome.FAILURE for one in found):
        rest = Finding("everything else", Outcome.NOT_CHECKED, "AWS answers nothing without credentials.")
        return [*found, rest]
    deployed, subject = stack.completed_by(subject)
    found += deployed
    checks = (*_OF_THE_ACCOUNT, *_OF_THE_MACHINES, *_OF_THE_INDEX)
    if subject.is_complete:
        checks = (*_OF_THE_ACCOUNT, *_OF_THE_STACK, *_OF_THE_MACHINES, *_OF_THE_PLACES, *_OF_THE_ROLES, *_OF_THE_INDEX)
    for one in checks:
        found += reading(one, subject)
    return found


def check_before_launch(
    emr: EmrSettings, settings: Settings, say: Callable[[str], None], *, serverless: bool = False
) -> None:
    """The cheap part, before a run: refuse what is known to fail, and tell what may.

    What the credentials may not ask is passed over: a run needs less than the whole check does.

    Args:
        emr: completed settings.
        settings: of the run.
        say: told each warning.
        serverless: for EMR Serverless instead of a cluster.

    Raises:
        AwsError: a finding is a failure; the message holds all of them.
    """
    subject = Subject(emr, settings, serverless, is_complete=True)
    # Who asks, need not be told for a run: AWS has answered already, and STS may be out of reach.
    found = [one for one in reading(account.credentials, subject) if one.outcome == Outcome.WARNING]
    found += [finding for one in _CHEAP for finding in reading(one, subject)]
    for one in found:
        if one.outcome == Outcome.WARNING:
            say(f"{one.what}: {one.said} {one.advice}".rstrip())
    failures = [f"{one.what}: {one.said} {one.advice}".rstrip() for one in found if one.outcome == Outcome.FAILURE]
    if failures:
        raise AwsError("\n".join(["Nothing was launched, for the run would fail.", *failures]))


__all__ = ["Finding", "Outcome", "check", "check_before_launch"]
