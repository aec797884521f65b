"""P12: whether our schema check says of a payload what `ocpp` says: yes, or no with the same code and the same reason.

Where `ocpp` itself breaks down (a number so large that its arithmetic gives up) there is nothing to compare: that is
counted by itself.
"""

import copy
import decimal
import json

from jsonschema.exceptions import ValidationError
from ocpp.exceptions import OCPPError
from ocpp.messages import Call, CallResult, _validate_payload

from benchmarks import corpus
from benchmarks.findings import Findings, Shown, at_most
from benchmarks.rounds import Spread
from benchmarks.running import Run
from edge.ocppj.actions import UNCONFIRMED, error_code
from edge.ocppj.schemas import check_request, check_response

WHOLE = 179_000
SHOWN = 3
Verdict = tuple[str, str, tuple[str | int, ...]] | None
"""None: valid. Else code, keyword and path of the first violation."""


class StockBroke(Exception):
    """`ocpp` gave no verdict."""


def measure(run: Run) -> Findings:
    found = Findings()
    every = [(version, name) for version in corpus.FOLDERS for name in corpus.names(version)]
    each = WHOLE // len(every) + 1 if run.is_whole_corpus else run.sized(4, 60)
    different: list[str] = []
    seen = refused = broke = 0
    for number, (version, name) in enumerate(every, 1):
        run.tell(f"schema {number} of {len(every)}")
        for payload in corpus.payloads(version, name, each):
            seen += 1
            try:
                expected = _of_stock(version, name, payload)
            except StockBroke:
                broke += 1
                continue
            refused += expected is not None
            ours = _of_ours(version, name, payload)
            if ours != expected:
                different.append(f"{version} {name}: {ours} instead of {expected} for {json.dumps(payload)[:200]}")
    found.goal("P12", f"verdicts that differ from ocpp's, of {seen:,}",
               at_most(0, Shown.COUNT), Spread.of([len(different)]))  # fmt: skip
    found.figure("payloads", [seen], f"for {len(every)} schemas")
    found.figure("of them refused by ocpp", [refused], "")
    found.figure("without a verdict: ocpp broke down", [broke], "")
    found.remarks += different[:SHOWN]
    return found


def _of_stock(version: str, name: str, payload: dict) -> Verdict:
    if name.endswith("Response"):
        message = CallResult("1", copy.deepcopy(payload), name.removesuffix("Response"))
    else:
        message = Call("1", _action(version, name), copy.deepcopy(payload))
    try:
        _validate_payload(message, version)
    except OCPPError as refusal:
        error = refusal.__context__
        if not isinstance(error, ValidationError):
            raise StockBroke from refusal
        # `ocpp` says FormatViolation in 1.6 too, where its name is FormationViolation.
        return error_code("1.6", refusal.code), str(error.validator), tuple(error.absolute_path)
    except (decimal.DecimalException, OverflowError, ValueError) as error:
        raise StockBroke from error
    return None


def _of_ours(version: str, name: str, payload: dict) -> Verdict:
    check = check_response if name.endswith("Response") else check_request
    violations = check(version, _action(version, name), payload)
    if not violations:
        return None
    first = violations[0]
    names_a_member = first.keyword in ("required", "additionalProperties")
    return first.code, first.keyword, first.path[:-1] if names_a_member else first.path


def _action(version: str, name: str) -> str:
    if name.endswith("Response"):
        return name.removesuffix("Response")
    return name if version == "1.6" or name in UNCONFIRMED else name.removesuffix("Request")
