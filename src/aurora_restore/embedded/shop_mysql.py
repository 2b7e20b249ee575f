"""The sample shop in MySQL's words: the same tables and the same rows as in PostgreSQL's.

The numbers come from MariaDB's sequence tables: the embedded account's MySQL is always a MariaDB.
"""

from collections.abc import Mapping
from typing import Final

from pymysql.cursors import Cursor

_TABLES: Final = (
    """
    CREATE TABLE customers (
        id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, email VARCHAR(200) NOT NULL, address VARCHAR(200) NOT NULL,
        joined_at DATETIME NOT NULL, UNIQUE KEY (email)
    )
    """,
    "CREATE TABLE products (id BIGINT PRIMARY KEY, title VARCHAR(100) NOT NULL, price_cents INT NOT NULL)",
    """
    CREATE TABLE orders (
        id BIGINT PRIMARY KEY AUTO_INCREMENT, customer_id BIGINT NOT NULL, status VARCHAR(20) NOT NULL,
        placed_at DATETIME NOT NULL, KEY orders_by_customer (customer_id, placed_at),
        FOREIGN KEY (customer_id) REFERENCES customers (id)
    )
    """,
    """
    CREATE TABLE items (
        order_id BIGINT NOT NULL, line INT NOT NULL, product_id BIGINT NOT NULL, quantity INT NOT NULL,
        PRIMARY KEY (order_id, line), FOREIGN KEY (order_id) REFERENCES orders (id),
        FOREIGN KEY (product_id) REFERENCES products (id)
    )
    """,
    """
    CREATE TABLE payments (
        id BIGINT PRIMARY KEY, order_id BIGINT NOT NULL, method VARCHAR(20) NOT NULL, amount_cents BIGINT NOT NULL,
        paid_at DATETIME NOT NULL, FOREIGN KEY (order_id) REFERENCES orders (id)
    )
    """,
)

# Knuth's multiplicative hash stands where RAND() would: neighbours differ, and every run is the same.
_ROWS: Final = (
    """
    INSERT INTO customers
    SELECT id, CONCAT(first, ' ', last), CONCAT(LOWER(last), '.', id, '@example.com'),
           CONCAT(1 + MOD(hash, 180), ' ', street, ', ', city), '2020-01-01' + INTERVAL id * 7 MINUTE
    FROM (
        SELECT id, hash,
            ELT(1 + MOD(hash, 13), 'Ada', 'Bruno', 'Chloé', 'Dmitri', 'Elif', 'Farid', 'Grace', 'Hana', 'Ines',
                'Jürgen', 'Kofi', 'Lucía', 'Mei') AS first,
            ELT(1 + MOD(hash DIV 13, 11), 'Adeyemi', 'Brandt', 'Castillo', 'Dubois', 'Eriksen', 'Fischer', 'Gupta',
                'Haddad', 'Ivanova', 'Jansen', 'Kowalska') AS last,
            ELT(1 + MOD(hash DIV 143, 7), 'Abbey Road', 'Birch Lane', 'Canal Street', 'Dock Road', 'Elm Avenue',
                'Ferry Lane', 'Garden Row') AS street,
            ELT(1 + MOD(hash DIV 1001, 5), 'Lisbon', 'Nairobi', 'Oslo', 'Osaka', 'Quito') AS city
        FROM (SELECT seq AS id, MOD(seq * 2654435761, 4294967296) AS hash FROM seq_1_to_{customers}) AS n
    ) AS words
    """,
    """
    INSERT INTO products
    SELECT id, CONCAT(ELT(1 + MOD(hash, 7), 'Blue', 'Folding', 'Heavy', 'Light', 'Round', 'Small', 'Wooden'), ' ',
           ELT(1 + MOD(hash DIV 7, 8), 'basket', 'bench', 'chair', 'clock', 'kettle', 'lamp', 'shelf', 'table'),
           ' no. ', id), 199 + MOD(hash, 30000)
    FROM (SELECT seq AS id, MOD(seq * 2654435761, 4294967296) AS hash FROM seq_1_to_{products}) AS n
    """,
    """
    INSERT INTO orders
    SELECT id, 1 + MOD(hash, {customers}),
           ELT(1 + MOD(hash DIV 11, 6), 'open', 'paid', 'shipped', 'shipped', 'shipped', 'returned'),
           '2024-01-01' + INTERVAL id * 11 MINUTE
    FROM (SELECT seq AS id, MOD(seq * 2654435761, 4294967296) AS hash FROM seq_1_to_{orders}) AS n
    """,
    """
    INSERT INTO items
    SELECT 1 + MOD(id, {orders}), 1 + id DIV {orders}, 1 + MOD(hash, {products}), 1 + MOD(hash DIV 17, 5)
    FROM (SELECT seq - 1 AS id, MOD((seq - 1) * 2654435761, 4294967296) AS hash FROM seq_1_to_{items}) AS n
    """,
    """
    INSERT INTO payments
    SELECT id, id, ELT(1 + MOD(hash, 3), 'card', 'invoice', 'transfer'), 199 + MOD(hash, 90000),
           '2024-01-02' + INTERVAL id * 11 MINUTE
    FROM (SELECT seq AS id, MOD(seq * 2654435761, 4294967296) AS hash FROM seq_1_to_{payments}) AS n
    """,
)


def load(cursor: Cursor, shares: Mapping[str, int]) -> None:
    """Make the five tables, each with its share of rows, in an empty database."""
    for table in _TABLES:
        cursor.execute(table)
    # All rows are made to fit: to look each reference up would take half of the time.
    cursor.execute("SET SESSION foreign_key_checks = OFF, unique_checks = OFF")
    for rows in _ROWS:
        cursor.execute(rows.format(**shares))
    cursor.execute("SET SESSION foreign_key_checks = ON, unique_checks = ON")
