"""asyncpg: everything in binary, by described types; cached (named statements) or unnamed, as the argument says."""

import asyncio
import io
import sys

import asyncpg

from common import ADA, SEALED, STEPS, WORD, emit, error, oid, shown, text_of

CACHED = sys.argv[1] == "cached"


async def main():
    connection = await asyncpg.connect(**({} if CACHED else {"statement_cache_size": 0}))
    for step in STEPS:
        if step["check"] == "strings":  # the driver itself takes native values only
            continue
        emit(step["check"], step["step"], await run(connection, step))
    await own(connection)
    await connection.close()


async def run(connection, step):
    sql, values = text_of(step)
    result = None
    for _ in range(step.get("again", 1)):
        try:
            if step.get("simple"):
                result = await connection.execute(sql)
            else:
                statement = await connection.prepare(sql)
                rows = await statement.fetch(*values)
                result = described(statement) | {"rows": shown([list(row.items()) for row in rows]), "status": statement.get_statusmsg()}
        except Exception as problem:  # noqa: BLE001: the error is the result
            result = error_of(problem)
    return result


def described(statement):
    return {"parameters": [[oid(t.oid), t.name] for t in statement.get_parameters()],
            "columns": [[a.name, oid(a.type.oid), a.type.name] for a in statement.get_attributes()]}


def error_of(problem):
    if not isinstance(problem, asyncpg.PostgresError):
        return error(type(problem).__name__, str(problem))
    position = {"position": bool(problem.position)} if problem.sqlstate == "0A000" else {}
    return error(problem.sqlstate, problem.message, problem.detail, kind=type(problem).__name__,
                 constraint=problem.constraint_name, table=problem.table_name, **position)


async def own(connection):
    numbers = {}

    async def check(name, act):
        numbers[name] = numbers.get(name, 1000) + 1
        try:
            result = await act()
        except Exception as problem:  # noqa: BLE001
            result = error_of(problem)
        emit(name, numbers[name], result)

    async def fetch(sql, *values):
        return shown([list(row.items()) for row in await connection.fetch(sql, *values)])

    async def batch():
        await connection.execute("DELETE FROM orders")
        await connection.executemany("INSERT INTO orders (id, email, total) VALUES ($1, $2, $3)",
                                     [(n, f"{WORD}-{n % 20}", n) for n in range(60)])
        rows = await connection.fetchmany("INSERT INTO orders (id, email) VALUES ($1, $2) RETURNING id, email",
                                          [(n, f"{WORD}-{n}") for n in (100, 101)])
        return [shown([list(r.items()) for r in rows]), await fetch("SELECT email, count(*) FROM orders GROUP BY email ORDER BY min(id)")]

    await check("batch", batch)

    async def batch_fails():
        await connection.executemany("INSERT INTO accounts (id, email) VALUES ($1, $2)", [(200, "kanarie-b1"), (201, "kanarie-b1")])

    await check("batch", batch_fails)
    await check("batch", lambda: fetch("SELECT id FROM accounts WHERE email = $1", "kanarie-b1"))

    async def values():
        return [await connection.fetchval("SELECT email FROM orders WHERE id = $1", 3),
                shown(dict(await connection.fetchrow("SELECT id, email FROM orders WHERE email = $1", "kanarie-101")))]

    await check("batch", values)

    async def cursor():
        rows = []
        async with connection.transaction():
            async for row in connection.cursor("SELECT id, email FROM orders WHERE id < $1 ORDER BY id", 30, prefetch=7):
                rows.append(list(row.items()))
            other = await connection.cursor("SELECT email FROM orders ORDER BY id")
            skipped = await other.forward(5)
            rows += [await other.fetchrow(), *await other.fetch(3)]
        return [shown([list(r.values()) if hasattr(r, "values") else r for r in rows]), skipped]

    await check("cursor", cursor)

    async def transaction():
        outcome = None
        async with connection.transaction():
            await connection.execute("UPDATE orders SET total = 1 WHERE email = $1", "kanarie-3")
            try:
                async with connection.transaction():
                    await connection.execute("UPDATE orders SET total = 2 WHERE email = $1", "kanarie-3")
                    await connection.fetch("SELECT id FROM orders WHERE upper(email) = $1" if SEALED else "SELECT nothing || $1", "KANARIE")
            except asyncpg.PostgresError as problem:
                outcome = "refused" if problem.sqlstate in ("0A000", "42703") else problem.sqlstate
        return [outcome, await fetch("SELECT sum(total), count(*) FROM orders WHERE email = $1", "kanarie-3")]

    await check("transaction", transaction)

    async def copy(form):
        await connection.execute("DELETE FROM items WHERE id >= 50")
        await connection.copy_records_to_table("items", records=[(50, "fifty"), (51, None)], columns=["id", "label"])
        await connection.copy_to_table("items", source=io.BytesIO(b"52,x\n53,\n"), columns=["id", "label"], format="csv")
        out = io.BytesIO()
        status = await connection.copy_from_query("SELECT id, label FROM items WHERE id >= $1 ORDER BY id", 50, output=out, format=form)
        return [status, repr(out.getvalue())]

    await check("copy", lambda: copy("text"))
    await check("copy", lambda: copy("binary"))

    async def notify():
        heard = asyncio.Queue()
        await connection.add_listener("channel", lambda _c, _pid, channel, payload: heard.put_nowait([channel, payload]))
        await connection.execute("NOTIFY channel, 'hello'")
        await connection.fetch("SELECT pg_notify('channel', $1)", "again")
        result = [await asyncio.wait_for(heard.get(), 5) for _ in range(2)]
        await connection.reset()
        return result

    await check("notify", notify)

    async def cancel():
        await connection.fetch("SELECT pg_sleep(20)", timeout=0.3)

    await check("cancel", cancel)
    await check("cancel", lambda: fetch("SELECT count(*) FROM accounts WHERE email = $1", ADA))

    async def pool():
        async with asyncpg.create_pool(min_size=2, max_size=4, **({} if CACHED else {"statement_cache_size": 0})) as connections:
            async def one(n):
                async with connections.acquire() as c:
                    return shown([list(r.items()) for r in await c.fetch("SELECT id, email FROM orders WHERE email = $1 ORDER BY id", f"{WORD}-{n}")])
            return await asyncio.gather(*(one(n) for n in range(12)))

    await check("pool", pool)


asyncio.run(main())
