"""psycopg 2: parameters are put into the text by the client, everything is a simple query."""

import io
import re
import select
import threading

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from common import ADA, SEALED, STEPS, WORD, Checks, emit, error, eventually, oid, shown, text_of

psycopg2.extras.register_uuid()
psycopg2.extras.register_ipaddress()


def main():
    connection = psycopg2.connect("")
    connection.autocommit = True
    cursor = connection.cursor()
    for step in STEPS:
        emit(step["check"], step["step"], run(cursor, step))
    own(connection)


def run(cursor, step):
    sql, values = text_of(step)
    # Named, so that a parameter that is used twice is one.
    text = re.sub(r"\$(\d+)", r"%(p\1)s", sql.replace("%", "%%")) if values else sql
    names = {f"p{n}": value for n, value in enumerate(values, 1)} if values else None
    result = None
    for _ in range(step.get("again", 1)):
        try:
            cursor.execute(text, names)
            result = answer(cursor)
        except psycopg2.Error as problem:
            result = error_of(problem)
    return result


def answer(cursor):
    result = {"count": cursor.rowcount, "status": cursor.statusmessage}
    if cursor.description:
        result["columns"] = [[c.name, oid(c.type_code), c.internal_size, c.precision, c.scale] for c in cursor.description]
        result["rows"] = shown(cursor.fetchall())
    return result


def error_of(problem):
    if not isinstance(problem, psycopg2.Error):
        return error(type(problem).__name__, str(problem))
    d = problem.diag
    position = {"position": bool(d.statement_position)} if problem.pgcode == "0A000" else {}
    return error(problem.pgcode, d.message_primary, d.message_detail, kind=type(problem).__name__, severity=d.severity,
                 constraint=d.constraint_name, table=d.table_name, **position)


def own(connection):
    check = Checks(error_of)
    cursor = connection.cursor()

    def batch():
        cursor.execute("DELETE FROM orders")
        cursor.executemany("INSERT INTO orders (id, email, total) VALUES (%s, %s, %s)", [(n, f"{WORD}-{n}", n) for n in range(9)])
        psycopg2.extras.execute_values(cursor, "INSERT INTO orders (id, email, total) VALUES %s", [(n, f"{WORD}-{n % 20}", n) for n in range(9, 60)])
        psycopg2.extras.execute_batch(cursor, "UPDATE orders SET email = %s WHERE id = %s", [(f"{WORD}-x", n) for n in range(30, 40)])
        cursor.execute("SELECT email, count(*) FROM orders GROUP BY email ORDER BY count(*) DESC, min(id)")
        return answer(cursor)

    check("batch", batch)

    def returning():
        rows = psycopg2.extras.execute_values(
            cursor, "INSERT INTO orders (id, email) VALUES %s RETURNING id, email", [(100, "kanarie-r1"), (101, None)], fetch=True)
        return shown(rows)

    check("batch", returning)

    def cursors():
        connection.autocommit = False
        try:
            with connection.cursor("named") as named:
                named.itersize = 7
                named.execute("SELECT id, email FROM orders ORDER BY id")
                return shown(list(named))
        finally:
            connection.rollback()
            connection.autocommit = True

    check("cursor", cursors)

    def transactions():
        connection.autocommit = False
        try:
            with connection:
                cursor.execute("UPDATE orders SET total = 1 WHERE email = %s", ("kanarie-x",))
            try:
                with connection:
                    cursor.execute("UPDATE orders SET total = 2 WHERE email = %s", ("kanarie-x",))
                    cursor.execute("SELECT id FROM orders WHERE upper(email) = %s" if SEALED else "SELECT nothing", ("KANARIE",))
            except psycopg2.Error:
                pass
            cursor.execute("SELECT sum(total), count(*) FROM orders WHERE email = %s", ("kanarie-x",))
            return answer(cursor)
        finally:
            connection.rollback()
            connection.autocommit = True

    check("transaction", transactions)

    def copy():
        cursor.copy_expert("COPY items (id, label) FROM STDIN", io.StringIO("50\tfifty\n51\t\\N\n"))
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM items WHERE id >= 50 ORDER BY id) TO STDOUT (FORMAT csv)", out)
        return [cursor.rowcount, out.getvalue()]

    check("copy", copy)

    def copy_fails():
        cursor.copy_expert("COPY items (id, label) FROM STDIN", io.StringIO("x\tfifty\n"))

    check("copy", copy_fails)

    def notify():
        cursor.execute("LISTEN channel; NOTIFY channel, 'hello'")
        other = psycopg2.connect("")
        other.autocommit = True
        other.cursor().execute("NOTIFY channel, 'from another'")

        def two():
            select.select([connection], [], [], 1)
            connection.poll()
            return len(connection.notifies) >= 2 and [[n.channel, n.payload] for n in connection.notifies]

        return eventually(two)

    check("notify", notify)

    def cancel():
        threading.Timer(0.3, connection.cancel).start()
        cursor.execute("SELECT pg_sleep(20)")

    check("cancel", cancel)
    check("cancel", lambda: cursor.execute("SELECT count(*) FROM accounts WHERE email = %s", (ADA,)) or answer(cursor))


main()
