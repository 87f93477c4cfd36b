"""The columns of the corpus' tables, for the object-relational mappers: name, type, values."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import corpus  # noqa: E402


def columns(table):
    if table == "kinds":
        return [(name, corpus.base(kind), values) for name, kind, values, _ in corpus.KINDS]
    return [(name, corpus.base(kind), [a, b]) for name, kind, a, b, _ in corpus.KEYS]
