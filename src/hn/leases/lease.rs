//! The table `leases`.

use diesel::{
    ExpressionMethods, Insertable, QueryDsl, QueryResult, Queryable, RunQueryDsl, Selectable,
    SelectableHelper,
};

use crate::hn::{
    connection::{HnConnection, on_backend},
    coverage::Range,
    schema::leases,
};

/// How long a lease lasts that is not renewed, in seconds.
pub(super) const SECONDS: i64 = 60;

/// A range of ids that one run works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = leases)]
pub(super) struct Lease {
    pub(super) lo: i64,
    pub(super) hi: i64,
    /// The run: its row in the table `runs`.
    pub(super) owner: i64,
    pub(super) expires_at: i64,
}

impl Lease {
    pub(super) fn range(&self) -> Range {
        Range {
            lo: self.lo,
            hi: self.hi,
        }
    }

    /// All leases, in ascending order. They do not overlap.
    pub(super) fn all(conn: &mut impl HnConnection) -> QueryResult<Vec<Self>> {
        on_backend!(conn, |conn| leases::table
            .select(Self::as_select())
            .order(leases::lo)
            .load(conn))
    }

    /// Leases a range to a run. `now` is the database's time.
    pub(super) fn insert(
        conn: &mut impl HnConnection,
        Range { lo, hi }: Range,
        owner: i64,
        now: i64,
    ) -> QueryResult<()> {
        let lease = Self {
            lo,
            hi,
            owner,
            expires_at: now + SECONDS,
        };
        on_backend!(conn, |conn| diesel::insert_into(leases::table)
            .values(&lease)
            .execute(conn))?;
        Ok(())
    }

    pub(super) fn delete(&self, conn: &mut impl HnConnection) -> QueryResult<()> {
        let row = leases::table
            .find(self.lo)
            .filter(leases::owner.eq(self.owner));
        on_backend!(conn, |conn| diesel::delete(row).execute(conn))?;
        Ok(())
    }
}
