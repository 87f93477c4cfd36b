"""SQLAlchemy, Core and ORM, over the driver given as argument."""

import asyncio
import datetime
import decimal
import json
import os
import sys

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

import corpus_tables as tables
from common import ADA, BOB, CID, SEALED, WORD, Checks, error, native, shown

DRIVER = sys.argv[1]
TYPES = {
    "text": sa.Text(), "varchar": sa.String(40), "char": sa.CHAR(12), "int2": sa.SmallInteger(), "int4": sa.Integer(),
    "int8": sa.BigInteger(), "bool": sa.Boolean(), "float4": sa.REAL(), "float8": sa.Double(), "numeric": sa.Numeric(),
    "date": sa.Date(), "time": sa.Time(), "timestamp": sa.DateTime(), "timestamptz": sa.DateTime(timezone=True),
    "interval": sa.Interval(), "uuid": sa.Uuid(), "inet": pg.INET(), "bytea": sa.LargeBinary(), "json": sa.JSON(), "jsonb": pg.JSONB(),
    "text[]": pg.ARRAY(sa.Text()), "int4[]": pg.ARRAY(sa.Integer()),
}


class Base(orm.DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    email: orm.Mapped[str]
    handle: orm.Mapped[str | None] = orm.mapped_column(sa.String(40))
    name: orm.Mapped[str | None]
    born: orm.Mapped[datetime.date | None]
    note: orm.Mapped[str | None]
    visits: orm.Mapped[int] = orm.mapped_column(server_default="0")
    orders: orm.Mapped[list["Order"]] = orm.relationship(
        primaryjoin="Account.email == foreign(Order.email)", order_by="Order.id", back_populates="account")


class Order(Base):
    __tablename__ = "orders"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    email: orm.Mapped[str | None]
    total: orm.Mapped[decimal.Decimal | None] = orm.mapped_column(sa.Numeric(10, 2))
    account: orm.Mapped[Account | None] = orm.relationship(
        primaryjoin="Account.email == foreign(Order.email)", back_populates="orders")


def kinds_table(name):
    columns = tables.columns(name)
    return sa.Table(name, Base.metadata, sa.Column("id", sa.Integer, primary_key=True), *(sa.Column(n, TYPES[t]) for n, t, _ in columns)), columns


KINDS, KIND_COLUMNS = kinds_table("kinds")
KEYS, KEY_COLUMNS = kinds_table("keys")


def url(driver):
    return sa.URL.create(f"postgresql+{driver}", "app", os.environ["PGPASSWORD"], "127.0.0.1", int(os.environ["PGPORT"]), "app")


def main():
    check = Checks(error_of)
    if DRIVER == "asyncpg":
        asyncio.run(with_async(check))
    else:
        engine = sa.create_engine(url(DRIVER))
        core(check, lambda work: run_sync(engine, work))
        mapped(check, lambda work: session_sync(engine, work))


def run_sync(engine, work):
    with engine.begin() as connection:
        return work(connection)


def session_sync(engine, work):
    with orm.Session(engine) as session:
        return work(session)


async def with_async(check):
    """The checks are written for a synchronous engine; SQLAlchemy's own bridge runs them on this one."""
    engine = create_async_engine(url("asyncpg"))

    def use(connection):
        core(check, lambda work: in_transaction(connection, work))
        mapped(check, lambda work: session_on(connection, work))

    async with engine.connect() as connection:
        await connection.run_sync(use)
    await engine.dispose()


def in_transaction(connection, work):
    with connection.begin():
        return work(connection)


def session_on(connection, work):
    with orm.Session(connection) as session:
        return work(session)


def error_of(problem):
    origin = getattr(problem, "orig", problem)
    state = getattr(origin, "sqlstate", None) or getattr(origin, "pgcode", None)
    if state is None:
        return error(type(problem).__name__, str(problem))
    return error(state, str(origin), kind=type(problem).__name__)


def core(check, run):
    def rows(statement, values=None):
        def work(connection):
            result = connection.execute(statement, values) if values is not None else connection.execute(statement)
            return [list(result.keys()), shown([list(r) for r in result])] if result.returns_rows else result.rowcount
        return lambda: run(work)

    check("connect", rows(sa.text("SELECT current_user, current_setting('server_encoding')")))
    for n, (name, kind, values) in enumerate(KIND_COLUMNS, 1):
        for k, text in enumerate(values):
            value = json_value(kind, text)
            check("types", rows(KINDS.insert().returning(KINDS.c.id, KINDS.c[name]), {"id": n * 10 + k, name: value}))
            check("types", rows(sa.select(KINDS.c[name]).where(KINDS.c.id == n * 10 + k)))
            check("update", rows(KINDS.update().where(KINDS.c.id == n * 10 + k).values({name: value})))
    check("types", rows(sa.select(KINDS).order_by(KINDS.c.id)))
    for n, (name, kind, values) in enumerate(KEY_COLUMNS, 1):
        a, b = (json_value(kind, v) for v in values)
        check("search", rows(KEYS.insert(), [{"id": n * 10, name: a}, {"id": n * 10 + 1, name: b}, {"id": n * 10 + 2, name: None}]))
        column = KEYS.c[name]
        for condition in (column == a, column != a, column.in_([a, b]), column.not_in([a]), column.is_(None), column.is_distinct_from(b),
                          column == sa.any_(sa.bindparam("many", [a, b], pg.ARRAY(TYPES[kind])))):
            check("search", rows(sa.select(KEYS.c.id, column).where(condition, KEYS.c.id.between(n * 10, n * 10 + 2)).order_by(KEYS.c.id)))
    accounts = Account.__table__
    check("multi-row", rows(accounts.insert().values([{"id": 501, "email": "kanarie-m1"}, {"id": 502, "email": "kanarie-m2"}]).returning(accounts.c.email)))
    check("batch", rows(accounts.insert().returning(accounts.c.id, accounts.c.email, sort_by_parameter_order=True),
                        [{"id": n, "email": f"{WORD}-batch-{n}", "name": "kanarie"} for n in range(510, 540)]))
    upsert = pg.insert(accounts).values(email="kanarie-m1", name="Kanarie M")
    check("upsert", rows(upsert.on_conflict_do_update(index_elements=["email"], set_={"name": upsert.excluded.name}).returning(accounts.c.name)))
    check("group", rows(sa.select(accounts.c.name.is_(None), sa.func.count()).group_by(accounts.c.name.is_(None)).order_by(sa.text("2"))))
    check("group", rows(sa.select(sa.func.count(sa.distinct(accounts.c.email)))))
    check("view", rows(sa.text("SELECT id, email, full_name FROM account_names WHERE email = :mail"), {"mail": "kanarie-m1"}))
    check("errors", rows(accounts.insert(), {"id": 540, "email": "kanarie-m1"}))


def json_value(kind, text):
    return json.loads(text) if kind in ("json", "jsonb") else native(kind, text)


def mapped(check, use):
    def add(session):
        ada = Account(email=ADA, handle="kanarie-h", name="Kanarie Ada", born=datetime.date(1987, 3, 20), note="kanarie note")
        session.add_all([ada, Account(email=BOB, name=None), Account(email=CID, name="")])
        session.flush()
        session.add_all([Order(email=ADA, total=decimal.Decimal("10.50")), Order(email=ADA, total=3), Order(email=CID, total=1), Order(email=None, total=2)])
        session.commit()
        return shown([ada.id, ada.email, ada.name, ada.born, ada.note, ada.visits])

    check("returning", lambda: use(add))

    def objects(statement):
        def work(session):
            return shown([[a.id, a.email, a.handle, a.name, a.born, a.note, a.visits, [[o.id, o.email, o.total] for o in a.orders]]
                          for a in session.scalars(statement).unique()])
        return lambda: use(work)

    mine = sa.select(Account).where(Account.id >= 10000).order_by(Account.id)
    check("search", objects(mine))
    check("search", objects(mine.where(Account.email == ADA)))
    check("search", objects(mine.where(Account.email.in_([ADA, CID, "kanarie-none"]))))
    check("join", objects(mine.options(orm.joinedload(Account.orders))))
    check("join", objects(mine.options(orm.selectinload(Account.orders))))
    check("join", objects(mine.options(orm.subqueryload(Account.orders))))
    check("join", objects(mine.where(Account.orders.any(Order.total > 5))))
    check("join", objects(mine.join(Order, Order.email == Account.email).where(Order.total == 1)))

    def change(session):
        ada = session.scalar(sa.select(Account).where(Account.email == ADA))
        ada.name, ada.visits = "Kanarie Lovelace", Account.visits + 1
        session.commit()
        session.execute(sa.update(Account).where(Account.email == BOB).values(note="kanarie b"))
        session.execute(sa.delete(Account).where(Account.email == CID))
        session.commit()
        return shown([ada.name, ada.visits, session.scalar(sa.select(sa.func.count()).select_from(Account).where(Account.id >= 10000))])

    check("update", lambda: use(change))

    def nested(session):
        session.add(Account(email="kanarie-nested"))
        session.flush()
        try:
            with session.begin_nested():
                session.add(Account(email="kanarie-nested"))
        except DBAPIError as problem:
            outcome = error_of(problem)["error"]
        session.commit()
        return [outcome, session.scalar(sa.select(sa.func.count()).where(Account.email == "kanarie-nested"))]

    check("transaction", lambda: use(nested))

    def refused(statement, instead):
        def work(session):
            session.execute(sa.update(Account).where(Account.email == BOB).values(visits=5))
            try:
                with session.begin_nested():
                    session.execute(statement if SEALED else instead).all()
            except DBAPIError as problem:
                outcome = [error_of(problem)["error"] in ("0A000", "42703")]
            session.commit()
            return [outcome, session.scalar(sa.select(Account.visits).where(Account.email == BOB))]
        return lambda: use(work)

    wrong = sa.text("SELECT nothing")
    for statement in (sa.select(Account).where(sa.func.upper(Account.email) == "KANARIE"), sa.select(Account).where(Account.email.ilike("kanarie%")),
                      sa.select(Account).where(Account.name.startswith("Kanarie")), sa.select(Account).order_by(Account.email),
                      sa.select(Account).where(Account.email > "kanarie")):
        check("refusal", refused(statement, wrong))

    def stream(session):
        result = session.execute(sa.select(Account.id, Account.email).where(Account.id >= 10000).order_by(Account.id).execution_options(yield_per=2))
        return shown([list(r) for r in result])

    if DRIVER != "asyncpg":
        check("cursor", lambda: use(stream))

    def bulk(session):
        session.execute(sa.insert(Account), [{"id": n, "email": f"{WORD}-bulk-{n}", "name": f"{WORD} {n}"} for n in range(600, 650)])
        session.execute(sa.update(Account), [{"id": n, "name": f"{WORD} changed {n}"} for n in range(600, 605)])
        session.commit()
        return shown([list(r) for r in session.execute(sa.select(Account.email, Account.name).where(Account.id >= 600).order_by(Account.id))])

    check("batch", lambda: use(bulk))


main()
