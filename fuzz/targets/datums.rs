//! Text and binary input of every type that can be sealed: a value that is taken is written in both formats, and read
//! again from either it is written the same; and it is the same where it has but one form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgseal::datum::{self, Format, Input, Purpose, Settings, Type, array};

/// Object ids of the scalar types, and of some arrays.
const TYPES: [u32; 32] = [
    16, 17, 20, 21, 23, 25, 700, 701, 869, 650, 829, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1700, 2950, 114, 3802, 1000,
    1001, 1005, 1007, 1009, 1115, 1182, 1231, 2951, 3807,
];

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, how], bytes)) = data.split_first_chunk() else { return };
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Type::parse(text);
    }
    let format = if how & 1 == 0 { Format::Text } else { Format::Binary };
    let purpose = if how & 2 == 0 { Purpose::Store } else { Purpose::Compare };
    let _ = array::parse(bytes, format);
    let Some(ty) = Type::from_oid(TYPES[usize::from(kind) % TYPES.len()], -1) else { return };
    let settings = Settings::default();
    let read = |format, bytes: &[u8], normalise| {
        let mut out = Vec::new();
        let input = Input { source: None, format, bytes };
        datum::canonical(input, &ty, purpose, normalise, &settings, &mut out).map(|()| out)
    };
    for normalise in [false, true] {
        let Ok(canonical) = read(format, bytes, normalise) else { continue };
        for format in [Format::Text, Format::Binary] {
            // PostgreSQL too writes an interval's least possible time in a form that it does not take.
            if ty.name() == "interval" && format == Format::Text && canonical.starts_with(&i64::MIN.to_be_bytes()) {
                continue;
            }
            let write = |canonical: &[u8]| {
                let mut out = Vec::new();
                datum::write(canonical, &ty, format, &settings, &mut out).expect("what was taken can be written");
                out
            };
            let written = write(&canonical);
            let again = read(format, &written, normalise);
            let again = again.as_deref().unwrap_or_else(|error| panic!("{} {format:?} {}: {error}", ty.name(), written.escape_ascii()));
            assert_eq!(write(again), written, "{} {format:?}", ty.name());
            // A NaN may have many forms, as in PostgreSQL, where it is not to be compared.
            assert!(!normalise || again == canonical, "{} {format:?} {}", ty.name(), written.escape_ascii());
        }
    }
});
