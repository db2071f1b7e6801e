//! The two schemas, made from one text, mean the same.

use crate::database::Database;

/// The rows of a query, one line each, sorted.
fn lines(database: &Database, query: &str) -> Vec<String> {
    let mut lines: Vec<_> =
        database.rows(query).into_iter().map(|row| row.join(" ").to_lowercase()).collect();
    lines.sort();
    lines
}

/// Compares what a query of each database answers after the migrations.
fn same(sqlite: &str, postgres: &str) -> Vec<String> {
    let [sqlite, postgres] = [(Database::sqlite(), sqlite), (Database::postgres(), postgres)].map(
        |(database, query)| {
            database.open().unwrap().close();
            lines(&database, query)
        },
    );
    assert_eq!(sqlite, postgres);
    sqlite
}

#[test]
fn tables_have_the_same_columns_in_the_same_order() {
    let columns = same(
        "SELECT t.name, c.cid + 1, c.name, c.type,
                CASE c.\"notnull\" WHEN 1 THEN 'not null' ELSE 'null' END,
                coalesce(c.dflt_value, '-')
         FROM sqlite_master t, pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name <> 'refinery_schema_history'",
        "SELECT table_name, ordinal_position, column_name, data_type,
                CASE is_nullable WHEN 'NO' THEN 'not null' ELSE 'null' END,
                coalesce(column_default, '-')
         FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name <> 'refinery_schema_history'",
    );
    assert!(columns.contains(&"account 2 parent_id text null -".to_owned()));
    assert!(columns.contains(&"totp 11 policy_unique boolean not null -".to_owned()));
}

#[test]
fn primary_keys_have_the_same_columns_in_the_same_order() {
    let keys = same(
        "SELECT t.name, c.pk, c.name
         FROM sqlite_master t, pragma_table_info(t.name) c
         WHERE t.type = 'table' AND c.pk > 0 AND t.name <> 'refinery_schema_history'",
        "SELECT i.indrelid::regclass, k.position, a.attname
         FROM pg_index i
         CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, position)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
         WHERE i.indisprimary AND i.indrelid::regclass::text <> 'refinery_schema_history'
           AND i.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
    );
    assert!(keys.contains(&"event 2 id".to_owned()));
}

#[test]
fn indexes_have_the_same_names_and_columns() {
    let indexes = same(
        "SELECT t.name, i.name, i.\"unique\", c.seqno + 1, c.name
         FROM sqlite_master t, pragma_index_list(t.name) i, pragma_index_info(i.name) c
         WHERE t.type = 'table' AND i.origin <> 'pk'",
        "SELECT i.indrelid::regclass, i.indexrelid::regclass, i.indisunique::int, k.position,
                a.attname
         FROM pg_index i
         CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, position)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
         WHERE NOT i.indisprimary
           AND i.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
    );
    assert!(indexes.contains(&"key key_by_id 1 1 id".to_owned()));
}

#[test]
fn foreign_keys_are_the_same() {
    let keys = same(
        "SELECT t.name, f.\"from\", f.\"table\", f.\"to\"
         FROM sqlite_master t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'",
        "SELECT c.conrelid::regclass, a.attname, c.confrelid::regclass, f.attname
         FROM pg_constraint c
         CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k (of_key, of_target)
         JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.of_key
         JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.of_target
         WHERE c.contype = 'f'",
    );
    assert!(keys.contains(&"totp account_id account id".to_owned()));
}
