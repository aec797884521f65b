"""Which certificates, ours and the CSMS's, will soon be out of date: the alarm `certificate_expires`."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from edge.domain.ports import Clock
from edge.tls.judgement import EXPIRES_SOON, date_words
from edge.tls.x509 import Certificate

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that somebody shows to somebody."""

    by: str
    """`listener 0.0.0.0:8443`, `uplink` (ours towards the CSMS), `CSMS`."""
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Expiring:
    by: str
    since: datetime
    """When its last 30 days began."""
    message: str


class CertificateWatch:
    """Looks at the certificates that are in use at the moment of the question."""

    def __init__(self, clock: Clock, in_use: Callable[[], Sequence[Shown]]) -> None:
        self._clock = clock
        self._in_use = in_use
        self._log = structlog.get_logger("edge.tls")

    def expiring(self) -> list[Expiring]:
        now = self._clock.utc_now()
        return [
            Expiring(one.by, one.certificate.not_after - EXPIRES_SOON, date_words(one.certificate, now) or "")
            for one in self._in_use()
            if now > one.certificate.not_after - EXPIRES_SOON
        ]

    async def run(self) -> None:
        """Tell the log at the start and once a day."""
        while True:
            for one in self.expiring():
                self._log.error("certificate_expires", shown_by=one.by, what=one.message)
            await asyncio.sleep(DAY)
