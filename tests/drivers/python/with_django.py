"""Django's ORM over psycopg 3, with models of the tables as an application has them."""

import datetime
import decimal
import os

import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": "app", "USER": "app", "PASSWORD": os.environ["PGPASSWORD"],
        "HOST": "127.0.0.1", "PORT": os.environ["PGPORT"],
    }},
    USE_TZ=True, TIME_ZONE="Europe/Berlin",
)
django.setup()

from django.contrib.postgres.fields import ArrayField  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.db.utils import Error  # noqa: E402

import corpus_tables as tables  # noqa: E402
from common import ADA, BOB, CID, SEALED, WORD, Checks, error, native, shown  # noqa: E402
import json  # noqa: E402

FIELDS = {
    "text": models.TextField, "varchar": lambda **k: models.CharField(max_length=40, **k), "char": lambda **k: models.CharField(max_length=12, **k),
    "int2": models.SmallIntegerField, "int4": models.IntegerField, "int8": models.BigIntegerField, "bool": models.BooleanField,
    "float4": models.FloatField, "float8": models.FloatField,
    "numeric": lambda **k: models.DecimalField(max_digits=60, decimal_places=20, **k),
    "date": models.DateField, "time": models.TimeField, "timestamp": models.DateTimeField, "timestamptz": models.DateTimeField,
    "interval": models.DurationField, "uuid": models.UUIDField, "inet": models.GenericIPAddressField, "bytea": models.BinaryField,
    "jsonb": models.JSONField, "text[]": lambda **k: ArrayField(models.TextField(null=True), **k),
    "int4[]": lambda **k: ArrayField(models.IntegerField(null=True), **k),
}


def model(name, table):
    # Django has no timestamp without time zone and no json.
    columns = [c for c in tables.columns(table) if c[1] in FIELDS and c[1] != "timestamp" and c[0] != "k_numeric" and c[0] != "c_numeric2"]
    fields = {column: FIELDS[kind](null=True) for column, kind, _ in columns}
    meta = type("Meta", (), {"app_label": "app", "db_table": table, "managed": False})
    return type(name, (models.Model,), {"__module__": "app", "id": models.IntegerField(primary_key=True), "Meta": meta, **fields}), columns


Kind, KIND_COLUMNS = model("Kind", "kinds")
Key, KEY_COLUMNS = model("Key", "keys")


class Account(models.Model):
    id = models.AutoField(primary_key=True)
    email = models.TextField(unique=True)
    handle = models.CharField(max_length=40, null=True)
    name = models.TextField(null=True)
    born = models.DateField(null=True)
    note = models.TextField(null=True)
    visits = models.IntegerField(default=0)

    class Meta:
        app_label, db_table, managed = "app", "accounts", False


class Order(models.Model):
    id = models.AutoField(primary_key=True)
    account = models.ForeignKey(Account, models.DO_NOTHING, to_field="email", db_column="email", null=True, related_name="orders", db_constraint=False)
    total = models.DecimalField(max_digits=10, decimal_places=2, null=True)

    class Meta:
        app_label, db_table, managed = "app", "orders", False


def main():
    check = Checks(error_of)
    for n, (name, kind, values) in enumerate(KIND_COLUMNS, 1):
        for k, text in enumerate([*values, None]):
            value = value_of(kind, text)
            key = n * 10 + k
            check("types", lambda: shown(Kind.objects.create(id=key, **{name: value}).pk))
            check("types", lambda: shown(Kind.objects.values_list(name).get(id=key)))
            check("update", lambda: Kind.objects.filter(id=key).update(**{name: value}))
    check("types", lambda: shown(list(Kind.objects.order_by("id").values_list())))
    for n, (name, kind, values) in enumerate(KEY_COLUMNS, 1):
        a, b = (value_of(kind, v) for v in values)
        ids = [n * 10, n * 10 + 1, n * 10 + 2]
        check("search", lambda: len(Key.objects.bulk_create([Key(id=i, **{name: v}) for i, v in zip(ids, (a, b, None))])))
        rows = Key.objects.filter(id__in=ids).order_by("id")
        for found in (rows.filter(**{name: a}), rows.exclude(**{name: a}), rows.filter(**{f"{name}__in": [a, b]}), rows.filter(**{f"{name}__isnull": True})):
            check("search", lambda: shown(list(found.values_list("id", name))))
    accounts(check)


def value_of(kind, text):
    if text is None or kind == "inet":
        return text
    return json.loads(text) if kind == "jsonb" else native(kind, text)


def accounts(check):
    def create():
        ada = Account.objects.create(email=ADA, handle="kanarie-h", name="Kanarie Ada", born=datetime.date(1987, 3, 20), note="kanarie note")
        Account.objects.bulk_create([Account(email=BOB), Account(email=CID, name="")])
        Order.objects.bulk_create([Order(account_id=ADA, total=decimal.Decimal("10.50")), Order(account=ada, total=3), Order(account_id=CID, total=1), Order(total=2)])
        ada.refresh_from_db()
        return shown([ada.id, ada.email, ada.handle, ada.name, ada.born, ada.note, ada.visits])

    check("returning", create)
    check("search", lambda: shown(list(Account.objects.filter(email=ADA).values_list())))
    check("search", lambda: shown(Account.objects.get(email=BOB).id))
    check("search", lambda: Account.objects.filter(email="kanarie-none").exists())
    check("search", lambda: Account.objects.filter(email__in=[ADA, CID]).count())
    check("search", lambda: shown(list(Account.objects.filter(models.Q(email=ADA) | models.Q(handle="kanarie-x")).values_list("id"))))
    check("search", lambda: shown(list(Account.objects.in_bulk([ADA, BOB], field_name="email"))))
    check("upsert", lambda: [shown(Account.objects.get_or_create(email=ADA)[1]), shown(Account.objects.get_or_create(email="kanarie-new", defaults={"name": "kanarie"})[1])])
    check("upsert", lambda: shown(Account.objects.update_or_create(email="kanarie-new", defaults={"name": "kanarie 2"})[1]))

    def upsert():
        Account.objects.bulk_create([Account(email=ADA, note="kanarie u"), Account(email="kanarie-u", note="kanarie v")], update_conflicts=True, unique_fields=["email"], update_fields=["note"])
        Account.objects.bulk_create([Account(email=ADA)], ignore_conflicts=True)
        return shown(list(Account.objects.order_by("id").values_list("email", "note")))

    check("upsert", upsert)
    check("join", lambda: shown([[o.id, o.account and [o.account.email, o.account.name], o.total] for o in Order.objects.select_related("account").order_by("id")]))
    check("join", lambda: shown([[a.email, [o.total for o in a.orders.all()]] for a in Account.objects.prefetch_related("orders").order_by("id")]))
    check("join", lambda: shown(list(Account.objects.filter(orders__total__gt=5).values_list("email"))))
    check("join", lambda: shown(list(Order.objects.filter(account__email=CID).values_list("id", "account__name"))))
    check("join", lambda: shown(list(Account.objects.filter(email__in=Order.objects.filter(total=1).values("account_id")).values_list("id"))))
    check("group", lambda: shown(sorted(Order.objects.values("account_id").annotate(n=models.Count("id"), sum=models.Sum("total")).values_list("account_id", "n", "sum"), key=str)))
    check("group", lambda: shown(list(Account.objects.annotate(n=models.Count("orders")).order_by("id").values_list("email", "n"))))
    check("group", lambda: shown(sorted(Order.objects.values_list("account_id", flat=True).distinct(), key=str)))
    check("group", lambda: shown(Account.objects.aggregate(models.Count("email", distinct=True), models.Max("visits"))))

    def change():
        ada = Account.objects.get(email=ADA)
        ada.name = "Kanarie Lovelace"
        ada.save()
        Account.objects.filter(email=BOB).update(note="kanarie b", visits=models.F("visits") + 2)
        people = list(Account.objects.filter(email__in=[ADA, BOB]).order_by("id"))
        for person in people:
            person.handle = f"kanarie-{person.id}"
        Account.objects.bulk_update(people, ["handle"])
        gone = Account.objects.filter(email="kanarie-u").delete()
        return [gone[0], shown(list(Account.objects.order_by("id").values_list("email", "handle", "name", "note", "visits")))]

    check("update", change)
    check("errors", lambda: Account.objects.create(email=ADA) and None)

    def atomic():
        with transaction.atomic():
            Account.objects.create(email="kanarie-atomic")
            try:
                with transaction.atomic():
                    Account.objects.create(email="kanarie-atomic")
            except Error as problem:
                outcome = error_of(problem)["error"]
        return [outcome, Account.objects.filter(email="kanarie-atomic").count()]

    check("transaction", atomic)

    def refused(query):
        def work():
            outcome = None
            with transaction.atomic():
                Account.objects.filter(email=BOB).update(visits=9)
                try:
                    with transaction.atomic():
                        list(query if SEALED else Account.objects.extra(where=["nothing = 1"]))
                except Error as problem:
                    outcome = error_of(problem)["error"] in ("0A000", "42703")
            return [outcome, Account.objects.get(email=BOB).visits]
        return work

    for query in (Account.objects.filter(email__icontains=WORD), Account.objects.filter(email__iexact=ADA), Account.objects.filter(email__startswith=WORD),
                  Account.objects.filter(name="Kanarie Ada"), Account.objects.order_by("email"), Account.objects.filter(born__year=1987)):
        check("refusal", refused(query))

    def iterated():
        with transaction.atomic():
            return shown([a.email for a in Account.objects.order_by("id").iterator(chunk_size=2)])

    check("cursor", iterated)

    def raw():
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, email, full_name FROM account_names WHERE email = %s", [ADA])
            return shown(cursor.fetchall())

    check("view", raw)


def error_of(problem):
    origin = problem.__cause__ or problem
    state = getattr(origin, "sqlstate", None)
    if state is None:
        return error(type(problem).__name__, str(problem))
    return error(state, str(origin), kind=type(problem).__name__)


main()
