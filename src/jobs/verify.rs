//! Opening every value.

use std::sync::Arc;

use tokio_postgres::Client;

use super::table::Table;
use super::value::Values;
use super::walk::{Form, Position, Stored, Walk};
use super::{Failure, JobError, of_t};
use crate::keyring::{Keys, Vault, os_entropy};
use crate::policy::ColumnState;

/// Failures that are kept with their rows; beyond them they are only counted.
pub(super) const FAILURES_KEPT: usize = 1000;
/// Rows that are read at once.
const BATCH: u32 = 1000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Values that open.
    pub opened: u64,
    /// Values that are plaintext yet, in columns that are being migrated.
    pub plaintext: u64,
    /// Values that do not open.
    pub failed: u64,
    /// The first of them.
    pub failures: Vec<Failure>,
}

/// Opens every value of the tables' columns, or `sample` values of each column that were drawn at random.
///
/// # Errors
/// The server refuses a query.
pub async fn verify(
    client: &Client,
    tables: &[Table],
    keys: &Arc<Keys>,
    sample: Option<u32>,
) -> Result<Verified, JobError> {
    let mut values = Values::new(Vault::new(Arc::clone(keys), os_entropy()));
    let mut found = Verified::default();
    for table in tables {
        let held: Vec<String> =
            table.columns.iter().map(|column| format!("{} IS NOT NULL", of_t(&column.name))).collect();
        let condition = held.join(" OR ");
        verify_where(client, table, &condition, sample, &mut values, &mut found).await?;
    }
    Ok(found)
}

/// The same for the rows of one table that meet a condition.
pub(super) async fn verify_where(
    client: &Client,
    table: &Table,
    condition: &str,
    sample: Option<u32>,
    values: &mut Values,
    found: &mut Verified,
) -> Result<(), JobError> {
    let order = table.order(client).await?;
    let walk = Walk { table, order: &order, condition, batch: BATCH, form: Form::Stored };
    if let Some(sample) = sample {
        for row in walk.sample(client, sample).await? {
            look(table, &order, &row, values, found);
        }
        return Ok(());
    }
    let mut position: Position = None;
    loop {
        let piece = walk.next(client, &position).await?;
        for row in &piece.rows {
            look(table, &order, row, values, found);
        }
        if piece.is_last {
            return Ok(());
        }
        position = piece.position;
    }
}

fn look(table: &Table, order: &super::table::Order, row: &Stored, values: &mut Values, found: &mut Verified) {
    for (column, stored) in table.columns.iter().zip(&row.values) {
        let Some(stored) = stored else { continue };
        let is_plaintext =
            column.class.state == ColumnState::Migrating && !crate::crypto::looks_like_text_envelope(stored);
        if is_plaintext {
            found.plaintext += 1;
            continue;
        }
        match values.open(&column.class, stored) {
            Ok(_) => found.opened += 1,
            Err(why) => {
                found.failed += 1;
                if found.failures.len() < FAILURES_KEPT {
                    let (column, row) = (table.column_name(column), order.row(&row.key, &row.place));
                    found.failures.push(Failure { column, row, why });
                }
            }
        }
    }
}
