//! Texts and Bind messages with their sealed values.

use std::borrow::Cow;

use bytes::BytesMut;

use super::plans::{Positions, Prepared};
use super::values::{BYTEA, TEXT, Values, stored_oid};
use crate::catalog::{Pin, Storage};
use crate::datum::array::{self, Array, Dimension};
use crate::datum::{Format, Input, Oid, Type, element_of};
use crate::error::{ClientError, ClientFacing as _, SqlState};
use crate::sql::{Edit, NOT_NULL, Parameter, Replacement, Use, each_of, one_of};
use crate::wire::frontend::{Bind, Formats};
use crate::wire::reader::{message, put_count, put_cstr, put_value};

/// The client's text with its edits carried out, and their places.
///
/// # Errors
/// A literal that is no value of its column's type, with its position.
pub(super) fn text(
    text: &str,
    edits: &[Edit],
    values: &mut Values<'_>,
) -> Result<(String, Positions), ClientError> {
    values.vault.begin_frame();
    let mut out = String::with_capacity(text.len() + 64 * edits.len());
    let mut positions = Positions::default();
    let (mut done, mut characters) = (0, 0);
    for edit in edits {
        let between = text.get(done..edit.range.start).ok_or_else(misplaced)?;
        let replaced = text.get(edit.range.clone()).ok_or_else(misplaced)?;
        out.push_str(between);
        characters += between.chars().count();
        let start = out.len();
        match &edit.replacement {
            Replacement::Text(new) => out.push_str(new),
            Replacement::Sealed { usage, value } => {
                literal(usage, value, values, &mut out).map_err(|e| e.at(characters + 1))?;
            }
            Replacement::NullTest { casts, value } => {
                let input = Input { source: None, format: Format::Text, bytes: value.as_bytes() };
                values.cast(casts, input).map_err(|e| e.client_error().at(characters + 1))?;
                out.push_str(NOT_NULL);
            }
            Replacement::SealedArray { usage, value } => {
                array_literal(usage, value, values, &mut out).map_err(|e| e.at(characters + 1))?;
            }
        }
        let old = replaced.chars().count();
        let new = out.get(start..).map_or(0, |s| s.chars().count());
        positions.push(characters, old, new);
        characters += old;
        done = edit.range.end;
    }
    out.push_str(text.get(done..).ok_or_else(misplaced)?);
    Ok((out, positions))
}

fn misplaced() -> ClientError {
    ClientError::error(SqlState::INTERNAL, "an edit of the statement is out of place")
}

/// A sealed literal carries its storage cast, and parentheses so that it can stand wherever a literal can.
fn literal(usage: &Use, value: &str, values: &mut Values<'_>, out: &mut String) -> Result<(), ClientError> {
    let mut stored = Vec::new();
    let input = Input { source: usage.source, format: Format::Text, bytes: value.as_bytes() };
    let Some(pin) = usage.class.moving() else {
        values.seal(usage, input, &mut stored)?;
        return written(usage.class.storage, stored, out);
    };
    let mut new = Vec::new();
    values.seal_both(usage, pin, input, &mut stored, &mut new)?;
    let mut literals = (String::new(), String::new());
    written(usage.class.storage, stored, &mut literals.0)?;
    written(usage.class.storage, new, &mut literals.1)?;
    out.push_str(&one_of(usage.place, pin.number, &literals.0, &literals.1));
    Ok(())
}

/// Appends a stored value as a literal.
fn written(storage: Storage, stored: Vec<u8>, out: &mut String) -> Result<(), ClientError> {
    let (stored, cast) = match storage {
        Storage::Bytea => (bytea_text(&stored), "'::pg_catalog.bytea)"),
        Storage::Text => (stored, "'::pg_catalog.text)"),
    };
    out.push_str("('");
    quoted(std::str::from_utf8(&stored).map_err(|_| misplaced())?, out);
    out.push_str(cast);
    Ok(())
}

/// Appends the inside of a literal. Only plaintext has quotes; a backslash means itself, since nothing is edited while
/// `standard_conforming_strings` is off.
fn quoted(text: &str, out: &mut String) {
    for (at, part) in text.split('\'').enumerate() {
        if at > 0 {
            out.push_str("\'\'");
        }
        out.push_str(part);
    }
}

fn array_literal(
    usage: &Use,
    value: &str,
    values: &mut Values<'_>,
    out: &mut String,
) -> Result<(), ClientError> {
    let (sealed, oid) = seal_array(usage, usage.source, Format::Text, value.as_bytes(), values)?;
    let text = String::from_utf8(sealed).map_err(|_| misplaced())?;
    let ty = if oid == BYTEA { "bytea" } else { "text" };
    let mut array = String::from("('");
    quoted(&text, &mut array);
    array += &format!("'::pg_catalog.{ty}[])");
    match usage.class.moving() {
        Some(pin) => out.push_str(&each_of(usage.place, pin.number, &array, usage.class.storage)),
        None => out.push_str(&array),
    }
    Ok(())
}

/// Each element of an array sealed; gives the array in the same format, and its element type.
fn seal_array(
    usage: &Use,
    source: Option<Oid>,
    format: Format,
    bytes: &[u8],
    values: &mut Values<'_>,
) -> Result<(Vec<u8>, Oid), ClientError> {
    let plain = array::parse(bytes, format).map_err(|e| e.client_error())?;
    let oid = match usage.class.storage {
        Storage::Bytea => BYTEA,
        Storage::Text => TEXT,
    };
    let written = |stored: Vec<u8>| match (oid, format) {
        (BYTEA, Format::Text) => bytea_text(&stored),
        _ => stored,
    };
    let mut newer = Vec::new();
    let mut sealed = plain.map(|element, out| {
        let input = Input { source, format, bytes: element };
        let (mut stored, mut new) = (Vec::new(), Vec::new());
        match usage.class.moving() {
            Some(pin) => values.seal_both(usage, pin, input, &mut stored, &mut new)?,
            None => {
                values.seal(usage, input, &mut stored)?;
                *out = written(stored);
                return Ok(());
            }
        }
        *out = written(stored);
        newer.push(written(new));
        Ok::<_, ClientError>(())
    })?;
    if usage.class.moving().is_some() {
        if sealed.dimensions.len() > 1 {
            return Err(in_many_dimensions(usage));
        }
        let mut newer = newer.into_iter();
        let with_new = |old: Option<Cow<'static, [u8]>>| {
            let new = if old.is_some() { newer.next().map(Cow::Owned) } else { None };
            [old, new]
        };
        sealed.elements = std::mem::take(&mut sealed.elements).into_iter().flat_map(with_new).collect();
        if let Some(dimension) = sealed.dimensions.first_mut() {
            *dimension = Dimension { length: 2 * dimension.length, lower: 1 };
        }
    }
    let mut out = Vec::new();
    sealed.write(oid, format, &mut out);
    Ok((out, oid))
}

fn in_many_dimensions(usage: &Use) -> ClientError {
    let column = &usage.class.column;
    ClientError::error(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("an array of several dimensions cannot be compared with encrypted column {column} now"),
    )
    .with_hint("The values of the column are being moved to another key; afterwards it can be again.")
}

/// A bytea in text form.
fn bytea_text(bytes: &[u8]) -> Vec<u8> {
    let mut text = b"\\x".to_vec();
    push_hex(bytes, &mut text);
    text
}

/// Appends bytes in hexadecimal.
pub(super) fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    let (pairs, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

/// The parameter types that the server is told: the client's own, and the storage type for sealed ones.
pub(super) fn declared_types(declared: &[Oid], parameters: &[Parameter]) -> Vec<Oid> {
    let last = parameters.iter().rposition(|p| !matches!(p, Parameter::Plain)).map_or(0, |i| i + 1);
    (0..declared.len().max(last))
        .map(|i| match parameters.get(i) {
            None | Some(Parameter::Plain) => declared.get(i).copied().unwrap_or(0),
            // The server says that it has no type, if it has none.
            Some(Parameter::NullTest(None)) if declared.get(i).is_none_or(|oid| *oid == 0) => 0,
            Some(Parameter::NullTest(_)) => TEXT,
            // Both its forms, while its class has two.
            Some(Parameter::Sealed(usage)) => stored_oid(usage.class.storage, usage.class.moving().is_some()),
            Some(Parameter::SealedArray(usage)) => stored_oid(usage.class.storage, true),
        })
        .collect()
}

/// The parameter type that the client is told.
pub(super) fn described_type(parameter: &Parameter, declared: Oid, described: Oid) -> Oid {
    match parameter {
        Parameter::Plain => described,
        _ if declared != 0 => declared,
        Parameter::NullTest(source) => source.unwrap_or(described),
        Parameter::Sealed(usage) => usage.source.unwrap_or_else(|| usage.class.ty.oid()),
        Parameter::SealedArray(usage) => usage
            .source
            .and_then(|oid| Type::from_oid(oid, -1))
            .map_or_else(|| usage.class.ty.array_oid(), |ty| ty.array_oid()),
    }
}

/// Writes a Bind message with its sealed parameters sealed.
///
/// # Errors
/// A value that is no value of its column's type; nothing was written then.
pub(super) fn bind(
    bind: &Bind<'_>,
    prepared: &Prepared,
    values: &mut Values<'_>,
    out: &mut BytesMut,
) -> Result<(), ClientError> {
    let Some(plan) = &prepared.plan else { return Err(misplaced()) };
    values.vault.begin_frame();
    let mut formats = Vec::with_capacity(bind.values.len());
    // Sealed values one behind the other, and where each ends.
    let mut sealed = Vec::new();
    let mut ends = Vec::with_capacity(bind.values.len());
    for (i, value) in bind.values.iter().enumerate() {
        let format = bind.formats.of(i).ok_or_else(|| {
            ClientError::error(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "bind message has {} parameter formats but {} parameters",
                    bind.formats.0.len(),
                    bind.values.len()
                ),
            )
        })?;
        let declared = prepared.declared.get(i).copied().filter(|oid| *oid != 0);
        match (plan.parameters.get(i), value) {
            (Some(Parameter::Sealed(usage)), Some(bytes)) => {
                let source = declared.or(usage.source);
                let input = Input { source, format, bytes };
                match usage.class.moving() {
                    Some(pin) => {
                        both_forms(usage, pin, input, values, &mut sealed)?;
                        formats.push(Format::Binary);
                    }
                    None => {
                        values.seal(usage, input, &mut sealed)?;
                        formats.push(stored_format(usage.class.storage));
                    }
                }
            }
            (Some(Parameter::SealedArray(usage)), Some(bytes)) => {
                let source = declared.and_then(element_of).or(usage.source);
                let (array, _) = seal_array(usage, source, format, bytes, values)?;
                sealed.extend_from_slice(&array);
                formats.push(format);
            }
            // An empty text, whatever it was.
            (Some(Parameter::NullTest(asked)), Some(bytes)) => {
                let source = declared.or(*asked);
                let ty = source.and_then(|oid| Type::from_oid(oid, -1));
                values.cast(ty.as_slice(), Input { source, format, bytes }).map_err(|e| e.client_error())?;
                formats.push(Format::Text);
            }
            _ => formats.push(format),
        }
        ends.push(sealed.len());
    }
    let mut start = 0;
    message(out, b'B', |b| {
        put_cstr(b, bind.portal);
        put_cstr(b, bind.statement);
        Formats(formats).write(b);
        put_count(b, bind.values.len());
        for (i, (value, end)) in bind.values.iter().zip(&ends).enumerate() {
            let is_sealed = !matches!(plan.parameters.get(i), None | Some(Parameter::Plain));
            match value {
                Some(_) if is_sealed => put_value(b, sealed.get(start..*end)),
                value => put_value(b, *value),
            }
            start = *end;
        }
        bind.result_formats.write(b);
    });
    Ok(())
}

/// Appends the binary array of a value's two forms.
fn both_forms(
    usage: &Use,
    pin: &Pin,
    input: Input<'_>,
    values: &mut Values<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ClientError> {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    values.seal_both(usage, pin, input, &mut old, &mut new)?;
    let forms = Array {
        dimensions: vec![Dimension { length: 2, lower: 1 }],
        elements: vec![Some(Cow::Owned(old)), Some(Cow::Owned(new))],
        element: 0,
    };
    forms.write(stored_oid(usage.class.storage, false), Format::Binary, out);
    Ok(())
}

/// The format in which a stored value is sent.
fn stored_format(storage: Storage) -> Format {
    match storage {
        Storage::Bytea => Format::Binary,
        Storage::Text => Format::Text,
    }
}
