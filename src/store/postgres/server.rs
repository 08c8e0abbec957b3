//! Whether a server and its database can be used.

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{Bool, Integer, Nullable, Text},
};

/// The oldest PostgreSQL that can be used: since 12, a server notices within seconds that a client was cut off
/// (`tcp_user_timeout`), and no older one gets corrections any more.
pub const OLDEST_VERSION: i32 = 12;

#[derive(QueryableByName)]
struct Server {
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Text)]
    encoding: String,
    #[diesel(sql_type = Bool)]
    has_schema: bool,
    /// Schemas of the search path that this role may not use.
    #[diesel(sql_type = Nullable<Text>)]
    forbidden_schemas: Option<String>,
    #[diesel(sql_type = Text)]
    role: String,
}

/// Why the database cannot be used, for a person to read.
pub(super) fn require_usable(conn: &mut PgConnection) -> Result<(), String> {
    let server: Server = sql_query(
        "SELECT current_setting('server_version_num')::int AS version,
             current_setting('server_encoding') AS encoding, current_schema() IS NOT NULL AS has_schema,
             quote_ident(current_user) AS role,
             (SELECT string_agg(quote_ident(nspname), ', ') FROM pg_catalog.pg_namespace
              WHERE NOT has_schema_privilege(oid, 'USAGE') AND nspname::text = ANY (string_to_array(
                  replace(translate(current_setting('search_path'), '\" ', ''), '$user', current_user::text), ',')))
                 AS forbidden_schemas",
    )
    .get_result(conn)
    .map_err(|error| error.to_string())?;
    server.require_usable()
}

impl Server {
    fn require_usable(&self) -> Result<(), String> {
        let major = self.version / 10_000;
        if major < OLDEST_VERSION {
            let found = if major < 10 {
                format!("{major}.{}", self.version / 100 % 100)
            } else {
                major.to_string()
            };
            return Err(format!(
                "the server is PostgreSQL {found}, and version {OLDEST_VERSION} or newer is needed; update the server, or name another one"
            ));
        }
        if self.encoding != "UTF8" {
            return Err(format!(
                "its encoding is {}, which cannot hold every text; create a database with ENCODING 'UTF8' TEMPLATE template0",
                self.encoding
            ));
        }
        if let (false, Some(schemas)) = (self.has_schema, &self.forbidden_schemas) {
            return Err(format!(
                "this role may not use the schema {schemas}; let its owner run GRANT USAGE ON SCHEMA {schemas} TO {}, or name another role",
                self.role
            ));
        }
        if !self.has_schema {
            return Err(
                "no schema of its search_path exists; create the schema, or name another one in the URL (?options=-csearch_path%3Dpublic)"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn a_server_that_is_too_old_or_not_utf8_is_refused_with_what_is_needed() {
        let server = |version, encoding: &str| Server {
            version,
            encoding: encoding.to_owned(),
            has_schema: true,
            forbidden_schemas: None,
            role: "me".to_owned(),
        };
        assert_eq!(server(120_000, "UTF8").require_usable(), Ok(()));
        for (server, wanted) in [
            (
                server(110_022, "UTF8"),
                "PostgreSQL 11, and version 12 or newer",
            ),
            (
                server(90_624, "UTF8"),
                "PostgreSQL 9.6, and version 12 or newer",
            ),
            (server(150_001, "LATIN1"), "its encoding is LATIN1"),
        ] {
            let why = server.require_usable().unwrap_err();
            assert!(why.contains(wanted), "{why}");
        }
    }
}
