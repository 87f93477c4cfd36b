"""psql: parameters are literals in the text. One script for all steps, in psql's own words."""

import os
import re
import subprocess

from common import ADA, SEALED, STEPS, WORD, emit, error

END = "----end of step----"


def main():
    steps = [{**step, "sql": literal(step)} for step in STEPS if step["check"] != "prepared"]
    steps += own()
    script = ["\\set VERBOSITY verbose", "\\pset null <null>", "\\pset footer off", "\\pset format unaligned", "\\set SHOW_ALL_RESULTS on"]
    for step in steps:
        if ";" not in step["sql"] and re.match("SELECT|INSERT.*RETURNING", step["sql"], re.S) and not step.get("refused"):
            script += [step["sql"], "\\gdesc"]
        script += [step["sql"] + step.get("end", ";"), "\\echo :SQLSTATE :ROW_COUNT", f"\\echo {END}", f"\\warn {END}"]
    run = subprocess.run([os.environ["PSQL"], "-X", "-f", "-"], input="\n".join(script), capture_output=True, text=True)
    outs, errs = run.stdout.split(END), run.stderr.split(END)
    for step, out, err in zip(steps, outs, errs):
        emit(step["check"], step["step"], result(step, out.strip("\n"), err.strip()))
    if len(outs) != len(steps) + 1:
        raise SystemExit(f"psql ended after {len(outs)} of {len(steps)} steps: {run.stderr[-300:]}")


def literal(step):
    """The step's text with its parameters in their places."""
    if step.get("refused") and not SEALED:
        return step["instead"]

    def put(match):
        kind, value = step["params"][int(match[1]) - 1]
        return quoted(kind, value)

    return re.sub(r"\$(\d+)", put, step["sql"]) if step["params"] else step["sql"]


def quoted(kind, value):
    if value is None:
        return "NULL"
    if isinstance(value, list):
        elements = [v and v.replace("\\", "\\\\").replace('"', '\\"') if isinstance(v, str) else v for v in value]
        if kind == "bytea[]":
            elements = ["\\\\x" + v for v in value]
        return quoted("text", "{" + ",".join("NULL" if v is None else f'"{v}"' for v in elements) + "}")
    if kind == "bytea":
        value = "\\x" + value
    if kind in ("int2", "int4", "int8", "bool", "numeric"):
        return value
    return "'" + str(value).replace("'", "''") + "'"


def own():
    """What psql has beside statements."""
    texts = [
        ("batch", f"BEGIN; INSERT INTO orders (id, email) VALUES (900, '{WORD}-b1'); INSERT INTO orders (id, email) VALUES (901, '{WORD}-b2'); COMMIT"),
        ("batch", f"SELECT id, email FROM orders WHERE email IN ('{WORD}-b1', '{WORD}-b2') ORDER BY id"),
        ("batch", f"SELECT 1 AS a\\; SELECT email FROM orders WHERE id = 900\\; SELECT 'x' AS b, id FROM orders WHERE email = '{WORD}-b2'"),
        ("cursor", "\\set FETCH_COUNT 2\nSELECT id, email FROM orders WHERE id >= 900 ORDER BY id;\n\\unset FETCH_COUNT\nSELECT 1"),
        ("copy", "\\copy items (id, label) FROM STDIN\n50\tfifty\n51\t\\N\n\\.\nSELECT 1"),
        ("copy", "COPY (SELECT id, label FROM items WHERE id >= 50 ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"),
        ("copy", "COPY items (id, label) FROM STDIN;\nx\tfifty\n\\.\nSELECT 1"),
        ("notify", "LISTEN channel"),
        ("notify", "NOTIFY channel, 'hello'"),
        ("describe", "\\d items\nSELECT 1"),
        ("describe", "\\dt\nSELECT 1"),
        ("describe", "\\df no_such*\nSELECT 1"),
        ("cancel", "SET statement_timeout = 300;\nSELECT pg_sleep(20);\nSET statement_timeout = 0;\nSELECT count(*) FROM accounts"),
        ("cancel", f"SELECT count(*) FROM accounts WHERE email = '{ADA}'"),
        ("variables", f"\\set mail {WORD}-b1\nSELECT id FROM orders WHERE email = :'mail'"),
        ("variables", f"SELECT id, email AS mail FROM orders WHERE email = '{WORD}-b1' \\gset got_\n\\echo :got_mail :got_id\nSELECT 1"),
        ("crosstab", "SELECT id, email, total FROM orders WHERE id >= 900 ORDER BY id \\crosstabview\nSELECT 1"),
    ]
    return [{"check": check, "step": number, "sql": sql} for number, (check, sql) in enumerate(texts, 1001)]


def result(step, out, err):
    # Whose process sent a notification, and where psql's script stood, is not the proxy's doing.
    out = re.sub(r"PID \d+", "PID", out)
    found = re.search(r"(ERROR|FATAL):  (\w{5}): (.*)", err)
    if found:
        detail = re.search(r"DETAIL:  (.*)", err)
        return error(found[2], found[3], detail and detail[1], kind=found[1], position="LINE 1" in err or step.get("params") == [], out=out)
    return {"out": out, "err": err}


main()
