CREATE TABLE quotes (
    symbol      TEXT PRIMARY KEY,
    price_cents BIGINT NOT NULL CHECK (price_cents >= 0),
    received_at TIMESTAMP NOT NULL
);
