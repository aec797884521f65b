"""How people and programs look inside: the local API on a UNIX socket, and the command line that speaks it.

`server` is the daemon's side; `cli`, `arguments`, `client` and the `render` modules are the client's and import
nothing but the standard library, so that a command answers at once on a Pi.
"""
