"""Gray JPEGs of codes that no encoder chooses: any tables, and whatever they can say."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from support.damaged_jpegs import segment

BLOCK, LONGEST, END, ZEROS = 64, 16, 0x00, 0xF0
# A code's symbol, and the bits of the number behind it.
Code = tuple[int, str]


class Table(NamedTuple):
    """A Huffman table: symbols from short codes to long ones, and how many there are of each length."""

    symbols: list[int]
    counts: list[int]

    def codes(self) -> dict[int, str]:
        """The code of each symbol."""
        code, found, left = 0, dict[int, str](), iter(self.symbols)
        for length, count in enumerate(self.counts, 1):
            for _, symbol in zip(range(count), left, strict=False):
                found[symbol], code = f"{code:0{length}b}", code + 1
            code <<= 1
        return found

    def segment(self, kind: int) -> bytes:
        """As a header has it: of first coefficients (0) or of the others (1)."""
        return segment(0xC4, bytes([kind << 4, *self.counts, *self.symbols]))


def random_table(symbols: Sequence[int], deep: float, random: Random) -> Table:
    """A table of all symbols, with a code of ones alone left free; at a share of `deep`, a long code becomes two."""
    lengths = [1, 1]
    while len(lengths) <= len(symbols):
        short = [number for number, length in enumerate(lengths) if length < LONGEST]
        number = max(short, key=lengths.__getitem__) if random.random() < deep else random.choice(short)
        lengths[number] += 1
        lengths.append(lengths[number])
    lengths = sorted(lengths)[:-1]
    return Table(random.sample(symbols, len(symbols)), [lengths.count(length) for length in range(1, LONGEST + 1)])


def number_of(bits: int, random: Random) -> str:
    """Any number of so many bits."""
    return f"{random.getrandbits(bits):0{bits}b}" if bits > 0 else ""


def random_block(symbols: Sequence[int], random: Random) -> list[Code]:
    """Codes of the coefficients behind the first one: a sound block. Half of them have no end where they can."""
    at, codes, full = 1, list[Code](), random.random() < 0.5
    while at < BLOCK:
        for symbol in random.choices(symbols, k=8):
            is_end = symbol & 15 == 0 and symbol != ZEROS
            if not full if is_end else at + (symbol >> 4) < BLOCK:
                break
        else:
            symbol, is_end = END, True
        codes.append((symbol, number_of(symbol & 15, random)))
        at = BLOCK if is_end else at + (symbol >> 4) + 1
    return codes


def gray_jpeg(
    across: int, down: int, tables: tuple[Table, Table], blocks: Sequence[Sequence[Code]], rest: str = ""
) -> bytes:
    """Blocks of 8x8 pixels, each of the code of its first coefficient, then of those of the others; then `rest`."""
    first, others = (table.codes() for table in tables)
    bits = "".join(
        (first if number == 0 else others)[symbol] + value
        for block in blocks for number, (symbol, value) in enumerate(block)
    ) + rest  # fmt: skip
    bits += "1" * (-len(bits) % 8)
    codes = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    sides = b"".join((8 * blocks).to_bytes(2, "big") for blocks in (down, across))
    return b"".join([
        b"\xff\xd8", segment(0xDB, b"\0" + bytes([1] * BLOCK)), segment(0xC0, b"\x08" + sides + b"\x01\x01\x11\0"),
        *(table.segment(kind) for kind, table in enumerate(tables)),
        segment(0xDA, b"\x01\x01\0\0\x3f\0"), codes, b"\xff\xd9",
    ])  # fmt: skip
