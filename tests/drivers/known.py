"""What drivers send and pgseal refuses, with the reason: (beginning of the driver's name, check, steps, reason).

A refusal that is not listed here fails the run, and so does a difference that is not one of FOLLOWING.
"""

ARRAYS = "lists are sent as ARRAY[...], which cannot be stored in an encrypted array column yet"

REFUSED = [
    ("django", "update", [1069], "bulk_update assigns a CASE expression"),
    ("psycopg2", "types", [143, 149], ARRAYS),
    ("sqlalchemy psycopg2", "types", [1099, 1103], ARRAYS),
    ("sqlalchemy psycopg2", "update", [1050, 1052], ARRAYS),
    ("sqlalchemy", "search", [1024], "a cast to varchar(40)[], which would cut the elements"),
]

# Steps that read what a refused step would have written.
FOLLOWING = [
    ("psycopg2", "types", [144, 150], ARRAYS),
    ("sqlalchemy psycopg2", "types", [1100, 1104, 1107], ARRAYS),
]
