"""The files that the configuration names: where they are, and what the secret ones hold.

Relative names count from the folder of the configuration file. A bare name that systemd has put into
`$CREDENTIALS_DIRECTORY` is taken from there first: the original may be readable by root only.
"""

import stat
from dataclasses import dataclass
from pathlib import Path

from edge.config.problems import Unexpected
from edge.config.rules import quoted, shown

_CREDENTIALS = "$CREDENTIALS_DIRECTORY/"
_LARGEST = 1024
"""Bytes of a password file; more is the wrong file (2.1: BasicAuthPassword has at most 64 characters)."""


@dataclass(frozen=True, slots=True)
class Files:
    folder: Path
    """Absolute."""
    credentials: Path | None

    def locate(self, name: object) -> Path:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise Unexpected(f"got {shown(name)}")
        if name.startswith(_CREDENTIALS):
            if self.credentials is None:
                raise Unexpected(f"$CREDENTIALS_DIRECTORY is not set, which {quoted(name)} needs")
            return self.credentials / name.removeprefix(_CREDENTIALS)
        if self.credentials is not None and "/" not in name:
            try:
                if (self.credentials / name).is_file():
                    return self.credentials / name
            except OSError:  # not readable, or the name is too long: the folder's file decides
                pass
        return self.folder / name

    def secret(self, name: object) -> bytes:
        """The content without the line end after it. Octets, never decoded (1.6J §6.2.2)."""
        path, name = self.locate(name), quoted(str(name))
        try:
            mode = path.stat().st_mode
            # Looked at before it is opened: a pipe would wait for ever, /dev/zero never ends.
            if not stat.S_ISREG(mode):
                raise Unexpected(f"{name} is not a file")
            with path.open("rb") as file:
                content = file.read(_LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise Unexpected(f"no such file {name}") from None
        except (OSError, ValueError) as failed:
            raise Unexpected(f"cannot read {name} ({_reason(failed)})") from None
        if len(content) > _LARGEST:
            raise Unexpected(f"{name} has more than {_LARGEST} bytes")
        password = content.removesuffix(b"\r\n" if content.endswith(b"\r\n") else b"\n")
        if not password:
            raise Unexpected(f"{name} is empty")
        return password

    def remarks(self, name: object) -> tuple[str, ...]:
        """What is questionable about a password file that `secret` has read."""
        remarks = []
        try:
            length = len(self.secret(name))
            mode = self.locate(name).stat().st_mode
        except (Unexpected, OSError):
            return ()
        if length < 16:
            remarks.append(f"the password has {length} bytes, expected 16 to 20 (1.6 security whitepaper A00.FR.205)")
        if mode & stat.S_IROTH:
            remarks.append("every user can read the file, expected mode 0640 or stricter (chmod o-r)")
        return tuple(remarks)


def _reason(failed: Exception) -> str:
    return failed.strerror if isinstance(failed, OSError) and failed.strerror else str(failed)
