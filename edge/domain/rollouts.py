"""A rollout of firmware: what a charger's words mean for it, whom to ask next, and when it is over.

From the moment a charger has been asked it may be flashing: it is not asked again until it has shown that it runs the
old firmware (a boot, and nothing after it) or that it never got the new one (DownloadFailed). Only a boot with another
version proves that it was installed; `Installed` alone does not, some say it before they restart (ocpp-rules.md H.3).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from enum import StrEnum

from edge.domain.station_jobs import Signed
from edge.jsontypes import JsonValue, Payload

MOST_CHARGERS = 10_000
MOST_REQUESTS = 2
"""To one charger: a spontaneous restart in the midst of a download is given a second chance (J.2, H.3)."""


class Step(StrEnum):
    WAITING = "waiting"
    ASKED = "asked"
    RESTARTED = "restarted"
    """In the midst of it, with the old firmware; or it only says so, as many do whenever they connect."""
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    INSTALLING = "installing"
    INSTALLED = "installed"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def is_under_way(self) -> bool:
        return self in _FORWARD

    @property
    def is_final(self) -> bool:
        return self in {Step.INSTALLED, Step.FAILED, Step.SKIPPED}


PATIENCE_MS = {
    Step.ASKED: 30 * 60_000,
    Step.RESTARTED: 5 * 60_000,
    Step.DOWNLOADING: 2 * 3_600_000,
    Step.DOWNLOADED: 60 * 60_000,
    Step.INSTALLING: 30 * 60_000,
}
"""Without a sign of life in a step, after which it counts as failed; one that has restarted is asked once more."""

LONGEST_DOWNLOAD_MS = 6 * 3_600_000
"""From the request on: so long a charger may take the file, whatever it says."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one charger is."""

    step: Step
    since_ms: int
    """When it last said something of it."""
    requests: int = 0
    version_before: str | None = None
    """When it was asked."""
    version: str | None = None
    """With which it booted afterwards."""
    why: str | None = None
    asked_ms: int = 0
    """When it was asked last."""


FETCHES = frozenset({Step.ASKED, Step.RESTARTED, Step.DOWNLOADING})
"""Steps in which it may be fetching the file."""
SIGN_EVERY_MS = 60_000
"""A download that goes on is noted so often."""
NO_DOWNLOAD = "it could not download the file"
_FORWARD = (Step.ASKED, Step.RESTARTED, Step.DOWNLOADING, Step.DOWNLOADED, Step.INSTALLING)
_OF_STATUS = {
    "DownloadScheduled": Step.ASKED,
    "Downloading": Step.DOWNLOADING,
    "DownloadPaused": Step.DOWNLOADING,
    "Downloaded": Step.DOWNLOADED,
    "SignatureVerified": Step.DOWNLOADED,
    "InstallScheduled": Step.DOWNLOADED,
    "Installing": Step.INSTALLING,
    "InstallRebooting": Step.INSTALLING,
    "Installed": Step.INSTALLING,
}
_FAILURES = {
    "InstallationFailed": "it could not install the file",
    "InstallVerificationFailed": "it could not verify what it had installed",
    "InvalidSignature": "it does not take the file's signature",
}


def after_status(progress: Progress, status: str, at_ms: int) -> Progress:
    """After a FirmwareStatus of 1.6 or of its security extension (ocpp-rules.md H.3).

    What comes late, or twice, changes nothing; that it is downloading is a sign of life. Else one that says for ever
    that it is installing would be waited for as long, and with it the rollout.
    """
    if not progress.step.is_under_way:
        return progress
    if status == "DownloadFailed":
        if progress.step is Step.INSTALLING:  # one of the two is not so: it may be flashing
            return _with(progress, Step.FAILED, at_ms, NO_DOWNLOAD)
        return _again(progress, NO_DOWNLOAD, at_ms)
    if status in _FAILURES:
        return _with(progress, Step.FAILED, at_ms, _FAILURES[status])
    step = _OF_STATUS.get(status)
    if step is None:
        return progress
    later = max(progress.step, step, key=_FORWARD.index)
    is_old = later is progress.step is not Step.DOWNLOADING
    return progress if is_old else _with(progress, later, at_ms)


def after_boot(progress: Progress, version: str | None, wanted: str | None, at_ms: int) -> Progress:
    """After a BootNotification with this version. `wanted`: the version that is to be; None: any other one."""
    if not progress.step.is_under_way or version is None:
        return progress
    before = progress.version_before
    if version == wanted or (wanted is None and before is not None and version != before):
        return _with(progress, Step.INSTALLED, at_ms, version=version)
    if version != before and before is not None:
        return _with(progress, Step.FAILED, at_ms, f"it runs {version} now, not {wanted}", version=version)
    if progress.step in {Step.ASKED, Step.DOWNLOADING} and before is not None:
        return _with(progress, Step.RESTARTED, at_ms, f"it restarted in the midst of it, with {version}")
    return progress  # some restart before they install; and nobody knows whether this is the old one


def after_taking(progress: Progress, at_ms: int, *, is_whole: bool, is_more: bool) -> Progress:
    """After a look at what the bridge has sent it: all of the file, or more than before.

    Who has all of it may be flashing, also when it says nothing, or comes back with a BootNotification.
    """
    if progress.step not in FETCHES:
        return progress
    if is_whole:
        return _with(progress, Step.DOWNLOADED, at_ms)
    is_noted = progress.step is Step.DOWNLOADING and at_ms - progress.since_ms < SIGN_EVERY_MS
    return _with(progress, Step.DOWNLOADING, at_ms) if is_more and not is_noted else progress


def after_look(progress: Progress, version: str | None, wanted: str | None, at_ms: int) -> Progress:
    """What becomes of one that waits for its turn, by the version that it runs now.

    Somebody else may have brought it the firmware, or it has finished what it had seemed to give up.
    """
    if progress.step is not Step.WAITING or version is None:
        return progress
    before = progress.version_before
    if version == wanted or (wanted is None and before is not None and version != before):
        return _with(progress, Step.INSTALLED, at_ms, version=version)
    return progress


def after_silence(progress: Progress, since_ms: int, now_ms: int, asked_ms: int) -> Progress:
    """What becomes of it when nothing was heard for long, or nothing new.

    `since_ms`: from when on its silence counts; `asked_ms`: from when on the time does that it has for the file.
    """
    if progress.step is Step.DOWNLOADING and now_ms - asked_ms >= LONGEST_DOWNLOAD_MS:
        hours = LONGEST_DOWNLOAD_MS // 3_600_000
        return _with(
            progress, Step.FAILED, now_ms, f"{progress.step} for {hours} hours, so long it could take the file"
        )
    patience_ms = PATIENCE_MS.get(progress.step)
    if patience_ms is None or now_ms - since_ms < patience_ms:
        return progress
    if progress.step is Step.RESTARTED:
        return _again(progress, progress.why or "", now_ms)
    minutes = patience_ms // 60_000
    why = f"{progress.step} for {minutes} minutes without a sign; it may still be at it"
    return _with(progress, Step.FAILED, now_ms, why)


def _again(progress: Progress, why: str, at_ms: int) -> Progress:
    step = Step.WAITING if progress.requests < MOST_REQUESTS else Step.FAILED
    return _with(progress, step, at_ms, why)


def _with(progress: Progress, step: Step, at_ms: int, why: str | None = None, version: str | None = None) -> Progress:
    return replace(progress, step=step, since_ms=at_ms, version=version or progress.version, why=why)


# --- whom to ask


@dataclass(frozen=True, slots=True)
class Window:
    """A time of day, in the site's time zone; it may reach over midnight."""

    begins: time
    ends: time

    def holds(self, local: datetime) -> bool:
        now = local.time().replace(tzinfo=None)
        if self.begins <= self.ends:
            return self.begins <= now < self.ends
        return now >= self.begins or now < self.ends


@dataclass(frozen=True, slots=True)
class Policy:
    """How a rollout goes about it."""

    canary: int = 1
    """So many chargers first; the others follow when these run the new firmware."""
    wave: int = 5
    """At most so many at a time, then."""
    stop_after: int = 1
    """Failed chargers, after which no more are asked."""
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a rollout is to bring about."""

    location: str
    """Where the file is fetched."""
    version: str | None = None
    """With which a charger proves that it has it; None: with any other than before."""
    sha256: str | None = None
    """Of the file, where it is known."""
    begins_ms: int | None = None
    """Before which no charger is asked; None: at once."""
    fetch_ms: int | None = None
    """Before which the file is not fetched, as it may not lie there yet; None: at once."""
    policy: Policy = Policy()
    signed: Signed | None = None
    """By whom, where the CSMS has said it: verified here, and by each charger that can."""
    request_id: int | None = None
    """Of the CSMS, where its request had one."""


def as_json(wish: Wish) -> Payload:
    policy, window = wish.policy, wish.policy.window
    return {
        "location": wish.location,
        "version": wish.version,
        "sha256": wish.sha256,
        "begins_ms": wish.begins_ms,
        "fetch_ms": wish.fetch_ms,
        "canary": policy.canary,
        "wave": policy.wave,
        "stop_after": policy.stop_after,
        "window": None if window is None else f"{window.begins:%H:%M}-{window.ends:%H:%M}",
        "certificate": None if wish.signed is None else wish.signed.certificate,
        "signature": None if wish.signed is None else wish.signed.signature,
        "request_id": wish.request_id,
    }


def from_json(found: Payload) -> Wish:
    """What `as_json` wrote, or a person asked for. Raises ValueError with what is wrong."""
    numbers = {}
    for name, least, default in (("canary", 0, 1), ("wave", 1, 5), ("stop_after", 1, 1)):
        value = found.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST_CHARGERS:
            raise ValueError(f"{name} must be a number of chargers from {least} on, not {value!r}")
        numbers[name] = value
    texts = {name: found.get(name) for name in _TEXTS}
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise ValueError(f"{name} must be a text, not {text!r}")
    location, window = texts["location"], texts["window"]
    if location is None:  # one without a character the CSMS may have sent: that is for the bridge to refuse
        raise ValueError("location is missing")
    if texts["sha256"] is not None and not re.fullmatch("[0-9a-fA-F]{64}", str(texts["sha256"])):
        raise ValueError(f"{texts['sha256']!r} is no SHA-256: that has 64 hexadecimal digits")
    policy = Policy(**numbers, window=None if window is None else parsed_window(str(window)))
    certificate, signature = texts["certificate"], texts["signature"]
    signed = None if certificate is None or signature is None else Signed(str(certificate), str(signature))
    return Wish(
        str(location),
        _text(texts["version"]),
        _text(texts["sha256"]),
        _integer(found.get("begins_ms")),
        _integer(found.get("fetch_ms")),
        policy,
        signed,
        _integer(found.get("request_id")),
    )


_TEXTS = ("location", "version", "sha256", "window", "certificate", "signature")


def _integer(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: JsonValue) -> str | None:
    return None if value is None else str(value)


def parsed_window(written: str) -> Window:
    """`01:00-04:00`. Raises ValueError."""
    found = re.fullmatch(r"(\d\d:\d\d)-(\d\d:\d\d)", written, re.ASCII)
    try:
        window = None if found is None else Window(time.fromisoformat(found[1]), time.fromisoformat(found[2]))
    except ValueError:
        window = None
    if window is None or window.begins == window.ends:
        raise ValueError(f"{written!r} is no window such as 01:00-04:00")
    return window


@dataclass(frozen=True, slots=True)
class Member:
    """A charger of a rollout as it is now, in the order in which they are asked."""

    charger: str
    step: Step
    is_online: bool
    is_idle: bool
    """No session is open on any of its connectors, and no other firmware is under way to it."""


def next_to_ask(members: Sequence[Member], policy: Policy, local: datetime) -> list[str]:
    """Who may be asked now; `local`: the site's time."""
    if has_stopped(members, policy) or (policy.window is not None and not policy.window.holds(local)):
        return []
    proven = sum(one.step is Step.INSTALLED for one in members)
    under_way = sum(one.step.is_under_way for one in members)
    most = policy.wave if proven >= policy.canary else min(policy.canary - proven, policy.wave)
    ready = [one.charger for one in members if one.step is Step.WAITING and one.is_online and one.is_idle]
    return ready[: max(0, most - under_way)]


def has_stopped(members: Sequence[Member], policy: Policy) -> bool:
    """Too many have failed: nobody else is asked."""
    return sum(one.step is Step.FAILED for one in members) >= policy.stop_after


def is_over(members: Sequence[Member], policy: Policy) -> bool:
    """Nobody is at it, and nobody will be asked."""
    if any(one.step.is_under_way for one in members):
        return False
    return has_stopped(members, policy) or not any(one.step is Step.WAITING for one in members)


def combined(steps: Sequence[Step]) -> Step:
    """One for all (ocpp-rules.md H.4): the least advanced while it goes on; in the end, failed if one has.

    Who was skipped is not counted, but where nobody installed it, nobody has it.
    """
    at_it = [one for one in steps if not one.is_final]
    if at_it:
        order = (Step.WAITING, *_FORWARD)
        return min(at_it, key=order.index)
    return Step.FAILED if Step.FAILED in steps or Step.INSTALLED not in steps else Step.INSTALLED
