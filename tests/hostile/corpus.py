"""Some hundred files that nobody should have to import, made on the spot and the same each time."""

from __future__ import annotations

import io
import json
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from PIL import Image

from tests.modalities.images import image_bytes, png_claiming

KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (24, 16), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 90).convert(mode).save(out, kind, **options)
    return out.getvalue()


def images() -> Iterator[tuple[str, bytes]]:
    """Pictures cut, flipped, glued and renamed."""
    rng = random.Random(7)
    for kind in KINDS:
        whole = picture(kind)
        ending = kind.lower()
        yield f"whole.{ending}", whole
        for n in range(8):
            yield f"cut-{kind}-{n}.{ending}", whole[: rng.randrange(1, len(whole))]
        for n in range(14):
            flipped = bytearray(whole)
            # Headers are where decoders believe what they read.
            for _ in range(rng.randrange(1, 6)):
                flipped[rng.randrange(min(len(whole), 80 if n % 2 else len(whole)))] = rng.randrange(256)
            yield f"flipped-{kind}-{n}.{ending}", bytes(flipped)
        for n, junk in enumerate(
            (b"\0" * 3_000, b"PK\x03\x04" + b"x" * 99, b"<script>alert(1)</script>", whole)
        ):
            yield f"behind-{kind}-{n}.{ending}", whole + junk
            yield f"before-{kind}-{n}.{ending}", junk[:50] + whole
        yield f"doubled-{kind}.{ending}", whole[: len(whole) // 2] * 2
        yield f"{kind}-of-another.{KINDS[(KINDS.index(kind) + 1) % len(KINDS)].lower()}", whole
    yield from bombs()
    yield "empty.png", b""
    yield "nuls.png", b"\0" * 10_000
    yield "text.png", b"I am no picture"
    yield "svg.png", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


def bombs() -> Iterator[tuple[str, bytes]]:
    for width, height in ((65_535, 65_535), (2**31 - 1, 1), (1, 2**31 - 1), (0, 0), (0, 5), (100_000, 700)):
        yield f"claims-{width}x{height}.png", png_claiming(width, height)
    for at, value in ((6, 0xFFFF), (8, 0xFFFF), (6, 0)):
        gif = bytearray(picture("GIF"))
        gif[at : at + 2] = struct.pack("<H", value)
        yield f"gif-{at}-{value}.gif", bytes(gif)
    for at, value in ((18, 2**31 - 1), (22, -(2**31)), (18, -1), (14, 2**31 - 1), (28, 0)):
        bmp = bytearray(picture("BMP"))
        bmp[at : at + 4] = struct.pack("<i", value)
        yield f"bmp-{at}-{value}.bmp", bytes(bmp)
    tiff = picture("TIFF")
    count = int.from_bytes(tiff[8:10], "little")
    for entry in range(count):
        for value in (0, 0xFFFFFFFF, 0x7FFFFFFF):
            forged = bytearray(tiff)
            forged[10 + 12 * entry + 8 : 10 + 12 * entry + 12] = struct.pack("<I", value)
            yield f"tiff-{entry}-{value}.tiff", bytes(forged)
    looping = bytearray(tiff)
    looping[10 + 12 * count : 14 + 12 * count] = struct.pack("<I", 8)
    yield "looping.tiff", bytes(looping)


ODD_NAMES = [
    "../up.png", "/etc/passwd.png", "C:\\windows\\x.png", "a/../../b.png", "..\\..\\c.png", "\\\\host\\share\\d.png",
    "nul\0name.png", "line\nbreak.png", "right\u202eto-left.png", "a" * 600 + ".png", "caf\u00e9.png", "cafe\u0301.png",
    "CASE.png", "case.png", "stem.png", "stem.jpg", "one/stem.png", "two/stem.png", " .png", ".png", "...png", "-rf.png",
    "=cmd().png", "%2e%2e%2fx.png", "\ufeffbom.png", "emoji\U0001f469\u200d\U0001f4bb.png", "con.png", "a//b.png", "./x.png",
    "dir/", "__MACOSX/._x.png", "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace") + ".png",
]  # fmt: skip


def archives() -> Iterator[tuple[str, bytes]]:
    small = image_bytes()
    yield "names.zip", zipped({name: image_bytes(colour=(n, 1, 1)) for n, name in enumerate(ODD_NAMES)})
    yield (
        "same-twice.zip",
        zipped([("a.png", small), ("a.png", image_bytes(colour=(1, 2, 3))), ("a.png", small)]),
    )
    yield "empty.zip", zipped({})
    yield "only-folders.zip", zipped({"a/": b"", "b/c/": b""})
    yield "no-images.zip", zipped({"a.txt": b"x", "b.exe": b"MZ"})
    yield "nested.zip", zipped({"inner.zip": zipped({"a.png": small}), "b.png": small})
    yield "bomb.zip", zipped({"a.png": b"\0" * 50_000_000})
    yield "many-bombs.zip", zipped({f"{n}.png": b"\0" * 900_000 for n in range(40)})
    yield "link.zip", zipped({"link.png": b"/etc/passwd", "b.png": small}, mode=0o120777)
    yield "device.zip", zipped({"device.png": small}, mode=0o060666)
    good = zipped({"a.png": small, "dog/b.png": image_bytes((9, 9))}, compression=zipfile.ZIP_STORED)
    yield "prefixed.zip", b"#!/bin/sh\nexit\n" + good
    yield "trailing.zip", good + b"\0" * 500
    yield "wrong-crc.zip", good.replace(struct.pack("<I", zlib.crc32(small)), b"\1\2\3\4")
    yield "encrypted.zip", flagged(good, 0x1)
    yield "patched.zip", flagged(good, 0x20)
    yield "strange-method.zip", good.replace(b"\x14\0\0\0\0\0", b"\x14\0\0\0\x63\0")
    yield (
        "lying-size.zip",
        good.replace(struct.pack("<II", len(small), len(small)), struct.pack("<II", len(small), 3)),
    )
    yield (
        "huge-size.zip",
        good.replace(struct.pack("<II", len(small), len(small)), struct.pack("<II", len(small), 2**32 - 2)),
    )
    yield "no-zip.zip", b"I am no archive"
    yield "nothing.zip", b""
    yield "only-an-end.zip", b"PK\5\6" + b"\0" * 18
    yield "end-that-lies.zip", b"PK\5\6" + b"\xff" * 16 + b"\0\0"
    rng = random.Random(3)
    for n in range(25):
        yield f"cut-{n}.zip", good[: rng.randrange(4, len(good))]
    for n in range(40):
        flipped = bytearray(good)
        for _ in range(rng.randrange(1, 5)):
            flipped[rng.randrange(len(good))] = rng.randrange(256)
        yield f"flipped-{n}.zip", bytes(flipped)


def damaged_pictures() -> Iterator[tuple[str, bytes]]:
    """Archives whose first picture breaks in each way of compression, and whose second is whole."""
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        data = zipped({"a.png": picture("PNG"), "b.png": image_bytes()}, compression=method)
        yield f"damaged-{method}.zip", damaged(data, b"a.png")


def damaged(data: bytes, name: bytes) -> bytes:
    """The archive with the packed bytes of an entry overwritten, all but the first few, which say how it is packed."""
    start = data.index(b"PK\3\4", max(0, data.index(name) - 30)) + 30 + len(name)
    end = data.index(b"PK", start)
    return data[: start + 9] + bytes(255 - byte for byte in data[start + 9 : end]) + data[end:]


def record(**changes: Any) -> dict[str, Any]:
    """A record of a native export."""
    known = {
        "row": 0, "external_id": "r", "text": "a", "asset": None, "content_hash": sha256(b"a").hexdigest(), "split": "pool",
        "meta": {}, "created_at": MOMENT, "archived_at": None, "imported_label": None, "predictions": [], "votes": [],
        "skips": [], "consensus": None, "agreement": None, "subset": None,
    }  # fmt: skip
    return known | changes


def header(**changes: Any) -> dict[str, Any]:
    return {"annotator_export": 1, "moment": MOMENT, "project": {"name": "x"}, "learning": {}} | changes


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in values)


MOMENT = "2026-01-01T00:00:00+00:00"
ODD: list[Any] = [
    None,
    True,
    7,
    1e999,
    "x",
    "\0",
    "\ud800",
    [],
    [5],
    [None],
    [[1]],
    {},
    {"x": 1},
    {"\0": 1},
    10**400,
]
DEEP = json.loads("[" * 400 + "]" * 400)


def native_files() -> Iterator[tuple[str, bytes]]:
    """Native exports of texts with something wrong, each with a line behind it that is not."""
    good = record(external_id="behind it", text="b")
    for n, value in enumerate(ODD):
        for name in ("project", "learning", "schemas", "next_row"):
            yield f"header-{name}-{n}.jsonl", lines(header(**{name: value}), good)
        for name in record():
            yield f"{name}-{n}.jsonl", lines(header(), record(**{name: value}), good)
    for n, value in enumerate(
        [*ODD, {"source": 5, "classes": {"a": 1}}, {"source": "\0", "classes": {"\ud800": 1}}]
    ):
        yield f"prediction-{n}.jsonl", lines(header(), record(predictions=[value]), good)
    yield "deep.jsonl", lines(header(), record(meta={"x": DEEP}), good)
    yield "no-fields.jsonl", lines(header(), {}, [], 5, good)
    whole = lines(
        header(), *(record(row=n, external_id=f"{n}", text=f"text {n} " + "x" * n) for n in range(300))
    )
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed = zipped({"records.jsonl": whole}, compression=method)
        yield f"damaged-{method}.zip", damaged(packed, b"records.jsonl")
        yield f"encrypted-{method}.zip", flagged(packed, 0x1)
    stored = zipped({"records.jsonl": whole}, compression=zipfile.ZIP_STORED)
    yield "strange.zip", stored.replace(b"\x14\0\0\0\0\0", b"\x14\0\0\0\x63\0")
    yield "cut.zip", stored[:-90]
    yield "only-records.zip", zipped({"records.jsonl": b""})


def image_sets() -> Iterator[tuple[str, bytes]]:
    """Native exports and image folders with something wrong in what stands beside the pictures."""
    small = image_bytes()
    digest = sha256(small).hexdigest()
    about = {"digest": digest, "created_at": MOMENT}
    with_picture = lines(header(), record(text=None, asset=about, content_hash=digest))
    path = f"assets/{digest[:2]}/{digest}"
    for n, value in enumerate([*ODD, {"digest": 5}, {"digest": "../" * 9}]):
        told = lines(
            header(), record(text=None, asset=value), record(text=None, asset=about, content_hash=digest)
        )
        yield f"asset-{n}.zip", zipped({"records.jsonl": told, path: small})
    yield "bomb.zip", zipped({"records.jsonl": with_picture, path: b"\0" * 90 * 2**20})
    entries = {"records.jsonl": with_picture, path: picture("PNG"), "z.txt": b"z"}
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield f"damaged-{method}.zip", damaged(zipped(entries, compression=method), path.encode())
    for n, value in enumerate(ODD):
        for name in ("file_name", "id", "label", "label_names"):
            told = lines(value, {"file_name": "a.png", name: value}, {"file_name": "b.png", "id": "b"})
            yield f"folder-{name}-{n}.zip", zipped({"train/metadata.jsonl": told, "train/a.png": small})
    known = lines(*({"file_name": f"{n}.png", "id": f"{n}"} for n in range(300)))
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed = zipped({"metadata.jsonl": known, "0.png": small}, compression=method)
        yield f"folder-damaged-{method}.zip", damaged(packed, b"metadata.jsonl")
        yield f"folder-encrypted-{method}.zip", flagged(packed, 0x1)
    yield "folder-no-json.zip", zipped({"metadata.jsonl": b"\n\xff\n{", "a.png": small})


def exports_of_others() -> Iterator[tuple[str, bytes]]:
    """Tasks of Label Studio, lines of doccano and records of Argilla with odd values in each of their places."""
    task = {"data": {"text": "a"}, "annotations": [], "predictions": [], "meta": {}}
    plain = {"id": 1, "text": "a", "label": ["x"]}
    fields = {"id": "1", "fields": {"text": "a"}, "responses": {}, "suggestions": {}, "metadata": {}}
    for n, value in enumerate([*ODD, DEEP]):
        for name in task:
            yield (
                f"ls-{name}-{n}.json",
                json.dumps([task, {**task, name: value}, {**task, "data": {"text": "b"}}]).encode(),
            )
        chosen = {"type": "choices", "value": {"choices": value}}
        told = {
            "annotations": [{"result": [chosen]}],
            "predictions": [{"result": [chosen], "score": value, "classes": value}],
        }
        yield f"ls-choices-{n}.json", json.dumps([{**task, **told}]).encode()
        for name in ("text", "external_id", "split"):
            yield (
                f"ls-data-{name}-{n}.json",
                json.dumps([{**task, "data": {"text": "a", name: value}}]).encode(),
            )
        for name in ("text", "label", "external_id", "split", "other"):
            yield f"doccano-{name}-{n}.jsonl", lines(plain, {**plain, name: value})
        for name in fields:
            yield f"argilla-{name}-{n}.jsonl", lines(fields, {**fields, name: value})
        answers = {"q": [{"value": value}]}
        hints = {"q": {"value": value, "score": value, "agent": value}}
        yield (
            f"argilla-value-{n}.jsonl",
            lines({**fields, "responses": answers}, {**fields, "suggestions": hints}),
        )
        yield f"argilla-split-{n}.jsonl", lines({**fields, "metadata": {"split": value, "x": value}})
    scores = {"predictions": [{"model_version": "\0", "classes": {"\0": 1, "\ud800": 2}}]}
    yield "ls-nul.json", json.dumps([{**task, **scores}, {**task, "data": {"text": "b"}}]).encode()
    for n, cut in enumerate(
        (
            "[",
            "[{",
            '[{"data": {"text": "a"}}',
            '[{"data": {"text": "a"}},',
            '[{"data": {"text": "a"}}]]',
            "[" * 9_000,
        )
    ):
        yield f"ls-cut-{n}.json", cut.encode()


def zipped(entries: Any, *, mode: int = 0o100644, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    pairs = entries.items() if isinstance(entries, dict) else entries
    with zipfile.ZipFile(out, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names that are there twice
        for name, data in pairs:
            info = zipfile.ZipInfo("x")
            info.filename, info.external_attr, info.compress_type = name, mode << 16, compression
            archive.writestr(info, data)
    return out.getvalue()


def flagged(data: bytes, flag: int) -> bytes:
    """The archive with a flag set in every header."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(signature)
        while at >= 0:
            changed[at + offset] |= flag
            at = data.find(signature, at + 1)
    return bytes(changed)


TABLES: list[bytes | str] = [
    "", "\n", "\n\n\n", "   ", "\0", "\0" * 5_000, "text", "text\n", "text\n\n", ",", ",,,\n,,,", '"', '""', '"""', 'text\n"open',
    'text\n"a\nb\nc"\n', 'text\n"a"b"c"\n', "text,text\na,b\n", "text,id\na\n", "text,id\na,b,c\n", "text;id\na;b\n", "text|id\na|b\n",
    "text\tid\na\tb\n", "id,text\n1,a\n1,b\n1,a\n", "id,text\n,a\n", "text,split\na,nowhere\nb,TEST\nc,\n", "a,b\r1,2\r3,4\r",
    "text\r\na\r\n\r\nb\r\n", "text,label\na," + "x" * 300 + "\n", "text,label\na,b\0c\n", "id,text\n" + "9" * 600 + ",a\n",
    "text\n" + "a" * 1_100_000 + "\n", "text\n" + "=1+1\n+1\n-1\n@x\n", "text\n\u202eabc\n\u200b\n", "text\n\ud7ff\ue000\uffff\n",
    "text\n\U0001f469\u200d\U0001f4bb\n", "text\ncafé\ncafe\u0301\n", '{"text": "a"}\n', "<html><body>text</body></html>",
    "text,meta\na,{'x': 1}\n", "1,2,3\n4,5,6\n", "text\n" + "x,y\n" * 50, "\ufefftext\na\n", "text\x1ca\x1db\x1ec\n", "text\x85a\u2028b\u2029c\n",
    "sep=;\ntext;id\na;1\n", "#comment\ntext\na\n", "text\na\n" * 300, ('"' * 999 + "\n") * 5, "text," * 3_000 + "\n" + "a," * 3_000,
    b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xff\xfet\0e\0x\0t\0\n\0a\0\n\0", b"\xff\xfet\0e\0x\0t\0\n\0a", b"\xfe\xff\0t\0e\0x\0t\0\n\0a",
    b"\xff\xfe\0\0t\0\0\0", b"text\n\xff\xfe\xfd\n", b"text\nM\xfcller\n", b"text\n\xc0\x80\n", b"text\n\xed\xa0\x80\n", b"text\n\xf4\x90\x80\x80\n",
    b"text\n" + b"fine\n" * 53_000 + b"M\xfcller\n", b"\x1f\x8b\x08\0" + b"\0" * 50, b"PK\3\4" + b"\0" * 50, b"%PDF-1.4", b"text\nb\0a\0d\n",
    b"text\n" + bytes(range(1, 256)) + b"\n", b"a" * 4_300_000,
]  # fmt: skip

LINES: list[bytes | str] = [
    "{}", "[]", "null", "1", '"text"', '{"text": null}', '{"text": 1}', '{"text": []}', '{"text": {}}', '{"text": ""}', '{"text": "a"',
    '{"text": "a"}}', '{"text": "\\u0000"}', '{"text": "\\ud800"}', '{"text": "\\udc00\\ud800"}', '{"text": "a", "text": "b"}',
    '{"text": "a", "id": {"x": 1}}', '{"text": "a", "id": null}', '{"text": "a", "id": true}', '{"text": "a", "id": "\\u0000"}',
    '{"text": "a", "label": {"x": 1}}', '{"text": "a", "label": [null]}', '{"text": "a", "label": [[1]]}', '{"text": "a", "label": true}',
    '{"text": "a", "label": ["x", "x", 1]}', '{"text": "a", "label": "' + "x" * 500 + '"}', '{"text": "a", "split": 7}',
    '{"text": "a", "split": ["test"]}', '{"text": "a", "x": NaN}', '{"text": "a", "x": Infinity}', '{"text": "a", "x": 1e999}',
    '{"text": "a", "x": ' + "9" * 5_000 + "}", '{"text": "a", "x": ' + "[" * 5_000 + "]" * 5_000 + "}", "[" * 100_000,
    '{"text": "a", "x": "' + "y" * 100_000 + '"}', '{"text": "a", "x": {"\\u0000": 1}}', '{"\\u0000": "a", "text": "b"}', '{"": "a", "text": "b"}',
    "{'text': 'a'}", "text: a", "\ufeff" + '{"text": "a"}', '{"text": "a"}\r\n\r\n{"text": "b"}', '{"text": "' + "a" * 1_100_000 + '"}',
    '{"text":\n"a"}', '\x1e{"text": "a"}', '{"text": "a"} // comment', '{"text": "a", "__class__": "os.system"}', '{"constructor": {"prototype": 1}, "text": "a"}',
    b'{"text": "\xff"}', b'{"text": "a\xc0\x80"}', b"\xff\xfe{\0}\0", b"\0", b"",
]  # fmt: skip


def data(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
