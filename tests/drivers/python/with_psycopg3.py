"""psycopg 3, in the mode given as argument: text, binary, prepared, client or pipeline."""

import re
import sys
import threading

import psycopg
from psycopg.types.json import Json, Jsonb

from common import ADA, SEALED, STEPS, WORD, Checks, emit, error, oid, shown, text_of

MODE = sys.argv[1]


def main():
    factory = {"client": psycopg.ClientCursor, "raw": psycopg.RawCursor}.get(MODE, psycopg.Cursor)
    threshold = {"prepared": 0, "text": None}.get(MODE, 5)
    with psycopg.connect("", autocommit=True, cursor_factory=factory, prepare_threshold=threshold) as connection:
        if MODE == "pipeline":
            pipelines(connection)
        else:
            for step in STEPS:
                emit(step["check"], step["step"], run(connection, step))
        own(connection)


def cursor_of(connection):
    return connection.cursor(binary=True) if MODE == "binary" else connection.cursor()


def statement(step):
    sql, values = text_of(step)
    if not values:
        return sql, None
    values = [Json(Raw(v)) if kind == "json" else Jsonb(Raw(v)) if kind == "jsonb" else v
              for v, (kind, text) in zip(values, step["params"])]
    values = [None if text is None else v for v, (_, text) in zip(values, step["params"])]
    if MODE == "raw":
        return sql, values
    return re.sub(r"\$(\d+)", r"%(p\1)s", sql.replace("%", "%%")), {f"p{n}": v for n, v in enumerate(values, 1)}


class Raw(str):
    """JSON text that goes out as it is."""


psycopg.types.json.set_json_dumps(str)


def run(connection, step):
    result = None
    for _ in range(step.get("again", 1)):
        cursor = cursor_of(connection)
        try:
            cursor.execute(*statement(step), **({"binary": False, "prepare": False} if step.get("simple") else {}))
            result = answer(cursor)
        except psycopg.Error as problem:
            result = error_of(problem)
    return result


def answer(cursor):
    result = {"count": cursor.rowcount, "status": cursor.statusmessage}
    if cursor.description:
        result["columns"] = [[c.name, oid(c.type_code), c.display_size, c.internal_size, c.precision, c.scale] for c in cursor.description]
        result["rows"] = shown(cursor.fetchall())
    return result


def error_of(problem):
    if not isinstance(problem, psycopg.Error):
        return error(type(problem).__name__, str(problem))
    d = problem.diag
    position = {"position": bool(d.statement_position)} if problem.sqlstate == "0A000" else {}
    return error(problem.sqlstate, d.message_primary or str(problem), d.message_detail, kind=type(problem).__name__, severity=d.severity,
                 constraint=d.constraint_name, table=d.table_name, **position)


def pipelines(connection):
    """Sends the steps of a check in one flight (a sync after each refusal and each expected error)."""
    by_check = {}
    for step in STEPS:
        if not step.get("simple") and step["sql"]:
            by_check.setdefault(step["check"], []).append(step)
    for check, steps in by_check.items():
        alone = check in ("errors", "transaction", "refusal", "refusal in block")
        size = 1 if alone else 25
        for start in range(0, len(steps), size):
            flight(connection, steps[start:start + size])


def flight(connection, steps):
    cursors = []
    try:
        with connection.pipeline() as pipeline:
            for step in steps:
                for _ in range(step.get("again", 1)):
                    cursor = connection.cursor()
                    cursors.append((step, cursor))
                    cursor.execute(*statement(step))
            pipeline.sync()
            for step, cursor in cursors:
                emit(step["check"], step["step"], answer(cursor))
    except psycopg.Error as problem:
        several = f"{steps[0]['step']} and on"
        emit(steps[0]["check"], steps[0]["step"] if len(steps) == 1 else several, error_of(problem))


def own(connection):
    check = Checks(error_of)

    def query(sql, *values):
        cursor = connection.cursor(binary=MODE == "binary")
        if MODE == "raw":
            n = iter(range(1, 100))
            sql = re.sub("%s", lambda _: f"${next(n)}", sql)
        cursor.execute(sql, values or None)
        return answer(cursor)

    def batch():
        query("DELETE FROM orders")
        mark = "$1, $2, $3" if MODE == "raw" else "%s, %s, %s"
        cursor = connection.cursor()
        cursor.executemany(f"INSERT INTO orders (id, email, total) VALUES ({mark}) RETURNING id, email",
                           [(n, f"{WORD}-{n % 20}", n) for n in range(60)], returning=True)
        rows = []
        while True:
            rows += cursor.fetchall()
            if not cursor.nextset():
                break
        return [shown(rows), query("SELECT email, count(*) FROM orders GROUP BY email ORDER BY min(id)")]

    check("batch", batch)

    if MODE != "raw":
        def cursors():
            with connection.transaction(), connection.cursor("named") as named:
                named.execute("SELECT id, email FROM orders WHERE email = %s ORDER BY id", ("kanarie-3",))
                return shown(named.fetchall())

        check("cursor", cursors)

    def stream():
        cursor = cursor_of(connection)
        return shown(list(cursor.stream("SELECT id, email FROM orders ORDER BY id")))

    check("cursor", stream)

    def transactions():
        with connection.transaction():
            query("UPDATE orders SET total = 1 WHERE email = %s", "kanarie-3")
            try:
                with connection.transaction():
                    query("UPDATE orders SET total = 2 WHERE email = %s", "kanarie-3")
                    query("SELECT id FROM orders WHERE upper(email) = %s" if SEALED else "SELECT nothing || %s", "KANARIE")
            except psycopg.Error as problem:
                outcome = connection.info.transaction_status.name
        return [outcome, query("SELECT sum(total), count(*) FROM orders WHERE email = %s", "kanarie-3")]

    check("transaction", transactions)

    def pipelined():
        """A refusal in the middle of a flight: what is before it in the same implicit transaction is undone."""
        texts = ["UPDATE orders SET total = 8 WHERE email = %s RETURNING email",
                 "SELECT id FROM orders WHERE upper(email) = %s" if SEALED else "SELECT nothing || %s",
                 "UPDATE orders SET total = 9 WHERE email = %s"]
        failed = False
        try:
            with connection.pipeline():
                for text in texts:
                    connection.cursor().execute(text, ("kanarie-4",))
        except psycopg.Error:
            failed = True
        select = "SELECT id, email, total FROM orders WHERE email = %s ORDER BY id"
        with connection.pipeline() as pipeline:
            cursors = [connection.cursor().execute(text, ("kanarie-5",)) for text in (texts[0], select)]
            pipeline.sync()
            answers = [answer(cursor) for cursor in cursors]
        return [failed, answers, query(select, "kanarie-4"), connection.info.transaction_status.name]

    if MODE not in ("client", "raw"):
        check("pipeline", pipelined)

    def copy(form):
        cursor = connection.cursor()
        query("DELETE FROM items WHERE id >= 50")
        with cursor.copy(f"COPY items (id, label) FROM STDIN {form}") as out:
            if form:
                out.set_types(["int4", "text"])
            out.write_row((50, "fifty"))
            out.write_row((51, None))
        with cursor.copy(f"COPY (SELECT id, label FROM items WHERE id >= 50 ORDER BY id) TO STDOUT {form}") as rows:
            rows.set_types(["int4", "text"])
            return shown(list(rows.rows()))

    check("copy", lambda: copy(""))
    check("copy", lambda: copy("(FORMAT binary)"))

    def notify():
        query("LISTEN channel")
        query("NOTIFY channel, 'hello'")
        return [[n.channel, n.payload] for n in connection.notifies(timeout=5, stop_after=1)]

    check("notify", notify)

    def cancel():
        threading.Timer(0.3, connection.cancel).start()
        query("SELECT pg_sleep(20)")

    check("cancel", cancel)
    check("cancel", lambda: query("SELECT count(*) FROM accounts WHERE email = %s", ADA))


main()
