"""Every column of every table is documented, once."""

from __future__ import annotations

from dataclasses import fields

from fermedia.columns import DICTIONARY_COLUMNS, FAILURES, TABLES, dictionary
from fermedia.errors import STAGES
from fermedia.store.ledger import Failure
from fermedia.types import EMOTIONS


def test_every_column_says_what_it_is() -> None:
    for table in TABLES:
        assert len(set(table.names)) == len(table.names)
        for column in table.columns:
            assert column.type in ("text", "integer", "number", "0/1"), column
            assert column.meaning
            assert column.range or column.type in ("text", "number"), column
    assert all(len(row) == len(DICTIONARY_COLUMNS) for row in dictionary())
    assert {row[0] for row in dictionary()} == {table.name for table in TABLES}


def test_the_stages_of_a_failure_are_those_of_the_dictionary() -> None:
    (stages,) = (row[5] for row in dictionary() if row[:1] + row[2:3] == (FAILURES.name, "stage"))
    assert stages.split(", ") == list(STAGES)
    assert "worker" in STAGES


def test_the_tables_made_elsewhere_have_these_columns() -> None:
    assert tuple(field.name for field in fields(Failure)) == FAILURES.names
    timeline = next(table for table in TABLES if table.name == "timeline")
    first = timeline.names.index(EMOTIONS[0])
    assert timeline.names[first : first + 7] == EMOTIONS
