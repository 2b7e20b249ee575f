"""The sweep's tables answer as the emulated DynamoDB does."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from aurora_restore.embedded.inprocess import InProcess
from tests.faults.harness import Rig
from tests.faults.scenarios import call_scenario, observe
from tests.faults.sweep import THOROUGH
from tests.faults.tables import Tables


class _Compared(Tables):
    """Asks both for each call, and keeps where they differ."""

    def __init__(self, wire: InProcess) -> None:
        super().__init__()
        self._wire = wire
        self.calls = 0
        self.differences: list[str] = []

    def answer(self, request: AWSPreparedRequest, action: str, parameters: Mapping[str, Any]) -> AWSResponse:
        ours, theirs = super().answer(request, action, parameters), self._wire.send(request)
        shown = [_shown(each.status_code, each.content) for each in (ours, theirs)]
        self.calls += 1
        if shown[0] != shown[1]:
            self.differences.append(f"{action} {json.dumps(parameters)[:200]}: {shown[0]} and not {shown[1]}")
        return ours


def _shown(status: int, body: bytes) -> tuple[int, Any, Any, str]:
    content = json.loads(body or b"{}")
    return status, content.get("Item"), content.get("Items"), str(content.get("__type", "")).rpartition("#")[2]


@contextmanager
def _compared(rig: Rig) -> Iterator[_Compared]:
    sound, rig.tables = rig.tables, _Compared(rig.account.wire)
    try:
        yield rig.tables
    finally:
        rig.tables = sound


@pytest.mark.timeout(300)
def test_the_tables_answer_as_the_emulated_dynamodb_does(rig: Rig) -> None:
    """Their conditions are what I3 and I5 stand on: a table that took any write would hide every lost race."""
    site = "CopySnapshot.TransactWriteItems.2"
    with _compared(rig) as tables:
        observe(rig, call_scenario(THOROUGH, site, "twice-at-once"))
    assert tables.calls > 50
    assert tables.differences == []
