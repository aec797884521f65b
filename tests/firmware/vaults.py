"""Servers on the internet that speak SFTP: all on loopback."""

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

USER, PASSWORD = "vendor", "geheim-é"
LOGIN = "vendor:geheim-%C3%A9@"


@dataclass
class Vault:
    """An SFTP server with the files of a folder: AsyncSSH's."""

    folder: Path
    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    at_offset: dict[int, str] = field(default_factory=dict)
    """What happens once, when that offset or one behind it is read or written: break, change, stop."""
    reads: list[int] = field(default_factory=list)
    """Offsets."""
    logins: list[str] = field(default_factory=list)
    port: int = 0

    def url(self, name: str, login: str = LOGIN, host: str = "127.0.0.1") -> str:
        return f"sftp://{login}{host}:{self.port}/{name}"

    def known(self, folder: Path, *, host: str | None = None, key: asyncssh.SSHKey | None = None) -> Path:
        """A file of host keys."""
        written = (key or self.key).export_public_key("openssh").decode()
        (folder / "known_hosts").write_text(f"# ours\n{host or f'[127.0.0.1]:{self.port}'} {written}\n")
        return folder / "known_hosts"

    @contextlib.asynccontextmanager
    async def running(self):
        vault = self

        class Doorkeeper(asyncssh.SSHServer):
            def begin_auth(self, username):
                vault.logins.append(username)
                return True

            def password_auth_supported(self):
                return True

            def validate_password(self, username, password):
                return (username, password) == (USER, PASSWORD)

        class Shelves(asyncssh.SFTPServer):
            def __init__(self, channel):
                super().__init__(channel, chroot=os.fsencode(vault.folder))

            async def read(self, file_obj, offset, size):
                vault.reads.append(offset)
                await self._come_to(offset)
                return super().read(file_obj, offset, size)

            async def write(self, file_obj, offset, data):
                await self._come_to(offset)
                return super().write(file_obj, offset, data)

            async def _come_to(self, offset):
                for due in [one for one in vault.at_offset if one <= offset]:
                    match vault.at_offset.pop(due):
                        case "break":
                            self.connection.abort()
                        case "change":
                            os.utime(vault.folder / "a.bin", (1, 1))
                        case "stop":
                            await self.connection.wait_closed()

        server = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[self.key], server_factory=Doorkeeper, sftp_factory=Shelves
        )
        self.port = server.get_port()
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()
