"""The sample shop: five tables of made-up data, personal data among it, the same on every machine."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

from psycopg import Connection, sql

DEFAULT_ROWS: Final = 200_000
FEWEST_ROWS: Final = 10
# What every login of the sample has for a password; nobody's.
LOGIN_PASSWORD: Final = "testing"  # noqa: S105
LOGINS: Final = ("analyst", "batch", "orders_app")

_TABLES: LiteralString = """
CREATE SEQUENCE order_numbers;
CREATE TABLE customers (
    id bigint NOT NULL, name text NOT NULL, email text NOT NULL, address text NOT NULL, joined_at timestamptz NOT NULL
);
CREATE TABLE products (
    id bigint NOT NULL, title text NOT NULL, price_cents int NOT NULL CHECK (price_cents > 0)
);
CREATE TABLE orders (
    id bigint NOT NULL DEFAULT nextval('order_numbers'), customer_id bigint NOT NULL, status text NOT NULL,
    placed_at timestamptz NOT NULL
);
CREATE TABLE items (
    order_id bigint NOT NULL, line int NOT NULL, product_id bigint NOT NULL, quantity int NOT NULL
);
CREATE TABLE payments (
    id bigint NOT NULL, order_id bigint NOT NULL, method text NOT NULL, amount_cents bigint NOT NULL,
    paid_at timestamptz NOT NULL
);
ALTER SEQUENCE order_numbers OWNED BY orders.id;
"""

# Knuth's multiplicative hash stands where random() would: neighbours differ, and every run is the same.
_ROWS: tuple[LiteralString, ...] = (
    """
    INSERT INTO customers
    SELECT id, first || ' ' || last, lower(last) || '.' || id || '@example.com',
           1 + mod(hash, 180) || ' ' || street || ', ' || city, timestamptz '2020-01-01 UTC' + id * interval '7 minutes'
    FROM (SELECT id, mod(id * 2654435761, 4294967296) AS hash FROM generate_series(1, %(customers)s::bigint) AS id) AS n
    CROSS JOIN LATERAL (SELECT
        ('{Ada,Bruno,Chloé,Dmitri,Elif,Farid,Grace,Hana,Ines,Jürgen,Kofi,Lucía,Mei}'::text[])
            [1 + mod(hash, 13)] AS first,
        ('{Adeyemi,Brandt,Castillo,Dubois,Eriksen,Fischer,Gupta,Haddad,Ivanova,Jansen,Kowalska}'::text[])
            [1 + mod(hash / 13, 11)] AS last,
        ('{Abbey Road,Birch Lane,Canal Street,Dock Road,Elm Avenue,Ferry Lane,Garden Row}'::text[])
            [1 + mod(hash / 143, 7)] AS street,
        ('{Lisbon,Nairobi,Oslo,Osaka,Quito}'::text[])[1 + mod(hash / 1001, 5)] AS city
    ) AS words
    """,
    """
    INSERT INTO products
    SELECT id, ('{Blue,Folding,Heavy,Light,Round,Small,Wooden}'::text[])[1 + mod(hash, 7)] || ' '
           || ('{basket,bench,chair,clock,kettle,lamp,shelf,table}'::text[])[1 + mod(hash / 7, 8)] || ' no. ' || id,
           199 + mod(hash, 30000)
    FROM (SELECT id, mod(id * 2654435761, 4294967296) AS hash FROM generate_series(1, %(products)s::bigint) AS id) AS n
    """,
    """
    INSERT INTO orders
    SELECT id, 1 + mod(hash, %(customers)s::bigint),
           ('{open,paid,shipped,shipped,shipped,returned}'::text[])[1 + mod(hash / 11, 6)],
           timestamptz '2024-01-01 UTC' + id * interval '11 minutes'
    FROM (SELECT id, mod(id * 2654435761, 4294967296) AS hash FROM generate_series(1, %(orders)s::bigint) AS id) AS n
    """,
    """
    INSERT INTO items
    SELECT 1 + mod(id, %(orders)s::bigint), 1 + id / %(orders)s::bigint, 1 + mod(hash, %(products)s::bigint),
           1 + mod(hash / 17, 5)
    FROM (SELECT id, mod(id * 2654435761, 4294967296) AS hash FROM generate_series(0, %(items)s::bigint - 1) AS id) AS n
    """,
    """
    INSERT INTO payments
    SELECT id, id, ('{card,invoice,transfer}'::text[])[1 + mod(hash, 3)], 199 + mod(hash, 90000),
           timestamptz '2024-01-02 UTC' + id * interval '11 minutes'
    FROM (SELECT id, mod(id * 2654435761, 4294967296) AS hash FROM generate_series(1, %(payments)s::bigint) AS id) AS n
    """,
    "SELECT setval('order_numbers', %(orders)s)",
)

# After the rows: checked in one pass, which is faster than row by row.
_KEYS: LiteralString = """
ALTER TABLE customers ADD PRIMARY KEY (id), ADD UNIQUE (email);
ALTER TABLE products ADD PRIMARY KEY (id);
ALTER TABLE orders ADD PRIMARY KEY (id), ADD FOREIGN KEY (customer_id) REFERENCES customers;
ALTER TABLE items ADD PRIMARY KEY (order_id, line), ADD FOREIGN KEY (order_id) REFERENCES orders,
    ADD FOREIGN KEY (product_id) REFERENCES products;
ALTER TABLE payments ADD PRIMARY KEY (id), ADD FOREIGN KEY (order_id) REFERENCES orders;
CREATE INDEX orders_by_customer ON orders (customer_id, placed_at);
"""

_GRANTS: LiteralString = """
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO orders_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO orders_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO analyst, batch;
"""


def shares(rows: int) -> dict[str, int]:
    """Return how many rows each table gets; together they are ``rows``. ValueError below FEWEST_ROWS."""
    if rows < FEWEST_ROWS:
        raise ValueError(f"the sample shop needs at least {FEWEST_ROWS} rows, and not {rows}")
    counts = {"customers": rows // 10, "products": max(rows // 100, 1), "orders": rows // 4, "payments": rows // 4}
    return {**counts, "items": rows - sum(counts.values())}


def in_words(tables: Mapping[int, Sequence[str]]) -> str:
    """Return what somebody may do, given which privileges hold on how many tables."""
    parts = [f"{', '.join(names)} on {count} {'table' if count == 1 else 'tables'}" for count, names in tables.items()]
    return "; ".join(parts) or "nothing on any table"


def load(connection: Connection[Any], rows: int) -> None:
    """Make the five tables with ``rows`` rows in all, in one transaction of an empty database."""
    counts = shares(rows)
    with connection.transaction():
        connection.execute(_TABLES)
        for statement in _ROWS:
            connection.execute(statement, counts)
        connection.execute(_KEYS)


def create_logins(connection: Connection[Any]) -> None:
    """Make production's logins, unless they are there, and let them at what the database holds."""
    with connection.transaction():
        present = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for name in sorted(set(LOGINS) - present):
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(create.format(sql.Identifier(name), sql.Literal(LOGIN_PASSWORD)))
        connection.execute(_GRANTS)
