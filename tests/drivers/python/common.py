"""What the Python drivers share: native parameters, results as text, and one line of JSON for each step."""

import base64
import datetime
import decimal
import hashlib
import ipaddress
import json
import os
import re
import sys
import time
import uuid

STEPS = json.load(open(os.environ["STEPS"], encoding="utf-8"))
SEALED = os.environ["TARGET"] == "sealed"

WORD = "kanarie"
ADA, BOB, CID = (f"{WORD}-{name}@example.com" for name in ("ada", "bob", "cid"))


def native(kind, text):
    """A parameter as an application has it."""
    if text is None:
        return None
    if kind.endswith("[]"):
        return [native(kind[:-2], element) for element in text]
    return {
        "int2": int, "int4": int, "int8": int, "float4": float, "float8": float,
        "bool": lambda t: t == "true",
        "numeric": decimal.Decimal,
        "date": datetime.date.fromisoformat,
        "time": datetime.time.fromisoformat,
        "timestamp": datetime.datetime.fromisoformat,
        "timestamptz": lambda t: datetime.datetime.fromisoformat(t).astimezone(datetime.timezone.utc),
        "interval": interval,
        "uuid": uuid.UUID,
        "inet": ipaddress.ip_address,
        "bytea": bytes.fromhex,
    }.get(kind, str)(text)


def interval(text):
    days, hours, minutes, seconds = re.fullmatch(r"(?:(\d+) days? )?(\d+):(\d+):([\d.]+)", text).groups()
    return datetime.timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def shown(value):
    """A result with its Python type; long ones by their digest."""
    if isinstance(value, memoryview):
        value = ["memoryview", bytes(value)]
    if isinstance(value, (list, tuple)):
        return [shown(v) for v in value]
    if value is None:
        return None
    text = repr(value)
    if len(text) > 500:
        text = f"{len(text)} characters, {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return f"{type(value).__name__} {text}"


def oid(number):
    """Types of the database's own have other numbers in each database."""
    return number if number is None or number < 16384 else "user-defined"


def emit(check, step, result):
    print(json.dumps({"check": check, "step": step, "result": result}, ensure_ascii=False), flush=True)


def error(state, message=None, detail=None, **more):
    return {"error": state, "message": message, "detail": detail, **more}


def text_of(step):
    """The step's statement for this target, and its parameters."""
    if step.get("refused") and not SEALED:
        return step["instead"], []
    return step["sql"], [native(kind, text) for kind, text in step["params"]]


def eventually(predicate, seconds=5.0):
    """What predicate gives once that is true."""
    end = time.monotonic() + seconds
    while True:
        result = predicate()
        if result or time.monotonic() > end:
            return result
        time.sleep(0.02)


class Checks:
    """Runs functions one after the other, and gives their outcome as steps of a check."""

    def __init__(self, error_of):
        self.error_of, self.numbers = error_of, {}

    def __call__(self, check, act):
        number = self.numbers[check] = self.numbers.get(check, 1000) + 1
        try:
            result = act()
        except Exception as problem:  # noqa: BLE001: the error is the result
            result = self.error_of(problem)
        emit(check, number, result)
        return result
