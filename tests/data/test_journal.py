"""The journal of an unfinished FFCV file, when it is read again."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

from resnet_exp.data.ffcv.journal import Journal
from resnet_exp.data.ffcv.layout import page_bytes
from resnet_exp.data.ffcv.page_worker import Page, Row
from resnet_exp.data.images.image_tree import ImageFile

CONTENT = {"write_mode": "raw", "max_resolution": 500, "compress_probability": 0.5, "jpeg_quality": 90}


def test_checking_counts_to_the_number_of_pages_though_some_are_dropped(tmp_path: Path) -> None:
    unfinished = tmp_path / "train.ffcv.partial"
    found = [ImageFile(f"one/{number}.jpg", 0, 9, 9) for number in range(4)]
    journal = Journal(unfinished, found, CONTENT, page_bytes(500))
    journal.open()
    page = journal.layout.page_bytes
    with unfinished.open("r+b") as file:
        file.truncate(journal.layout.pages_at + len(found) * page)
    for number in range(len(found)):
        good = crc32(bytes(page)) if number % 2 else 1
        journal.add(Page(number, good, [Row(number, 1, 1, 1, 0, 3)]))
    journal.close()

    again, told = Journal(unfinished, found, CONTENT, page_bytes(500)), list[tuple[int, int]]()
    again.check(lambda looked, of: told.append((looked, of)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(again.pages) == [1, 3]


def test_a_journal_on_the_disk_is_read_and_written_again_to_the_byte(tmp_path: Path) -> None:
    unfinished = tmp_path / "train.ffcv.partial"
    unfinished.touch()
    found = [ImageFile(f"one/{number}.jpg", 0, 9, 9) for number in range(2)]
    page = page_bytes(500)
    rows = [[source.key, 1, 500, 375, 0, 562500] for source in found]
    head = {"schema": 1, "layout": {"page_bytes": page, "pages_at": page, "settings": CONTENT}}
    text = "".join(json.dumps(line) + "\n" for line in (head, {"number": 3, "checksum": 7, "rows": rows}))
    written = tmp_path / "train.ffcv.partial.journal"
    others = [{"number": 4}, [], *({"number": 4, "checksum": 7, "rows": rows} for rows in (7, [7], [[]], [[[]] * 6]))]
    key = found[0].key
    others += [{"number": 4, "checksum": 7, "rows": [[key, *row]]} for row in ([1], "aaaaa", [1, 2**16, 1, 0, 1])]
    others += [{"number": number, "checksum": 7, "rows": rows} for number in (-1, 2**70)]
    for last in ("", '{"number":', *(json.dumps(line) + "\n" for line in others)):
        written.write_text(text + last)
        journal = Journal(unfinished, found, CONTENT, page_bytes(500))
        journal.open()
        journal.close()
        assert written.read_text() == text
        assert journal.pages == {3: Page(3, 7, [Row(number, 1, 500, 375, 0, 562500) for number in (0, 1)])}
