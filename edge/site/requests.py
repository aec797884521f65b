"""What is asked for at once. Pure; in: a profile, out: its blocks, one request each.

No block reads a value in part, asks for more than the meter allows or, where that can be had, is as long as another
one of the same function code: an RTU answer names neither its question nor its address, only its length, so a late
answer to one block could otherwise be taken for another one's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import TypeAlias

from edge.site.registers import Align, Block, Group, MeterProfile, Value
from edge.site.rtu import BITS_PER_BYTE, answer_length, request_length

Plan: TypeAlias = Mapping[Group, tuple[Block, ...]]


def plan(profile: MeterProfile, baudrate: int | None = None) -> Plan:
    """Each value once, in as few requests as are worth it.

    Without a baud rate it is a network, where a request costs more than the registers of any gap; on a serial line a
    gap is read through as long as its bytes take less time than another request.
    """
    widest = None if baudrate is None else _widest_gap(profile, baudrate)
    return _told_apart(profile, {group: tuple(_merged(profile, group, widest)) for group in Group})


def _widest_gap(profile: MeterProfile, baudrate: int) -> int:
    """Registers that are read as fast as a request of their own is made."""
    byte_s = BITS_PER_BYTE / baudrate
    request_s = profile.turnaround_s + profile.min_gap_s + (request_length() + answer_length(0)) * byte_s
    return int(request_s / (2 * byte_s))


def _merged(profile: MeterProfile, group: Group, widest_gap: int | None) -> Iterator[Block]:
    wanted = sorted(
        (value for value in profile.values if value.group is group),
        key=lambda value: (value.function_code, value.address),
    )
    run: list[Value] = []
    for value in wanted:
        if run and not _fits(profile, run, value, widest_gap):
            yield _block(run)
            run = []
        run.append(value)
    if run:
        yield _block(run)


def _fits(profile: MeterProfile, run: Sequence[Value], value: Value, widest_gap: int | None) -> bool:
    last = run[-1]
    gap = value.address - last.end
    return (
        value.function_code == last.function_code
        and value.end - run[0].address <= profile.max_read
        and (gap == 0 or (profile.gap_allowed and (widest_gap is None or gap <= widest_gap)))
    )


def _block(run: Sequence[Value]) -> Block:
    return Block(run[0].function_code, run[0].address, run[-1].end - run[0].address, tuple(run))


def _told_apart(profile: MeterProfile, blocks: Plan) -> Plan:
    """Blocks that are as long as another one are lengthened, if the meter lets itself be asked for more."""
    taken: set[tuple[int, int]] = set()
    told: dict[Block, Block] = {}
    # long ones first: they have the least room
    for block in sorted(chain.from_iterable(blocks.values()), key=lambda each: (-each.count, each.address)):
        choice = _lengthened(profile, block)
        told[block] = next((one for one in choice if (one.function_code, one.count) not in taken), block)
        taken.add((block.function_code, told[block].count))
    return {group: tuple(told[block] for block in of_group) for group, of_group in blocks.items()}


def _lengthened(profile: MeterProfile, block: Block) -> Iterator[Block]:
    """The block itself, then longer ones around it, the shortest first."""
    yield block
    step = 2 if profile.align is Align.PAIR else 1
    for more in range(step, profile.max_read - block.count + 1, step):
        for longer in (replace(block, count=block.count + more), _before(block, more)):
            if _may_be_asked(profile, longer):
                yield longer


def _before(block: Block, more: int) -> Block:
    return replace(block, address=block.address - more, count=block.count + more)


def _may_be_asked(profile: MeterProfile, block: Block) -> bool:
    """Whether registers that the profile does not name may be asked for, too."""
    listed = [value for value in profile.values if value.function_code == block.function_code]
    begin, end = block.address, block.address + block.count
    if begin < min(value.address for value in listed) or end > max(value.end for value in listed):
        return False  # beyond what is known to be there
    if any(value.address < border < value.end for value in listed for border in (begin, end)):
        return False
    if profile.align is Align.VALUE and not _is_from_value_to_value(listed, begin, end):
        return False
    return profile.gap_allowed or sum(value.type.words for value in _inside(listed, begin, end)) == block.count


def _is_from_value_to_value(values: Sequence[Value], begin: int, end: int) -> bool:
    return any(value.address == begin for value in values) and any(value.end == end for value in values)


def _inside(values: Iterable[Value], begin: int, end: int) -> Iterator[Value]:
    return (value for value in values if begin <= value.address and value.end <= end)


def narrower(block: Block) -> tuple[Block, ...]:
    """What to ask instead of a block that the meter refuses, for it touches registers that it does not have.

    First without what the block was lengthened by, then in two without its largest gap. The block itself: nothing.
    """
    bare = _block(block.values)
    if bare != block:
        return (bare,)
    gaps = [after.address - before.end for before, after in pairwise(block.values)]
    if not gaps or max(gaps) == 0:
        return (block,)
    cut = gaps.index(max(gaps)) + 1
    return _block(block.values[:cut]), _block(block.values[cut:])


def halves(block: Block) -> tuple[Block, ...]:
    """What to ask instead of a block that is too long for the meter. The block itself: it has one value only."""
    parts = narrower(block)
    if len(parts) > 1 or parts[0] != block or len(block.values) == 1:
        return parts
    middle = len(block.values) // 2
    return _block(block.values[:middle]), _block(block.values[middle:])


def each_alone(block: Block) -> tuple[Block, ...]:
    return tuple(_block([value]) for value in block.values)
