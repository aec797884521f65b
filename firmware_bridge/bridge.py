"""Joins the parts of the bridge and lets them run: the only module that knows all of them."""

import asyncio
import getpass
import importlib.util
from collections.abc import Mapping
from datetime import timedelta

import structlog

from firmware_bridge import ftp_source, ftp_target, http_source, http_target, reach, sftp_source, sftp_target
from firmware_bridge.answers import Requests
from firmware_bridge.config import Settings
from firmware_bridge.disk import on_disk, utc_now
from firmware_bridge.fetching import Caps, Fetches
from firmware_bridge.files import Files
from firmware_bridge.forwarding import Forwards
from firmware_bridge.holdings import Holdings
from firmware_bridge.lan_ftp import LanFtp
from firmware_bridge.lan_http import LanHttp
from firmware_bridge.reach import Open, Reach, Send
from firmware_bridge.server import Server
from firmware_bridge.signatures import Trust
from firmware_bridge.tickets import Doors, Tickets
from firmware_bridge.transfers import Transfers
from firmware_bridge.uploads import Uploads

LONGEST_FETCH = timedelta(hours=24)
LONGEST_FORWARD = timedelta(hours=72)
TIDY_EVERY = 600.0
DAEMON = "edge"
"""The user that the daemon runs as."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Bridge:
    """The bridge. Raises ValueError where the configuration leads to nothing usable."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tickets = Tickets(settings.path / "tickets")
        self._transfers = Transfers()
        self._files = Files(settings.path / "files", settings.max_size_mb * 2**20, self._in_use)
        trusted = Trust(settings.manufacturers_file)
        outside = Reach(settings.allowed, reach.tls(settings.ca_file), settings.known_hosts_file)
        self._fetches = Fetches(
            settings.path / "fetches",
            self._files,
            outside,
            trusted,
            Caps(settings.max_file_mb * 2**20, LONGEST_FETCH),
            protocols(),
        )
        self._uploads = Uploads(settings.path / "uploads", settings.uploads_max_mb * 2**20)
        self._forwards = Forwards(settings.path / "forwards", self._uploads, outside, LONGEST_FORWARD, targets())
        holdings = Holdings(self._tickets, self._files, self._transfers, self._uploads)
        self.http = LanHttp(*settings.http_host_and_port, holdings)
        ftp = settings.ftp_host_and_port
        self.ftp = None if ftp is None else LanFtp(*ftp, settings.data_ports, holdings)
        own, quota_mb = settings.address or None, settings.upload_max_mb
        requests = Requests(holdings, self._fetches, self._forwards, self._doors, own, quota_mb)
        self.server = Server(settings.socket, requests, {DAEMON, "root", getpass.getuser()})

    def _in_use(self) -> set[str]:
        return self._tickets.in_use() | self._fetches.in_use()

    def _doors(self) -> Doors:
        return Doors(self.http.port, None if self.ftp is None else self.ftp.port)

    async def run(self) -> None:
        """Until cancelled."""
        await on_disk(self._open)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.http.run())
            await self.http.listening.wait()
            if self.ftp is not None:
                tasks.create_task(self.ftp.run())
                await self.ftp.listening.wait()
            for service in (self._fetches.run, self._forwards.run, self._tidy, self.server.run):
                tasks.create_task(service())

    def _open(self) -> None:
        self._settings.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tickets.open()
        self._files.open()
        self._fetches.open()
        self._uploads.open()
        self._forwards.open()

    async def _tidy(self) -> None:
        keep_for = timedelta(days=self._settings.retention_days)
        while True:
            try:
                self._tickets.expire()
                self._files.expire(utc_now(), keep_for)
                self._uploads.expire(utc_now(), keep_for, self._forwards.in_use())
            except OSError as error:  # a disk that can only be read still serves
                log.warning("not_tidied", why=error.strerror)
            await asyncio.sleep(TIDY_EVERY)


def protocols() -> Mapping[str, Open]:
    """How each scheme is read; SFTP only where the extra that it needs is installed."""
    found: dict[str, Open] = {
        "http": http_source.opened,
        "https": http_source.opened,
        "ftp": ftp_source.opened,
        "ftps": ftp_source.opened,
    }
    if importlib.util.find_spec("asyncssh") is not None:
        found["sftp"] = sftp_source.opened
    return found


def targets() -> Mapping[str, Send]:
    """How each scheme is written."""
    found: dict[str, Send] = {
        "http": http_target.send,
        "https": http_target.send,
        "ftp": ftp_target.send,
        "ftps": ftp_target.send,
    }
    if importlib.util.find_spec("asyncssh") is not None:
        found["sftp"] = sftp_target.send
    return found
