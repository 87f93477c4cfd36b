//! Result columns: described as declared, opened in DataRows.

use bytes::BytesMut;
use zeroize::Zeroizing;

use super::plans::Prepared;
use super::values::{Values, can_hold};
use crate::catalog::Class;
use crate::datum::{Format, array};
use crate::error::{ClientError, ClientFacing as _, SqlState};
use crate::sql::{Output, OutputValue, Schema};
use crate::wire::backend::Field;
use crate::wire::frame::HEAD;
use crate::wire::frontend::Formats;
use crate::wire::reader::{message, put_count, put_value};
use crate::wire::{Reader, WireError};

/// True if the server's account of where result columns come from contradicts the analysis: another number
/// of columns, a protected column where a plain one was expected, a protected column of another class, or a
/// type that cannot hold the stored form.
pub(super) fn disagrees(outputs: &[Output], fields: &[Field<'_>], schema: Option<&Schema>) -> bool {
    outputs.len() != fields.len()
        || outputs.iter().zip(fields).any(|(output, field)| {
            let origin = schema.and_then(|s| s.sealed_column(field.table, field.attribute));
            match &output.value {
                OutputValue::Plain => origin.is_some(),
                OutputValue::Sealed(class) => {
                    !can_hold(class.storage, false, field.type_oid)
                        || origin.is_some_and(|o| !matches!(o, OutputValue::Sealed(c) if same(c, class)))
                }
                OutputValue::SealedArray(class) => {
                    !can_hold(class.storage, true, field.type_oid)
                        || origin.is_some_and(|o| !matches!(o, OutputValue::SealedArray(c) if same(c, class)))
                }
            }
        })
}

/// True if what opens as the one opens as the other.
fn same(a: &Class, b: &Class) -> bool {
    a.binding == b.binding && a.storage == b.storage
}

/// True if a column that the analysis knows nothing of comes from a protected one.
pub(super) fn hands_out_sealed(fields: &[Field<'_>], schema: Option<&Schema>) -> bool {
    schema.is_some_and(|s| fields.iter().any(|f| s.sealed_column(f.table, f.attribute).is_some()))
}

/// Gives sealed columns their declared type.
pub(super) fn declare(outputs: &[Output], fields: &mut [Field<'_>]) {
    for (output, field) in outputs.iter().zip(fields) {
        match &output.value {
            OutputValue::Plain => {}
            OutputValue::Sealed(class) => {
                field.type_oid = class.ty.oid();
                field.type_size = class.ty.typlen();
                field.modifier = if class.bare { -1 } else { class.ty.modifier };
            }
            OutputValue::SealedArray(class) => {
                field.type_oid = class.ty.array_oid();
                field.type_size = -1;
                field.modifier = -1;
            }
        }
    }
}

/// Why a row was not opened.
pub(super) enum RowError {
    /// The server sent something that is no DataRow.
    Wire(WireError),
    /// A value cannot be opened, or the row has another number of columns than the plan.
    Value(ClientError),
}

impl From<WireError> for RowError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// Writes a DataRow with its sealed values opened. On an error `out` is as it was.
pub(super) fn open_row(
    body: &[u8],
    outputs: &[Output],
    formats: &Formats,
    values: &mut Values<'_>,
    out: &mut BytesMut,
) -> Result<(), RowError> {
    let start = out.len();
    let result = write_row(body, outputs, formats, values, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn write_row(
    body: &[u8],
    outputs: &[Output],
    formats: &Formats,
    values: &mut Values<'_>,
    out: &mut BytesMut,
) -> Result<(), RowError> {
    let mut r = Reader::new(body);
    let columns = r.count(4)?;
    if columns != outputs.len() {
        return Err(RowError::Value(origins_disagree()));
    }
    let mut result = Ok(());
    // An opened value is seldom longer than its envelope.
    out.reserve(HEAD + body.len());
    message(out, b'D', |b| {
        put_count(b, columns);
        for (i, output) in outputs.iter().enumerate() {
            result = (|| {
                let value = r.value()?;
                let (Some(stored), Some(format)) = (value, formats.of(i)) else {
                    if value.is_some() {
                        return Err(RowError::Value(origins_disagree()));
                    }
                    put_value(b, None);
                    return Ok(());
                };
                match &output.value {
                    OutputValue::Plain => put_value(b, Some(stored)),
                    OutputValue::Sealed(class) => {
                        let opened = values.opened(class, stored, format, format).map_err(RowError::Value)?;
                        put_value(b, Some(opened));
                    }
                    OutputValue::SealedArray(class) => {
                        let mut opened = Zeroizing::new(Vec::new());
                        open_array(class, stored, format, values, &mut opened).map_err(RowError::Value)?;
                        put_value(b, Some(&opened));
                    }
                }
                Ok(())
            })();
            if result.is_err() {
                return;
            }
        }
    });
    result?;
    r.finish()?;
    Ok(())
}

/// Appends the client's form of an array of stored values.
pub(super) fn open_array(
    class: &Class,
    stored: &[u8],
    format: Format,
    values: &mut Values<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ClientError> {
    let sealed = array::parse(stored, format).map_err(|e| e.client_error())?;
    let opened = sealed.map(|element, value| values.open(class, element, format, format, value))?;
    opened.write(class.ty.oid(), format, out);
    Ok(())
}

/// The server and the analysis do not agree on what a column is.
pub(super) fn origins_disagree() -> ClientError {
    ClientError::error(
        SqlState::INTERNAL,
        "the result's columns are not those that the analysis of the statement expects",
    )
    .with_hint("If a table or view was just changed, try again; else please report the statement's shape.")
}

/// What a Prepared's description means for it.
pub(super) fn check(
    prepared: &Prepared,
    statement: usize,
    fields: &[Field<'_>],
    schema: Option<&Schema>,
) -> bool {
    let outputs = prepared.plan.as_ref().and_then(|p| p.statements.get(statement)?.outputs.as_deref());
    match outputs {
        Some(outputs) => disagrees(outputs, fields, schema),
        None => hands_out_sealed(fields, schema),
    }
}
