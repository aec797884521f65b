"""What happened, on disk. The only package with SQL; its functions take a connection and are called in units."""

from sqlite3 import Connection, DatabaseError

__all__ = ["Connection", "DatabaseError"]
