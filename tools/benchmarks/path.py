"""P2, P3: the whole path of a message at 100 chargers, stored before it is answered, beside what does not store it.

Each charger says its next MeterValues as soon as the last one was answered. The servers, the load and the cloud are
processes of their own; on a machine of two cores the rates depend on what else runs, so the processor time of the
server process for a message is what counts most.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks import peers, rounds
from benchmarks.findings import Findings, Shown, at_least, at_most
from benchmarks.processes import BenchFailed, Child, party
from benchmarks.running import Run
from benchmarks.site import Site


@dataclass(slots=True)
class Contender:
    """A server under load, and what was measured of it, one value a round."""

    name: str
    child: Child
    url: str
    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def round(self, load: Child, seconds: float) -> None:
        """One round of load, kept."""
        before = self.child.cpu()
        told = load.ask("closed", group=self.name, seconds=seconds)
        self.cpu.append((self.child.cpu() - before) / told["messages"])
        self.rate.append(told["messages"] / told["seconds"])
        self.p50.append(told["p50"])
        self.p99.append(told["p99"])

    def forget(self) -> None:
        for values in (self.cpu, self.rate, self.p50, self.p99):
            values.clear()


def measure(run: Run) -> Findings:
    chargers, seconds = run.sized(10, 100), run.sized(1, 3)
    found = Findings()
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(party("load", run.folder))
        contenders = [stack.enter_context(contender) for contender in _ours_and_stock(run, chargers)]
        contenders += _packaged(run, stack, found)
        for one in contenders:
            run.tell(f"{chargers} chargers connect to {one.name}")
            load.ask("open", group=one.name, url=one.url, count=chargers)
            one.round(load, seconds)
            one.forget()
        for _ in rounds.counted(run.rounds, run.on_round):
            for one in contenders:
                one.round(load, seconds)
    _judge(found, contenders[0], contenders[1])
    for one in contenders:
        found.figure(f"{one.name}: CPU", [1e6 * value for value in one.cpu], "us a message")
        found.figure(f"{one.name}: answers", one.rate, "a second")
        found.figure(f"{one.name}: p50", [1e3 * value for value in one.p50], "ms")
        found.figure(f"{one.name}: p99", [1e3 * value for value in one.p99], "ms")
    return found


def _judge(found: Findings, ours: Contender, stock: Contender) -> None:
    found.goal("P2", "durable path, CPU a message, 100 chargers, to ocpp without a store",
               at_most(1 / 6, Shown.FRACTION), rounds.ratio(ours.cpu, stock.cpu))  # fmt: skip
    found.goal("P3", "answers a second, the same", at_least(6.0), rounds.ratio(ours.rate, stock.rate))
    found.goal("P3", "p99 of an answer, the same", at_most(1 / 4, Shown.FRACTION), rounds.ratio(ours.p99, stock.p99))


def _ours_and_stock(run: Run, chargers: int) -> Iterator[contextlib.AbstractContextManager[Contender]]:
    @contextlib.contextmanager
    def edge() -> Iterator[Contender]:
        with Site(run.folder / "path", chargers).running() as site:
            assert site.child is not None
            yield Contender("edge, durable", site.child, site.url)

    @contextlib.contextmanager
    def stock() -> Iterator[Contender]:
        with party("stock", run.folder) as child:
            yield Contender("ocpp + websockets", child, f"ws://127.0.0.1:{child.ask('port')['port']}")

    yield edge()
    yield stock()


def _packaged(run: Run, stack: contextlib.ExitStack, found: Findings) -> list[Contender]:
    """The packages, as far as they can be had."""
    try:
        interpreter = peers.python(run.tell)
        child, url = stack.enter_context(peers.csms_package(interpreter, run.folder))
        contenders = [Contender("ocpp-csms", child, url)]
        cloud = stack.enter_context(party("cloud", run.folder))
        cloud.ask("flow")
        backend = f"ws://127.0.0.1:{cloud.ask('port')['port']}"
        for name, upstream in (("ocpp-broker, relay", backend), ("ocpp-broker, backend", None)):
            child, url = stack.enter_context(peers.broker_package(interpreter, run.folder, upstream))
            contenders.append(Contender(name, child, url))
    except (peers.PeersMissing, BenchFailed) as error:
        found.remarks.append(f"ocpp-csms and ocpp-broker: not available here ({error})")
        return []
    found.remarks += [
        "ocpp-csms checks and answers; it stores nothing and has no cloud.",
        "ocpp-broker as a relay checks nothing, stores nothing and needs a connection upstream for each charger.",
        "Its answers are then the cloud's: without the cloud there are none.",
        "ocpp-broker as a backend checks and answers; it stores nothing.",
    ]
    return contenders
