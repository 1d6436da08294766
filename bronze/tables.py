"""The tables of the bronze layer."""

import pyarrow as pa

from lakehouse.tables.table import INSTANT, Table, column

IMAGES = Table(
    name="bronze.images",
    description="One row a photograph that could be read, but for its bytes, which are in bronze.contents; written by "
    "`fruits bronze`.",
    schema=pa.schema(
        [
            column("path", pa.string(), "URI of the photograph, not percent-encoded; it makes the row one."),
            column(
                "label",
                pa.string(),
                "What it is of, by a correction or else as given; null where neither says.",
            ),
            column(
                "split", pa.string(), "Training, Test, …, by a correction or else as given; null where neither says."
            ),
            column(
                "format",
                pa.string(),
                "JPEG, PNG, GIF, BMP, WEBP, HEIF, AVIF, TIFF or JPEG2000: by content, not by name.",
            ),
            column("width", pa.int32(), "Width in pixels, as stored: before EXIF orientation; of HEIF as shown."),
            column(
                "height",
                pa.int32(),
                "Height in pixels, as stored: before EXIF orientation; of HEIF as shown.",
            ),
            column("length", pa.int64(), "Size of the file in bytes."),
            column("modification_time", INSTANT, "When the file was modified; with `length`, what tells a new one."),
            column("sha256", pa.string(), "SHA-256 of the file's bytes, in hexadecimal digits; equal for copies."),
            column("batch", pa.int64(), "Number of the ingest that read this content, counted from 1."),
            column("ingested_at", INSTANT, "When that ingest began."),
            column("given_label", pa.string(), "The label that folder or manifest give; null in rows of 0.1.0."),
            column("given_split", pa.string(), "The split that folder or manifest give; null in rows of 0.1.0."),
            column("corrected", pa.bool_(), "Whether a person's correction differs from what is given."),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "split", "length", "modification_time", "batch", "ingested_at"),
    layout=2,
)

CONTENTS = Table(
    name="bronze.contents",
    description="One row a content, however many photographs of bronze.images have it, with its bytes as they were; "
    "written by `fruits bronze`.",
    schema=pa.schema(
        [
            column("sha256", pa.string(), "SHA-256 of `content`, in hexadecimal digits; it makes the row one."),
            column("length", pa.int64(), "Size of `content` in bytes."),
            column("first_batch", pa.int64(), "Number of the ingest that first read it, counted from 1."),
            column("content", pa.binary(), "The bytes of the file."),
        ]
    ),
    key=("sha256",),
    statistics=("sha256", "length", "first_batch"),
)

PHOTOGRAPH = pa.schema([*IMAGES.schema, *(CONTENTS.schema.field(name) for name in ("first_batch", "content"))])
"""A photograph that has been read: the columns of both its tables."""

QUARANTINE = Table(
    name="bronze.quarantine",
    description="One row a file that cannot be used, until it is replaced; written by `fruits bronze`, and by `fruits "
    "silver` for photographs that end each process which computes their features.",
    schema=pa.schema(
        [
            column("path", pa.string(), "URI of the file, not percent-encoded; it makes the row one."),
            column("label", pa.string(), "Name of the folder that the file is in; null at the top."),
            column("length", pa.int64(), "Size of the file in bytes."),
            column("modification_time", INSTANT, "When the file was modified; with `length`, what tells a new one."),
            column("reason", pa.string(), "Why, in a word; `fruits quarantine` says what to do about it."),
            column("detail", pa.string(), "What was found, in a sentence."),
            column("batch", pa.int64(), "Number of the ingest that found it, counted from 1."),
            column("quarantined_at", INSTANT, "When that ingest began."),
        ]
    ),
    key=("path",),
    statistics=("path", "label", "reason", "batch"),
)

CORRECTIONS = Table(
    name="bronze.corrections",
    description="One row a correction of a photograph's label or split by a person; the newest of a content counts. "
    "Written by `fruits relabel`.",
    schema=pa.schema(
        [
            column("sha256", pa.string(), "SHA-256 of the photograph's content, to which the correction belongs."),
            column("path", pa.string(), "URI under which the person named it."),
            column("label", pa.string(), "The label; null leaves what folder or manifest give."),
            column("split", pa.string(), "The split; null leaves what folder or manifest give."),
            column("reason", pa.string(), "Why, in the person's words; null where they gave none."),
            column("corrected_by", pa.string(), "User name of whoever said it."),
            column("corrected_at", INSTANT, "When it was said."),
        ]
    ),
    key=("sha256", "corrected_at"),
    statistics=("sha256", "path", "label", "split", "corrected_at"),
)

TABLES = (IMAGES, CONTENTS, QUARANTINE, CORRECTIONS)
