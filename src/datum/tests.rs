//! Cases whose answers a server gave (`cases/`), and what no server is needed for.

use super::*;
use crate::error::ClientFacing;

const INPUT: &str = include_str!("cases/input.tsv");
const STORE: &str = include_str!("cases/store.tsv");
const REFUSED: &str = include_str!("cases/refused.tsv");
const COMPARE: &str = include_str!("cases/compare.tsv");
const CAST: &str = include_str!("cases/cast.tsv");

fn rows<const N: usize>(table: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        fields.try_into().unwrap_or_else(|_| panic!("{line}"))
    })
}

fn unescape(field: &str) -> String {
    let mut text = String::new();
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('1') => '\u{1}',
                other => other.unwrap(),
            },
            c => c,
        });
    }
    text
}

fn settings(changes: &str) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in changes.split(';').filter_map(|change| change.split_once('=')) {
        assert!(settings.apply(name, value), "{name}");
    }
    settings
}

fn ty(name: &str) -> Type {
    match Type::parse(name) {
        Ok(TypeName::Builtin(ty)) => ty,
        other => panic!("{name}: {other:?}"),
    }
}

fn source(name: &str) -> Option<Oid> {
    match name {
        "unknown" => None,
        "name" => Some(19),
        _ => Some(ty(name).oid()),
    }
}

fn mood() -> Type {
    Type::plain(Base::Enum(Arc::new(EnumType {
        oid: 90_001,
        array_oid: 90_000,
        name: "app.mood".to_owned(),
        labels: vec!["sad".to_owned(), "so so".to_owned()],
    })))
}

/// The canonical form, or the SQLSTATE.
fn take(
    source: Option<Oid>,
    format: Format,
    bytes: &[u8],
    ty: &Type,
    purpose: Purpose,
    normalise: bool,
    settings: &Settings,
) -> Result<Vec<u8>, String> {
    let mut out = b"before".to_vec();
    let input = Input { source, format, bytes };
    match canonical(input, ty, purpose, normalise, settings, &mut out) {
        Ok(()) => Ok(out.split_off(6)),
        Err(error) => {
            assert_eq!(out, b"before", "an error leaves nothing behind");
            Err(error.client_error().code.as_str().to_owned())
        }
    }
}

fn store(text: &str, ty: &Type, settings: &Settings) -> Result<Vec<u8>, String> {
    take(None, Format::Text, text.as_bytes(), ty, Purpose::Store, false, settings)
}

fn written(canonical: &[u8], ty: &Type, format: Format, settings: &Settings) -> Vec<u8> {
    let mut out = Vec::new();
    write(canonical, ty, format, settings, &mut out).unwrap_or_else(|error| panic!("{ty}: {error}"));
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares a result with a server's: text and binary output, or its SQLSTATE.
fn check(
    case: &str,
    found: Result<Vec<u8>, String>,
    text: &str,
    binary: &str,
    ty: &Type,
    settings: &Settings,
) {
    match (found, text.strip_prefix('!')) {
        (Err(code), Some(expected)) => assert_eq!(code, expected, "{case}"),
        (Ok(canonical), None) => {
            let printed = written(&canonical, ty, Format::Text, settings);
            assert_eq!(String::from_utf8_lossy(&printed), unescape(text), "{case}");
            let sent = written(&canonical, ty, Format::Binary, settings);
            assert_eq!(hex(&sent), binary, "{case}");
            let back = take(None, Format::Binary, &sent, ty, Purpose::Store, false, settings);
            assert_eq!(back, Ok(canonical), "{case}: back from binary");
        }
        (found, _) => panic!("{case}: {found:?}, not {text}"),
    }
}

#[test]
fn literals_are_read_and_given_out_as_the_server_does() {
    for [name, changes, literal, text, binary] in rows(INPUT) {
        let (ty, settings) = (ty(name), settings(changes));
        let case = format!("{literal}::{name} [{changes}]");
        check(&case, store(&unescape(literal), &ty, &settings), text, binary, &ty, &settings);
    }
}

#[test]
fn values_of_other_types_are_stored_as_the_server_casts_them() {
    for [from, to, changes, value, text, binary] in rows(STORE) {
        let (ty, settings) = (ty(to), settings(changes));
        let value = unescape(value);
        let found = take(source(from), Format::Text, value.as_bytes(), &ty, Purpose::Store, false, &settings);
        check(&format!("{value}::{from} in {to} [{changes}]"), found, text, binary, &ty, &settings);
    }
}

#[test]
fn pairs_that_the_server_does_not_cast_are_refused() {
    for [from, to] in rows(REFUSED) {
        // Whatever the value is: the pair is refused before it is read.
        let found =
            take(source(from), Format::Text, b"", &ty(to), Purpose::Store, false, &Settings::default());
        assert_eq!(found, Err("0A000".to_owned()), "{from} in {to}");
    }
}

#[test]
fn comparisons_are_answered_as_the_server_does_or_refused() {
    for [column, stored, from, value, changes, answer] in rows(COMPARE) {
        let (ty, settings) = (ty(column), settings(changes));
        let (stored, value) = (unescape(stored), unescape(value));
        let case = format!("{column} {stored} = {value}::{from} [{changes}]");
        let stored = take(None, Format::Text, stored.as_bytes(), &ty, Purpose::Store, true, &settings);
        let value =
            take(source(from), Format::Text, value.as_bytes(), &ty, Purpose::Compare, true, &settings);
        match answer.strip_prefix('!') {
            Some(code) => assert_eq!(value, Err(code.to_owned()), "{case}"),
            None => assert_eq!((stored.unwrap() == value.expect(&case)).to_string(), answer, "{case}"),
        }
    }
}

#[test]
fn explicit_casts_are_evaluated_as_the_server_does() {
    for [from, to, changes, value, text, binary] in rows(CAST) {
        let (ty, settings) = (ty(to), settings(changes));
        let value = unescape(value);
        let mut result = b"before".to_vec();
        let input = Input { source: source(from), format: Format::Text, bytes: value.as_bytes() };
        let found = match cast(input, &ty, &settings, &mut result) {
            Ok(()) => {
                take(Some(ty.oid()), Format::Binary, &result[6..], &ty, Purpose::Store, false, &settings)
            }
            Err(error) => {
                assert_eq!(result, b"before", "an error leaves nothing behind");
                Err(error.client_error().code.as_str().to_owned())
            }
        };
        check(&format!("{value}::{from}::{to} [{changes}]"), found, text, binary, &ty, &settings);
    }
    // An enum is read from text too.
    let mut label = Vec::new();
    let input = Input { source: Some(25), format: Format::Text, bytes: b"sad" };
    assert_eq!(cast(input, &mood(), &Settings::default(), &mut label), Ok(()));
    assert_eq!(label, b"sad");
}

#[test]
fn forms_that_the_server_reads_and_we_do_not_are_errors() {
    for (name, literal, code) in [
        ("float8", "0x10", "22P02"),
        ("inet", "::1.2.3", "22P02"),
        ("macaddr", "08002b01020", "22P02"),
        ("date", "J2451187", "22007"),
        ("date", "1999.008", "22007"),
        ("date", "y2001m02d04", "22007"),
        ("date", "today", "0A000"),
        ("timestamptz", "now", "0A000"),
        ("timestamptz", "2000-01-01 00:00:00 MSK", "22007"),
        ("time", "2000-01-01 10:20:30 America/New_York", "22007"),
        ("interval", "P0002-10-15T10:30:20", "22007"),
    ] {
        assert_eq!(
            store(literal, &ty(name), &Settings::default()),
            Err(code.to_owned()),
            "{literal}::{name}"
        );
    }
}

#[test]
fn what_needs_an_unknown_time_zone_fails() {
    let settings = settings("TimeZone=Mars/Olympus");
    assert_eq!(store("2000-01-01 10:00", &ty("timestamptz"), &settings), Err("0A000".to_owned()));
    let canonical = store("2000-01-01 10:00+00", &ty("timestamptz"), &settings).unwrap();
    let error = write(&canonical, &ty("timestamptz"), Format::Text, &settings, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, DatumError::UnknownZone(_)), "{error:?}");
    assert_eq!(written(&canonical, &ty("timestamptz"), Format::Binary, &settings).len(), 8);
    assert!(store("2000-01-01 10:00", &ty("timestamp"), &settings).is_ok());
}

#[test]
fn equal_values_have_one_form_in_deterministic_columns() {
    let settings = Settings::default();
    for (name, purpose, forms) in [
        ("float8", Purpose::Store, &["0", "-0", "0e5"][..]),
        ("float8", Purpose::Store, &["NaN", "-NaN"]),
        ("float4", Purpose::Compare, &["-0", "0"]),
        ("numeric(6,2)", Purpose::Store, &["1.5", "1.50", "1.499999", "1.5000001"]),
        ("numeric(6,2)", Purpose::Compare, &["1.5", "1.50", "1.5000"]),
        ("char(5)", Purpose::Store, &["a", "a ", "a       "]),
        ("char(5)", Purpose::Compare, &["a", "a ", "a       "]),
        ("timestamptz", Purpose::Store, &["2000-01-01 00:00+00", "1999-12-31 19:00 EST"]),
        (
            "uuid",
            Purpose::Store,
            &["a0eebc999c0b4ef8bb6d6bb9bd380a11", "{A0EEBC99-9C0B4EF8BB6D6BB9BD380A11}"],
        ),
    ] {
        let mut found = forms.iter().map(|form| {
            take(None, Format::Text, form.as_bytes(), &ty(name), purpose, true, &settings).unwrap()
        });
        let first = found.next().unwrap();
        assert!(found.all(|form| form == first), "{name} {forms:?}");
    }
    let text = |value: &str| store(value, &ty("text"), &settings).unwrap();
    assert_ne!(text("a"), text("a "));
}

#[test]
fn randomized_columns_keep_what_was_written() {
    let settings = Settings::default();
    for (name, literal, text) in [
        ("float8", "-0", "-0"),
        ("numeric", "1.5000", "1.5000"),
        ("bpchar", "a  ", "a  "),
        ("json", "{\"b\" : 1,  \"a\":2}", "{\"b\" : 1,  \"a\":2}"),
        ("text", "", ""),
    ] {
        let canonical = store(literal, &ty(name), &settings).unwrap();
        assert_eq!(written(&canonical, &ty(name), Format::Text, &settings), text.as_bytes(), "{name}");
    }
}

#[test]
fn integers_have_one_form_in_every_width() {
    let settings = Settings::default();
    for name in ["int2", "int4", "int8"] {
        assert_eq!(store("-2", &ty(name), &settings), Ok((-2_i64).to_be_bytes().to_vec()), "{name}");
    }
    // As drivers send them: an int8 for an int4 column, and the other way round.
    for (from, bytes, to, expected) in [
        (20, &7_i64.to_be_bytes()[..], "int4", Ok(7_i64)),
        (21, &7_i16.to_be_bytes(), "int8", Ok(7)),
        (20, &3_000_000_000_i64.to_be_bytes(), "int4", Err("22003".to_owned())),
        (23, &7_i64.to_be_bytes(), "int4", Err("22P03".to_owned())),
    ] {
        let found = take(Some(from), Format::Binary, bytes, &ty(to), Purpose::Store, false, &settings);
        assert_eq!(found, expected.map(|value| value.to_be_bytes().to_vec()), "{from} in {to}");
    }
    // No int4 is that large, so it equals none; that is an answer.
    let large = 3_000_000_000_i64.to_be_bytes();
    let found = take(Some(20), Format::Binary, &large, &ty("int4"), Purpose::Compare, true, &settings);
    assert_eq!(found, Ok(large.to_vec()));
}

#[test]
fn enum_labels_are_checked_and_kept_as_text() {
    let (mood, settings) = (mood(), Settings::default());
    assert_eq!(store("so so", &mood, &settings), Ok(b"so so".to_vec()));
    assert_eq!(
        take(Some(90_001), Format::Binary, b"sad", &mood, Purpose::Compare, true, &settings),
        Ok(b"sad".to_vec())
    );
    assert_eq!(store("glad", &mood, &settings), Err("22P02".to_owned()));
    assert_eq!(
        take(Some(25), Format::Text, b"sad", &mood, Purpose::Store, false, &settings),
        Err("0A000".to_owned())
    );
    assert_eq!(
        (mood.oid(), mood.array_oid(), mood.typlen(), mood.name().as_str()),
        (90_001, 90_000, 4, "app.mood")
    );
    let moods = Type::plain(Base::Array(Box::new(mood.base.clone())));
    let canonical = store("{sad,\"so so\"}", &moods, &settings).unwrap();
    assert_eq!(written(&canonical, &moods, Format::Text, &settings), b"{sad,\"so so\"}");
    assert_eq!(written(&canonical, &moods, Format::Binary, &settings)[8..12], 90_001_u32.to_be_bytes());
    assert_eq!(
        (moods.oid(), moods.name().as_str(), moods.family().label().as_str()),
        (90_000, "app.mood[]", "text[]")
    );
}

#[test]
fn types_that_are_not_known_are_refused() {
    let settings = Settings::default();
    for (oid, bytes) in [(26, &b"5"[..]), (790, b"$5"), (1266, b"10:00+00"), (19, &[b'a'; 64])] {
        let found = take(Some(oid), Format::Text, bytes, &ty("text"), Purpose::Store, false, &settings);
        assert_eq!(found, Err("0A000".to_owned()), "{oid}");
    }
    for unknown in [None, Some(0), Some(705)] {
        let found = take(unknown, Format::Text, b"5", &ty("int4"), Purpose::Store, false, &settings);
        assert_eq!(found, Ok(5_i64.to_be_bytes().to_vec()));
    }
}

#[test]
fn text_must_be_utf8_without_nul() {
    let settings = Settings::default();
    for (bytes, message) in [
        (&b"a\0b"[..], "invalid byte sequence for encoding \"UTF8\": 0x00"),
        (b"a\xff", "invalid byte sequence for encoding \"UTF8\": 0xff"),
        (b"\xe2\x82", "invalid byte sequence for encoding \"UTF8\": 0xe2 0x82"),
        (b"\xed\xa0\x80", "invalid byte sequence for encoding \"UTF8\": 0xed 0xa0 0x80"),
        (b"\xf8", "invalid byte sequence for encoding \"UTF8\": 0xf8"),
    ] {
        for format in [Format::Text, Format::Binary] {
            let input = Input { source: None, format, bytes };
            let error = canonical(input, &ty("text"), Purpose::Store, false, &settings, &mut Vec::new());
            let error = error.unwrap_err().client_error();
            assert_eq!((error.code.as_str(), error.message.as_ref()), ("22021", message));
        }
    }
}

#[test]
fn errors_quote_the_input_to_the_client_and_hide_it_from_logs() {
    let input = Input { source: None, format: Format::Text, bytes: b"secret" };
    let error = canonical(input, &ty("int4"), Purpose::Store, false, &Settings::default(), &mut Vec::new());
    let error = error.unwrap_err();
    assert_eq!(error.client_error().message, "invalid input syntax for type integer: \"secret\"");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    let detail = |ty_name: &str, literal: &str| {
        let input = Input { source: None, format: Format::Text, bytes: literal.as_bytes() };
        canonical(input, &ty(ty_name), Purpose::Store, false, &Settings::default(), &mut Vec::new())
            .unwrap_err()
            .client_error()
    };
    assert_eq!(
        detail("numeric(5,2)", "1000").detail.unwrap(),
        "A field with precision 5, scale 2 must round to an absolute value less than 10^3."
    );
    assert_eq!(detail("varchar(3)", "abcd").message, "value too long for type character varying(3)");
    assert_eq!(
        detail("date", "13/13/2000").hint.unwrap(),
        "Perhaps you need a different \"datestyle\" setting."
    );
}

#[test]
fn arrays_of_sealed_values_are_taken_apart_and_put_together() {
    // = ANY($1) with text elements: each is sealed, the server gets bytea[].
    let array = array::parse(b"[2:4]={alice@example.org,NULL,\"a \\\"b\"}", Format::Text).unwrap();
    let elements: Vec<_> = array.elements.iter().map(Option::as_deref).collect();
    assert_eq!(elements, [Some(&b"alice@example.org"[..]), None, Some(b"a \"b")]);
    let sealed = array
        .map(|value, out| {
            out.extend_from_slice(b"\\x");
            out.extend_from_slice(hex(value).as_bytes());
            Ok::<_, DatumError>(())
        })
        .unwrap();
    let mut text = Vec::new();
    sealed.write(17, Format::Text, &mut text);
    assert_eq!(
        String::from_utf8_lossy(&text),
        "[2:4]={\"\\\\x616c696365406578616d706c652e6f7267\",NULL,\"\\\\x61202262\"}"
    );
    let mut binary = Vec::new();
    sealed.write(17, Format::Binary, &mut binary);
    let back = array::parse(&binary, Format::Binary).unwrap();
    assert_eq!((back.element, &back.elements, &back.dimensions), (17, &sealed.elements, &array.dimensions));
}

#[test]
fn counts_that_lie_are_refused_without_allocating() {
    let settings = Settings::default();
    let array = |fields: &[i32]| fields.iter().flat_map(|field| field.to_be_bytes()).collect::<Vec<u8>>();
    let max = i32::MAX;
    for (name, bytes) in [
        ("int4[]", array(&[7, 0, 23])),
        ("int4[]", array(&[-1, 0, 23])),
        ("int4[]", array(&[max, 0, 23])),
        ("int4[]", array(&[1, 0, 23, max, 1])),
        ("int4[]", array(&[1, 0, 23, 10, 1, 4, 5])),
        ("int4[]", array(&[2, 0, 23, 65_536, 1, 65_536, 1])),
        ("int4[]", array(&[6, 0, 23, max, 1, max, 1, max, 1, max, 1, max, 1, max, 1])),
        ("int4[]", array(&[1, 0, 23, -1, 1])),
        ("int4[]", array(&[1, 0, 23, 2, max, 4, 1, 4, 1])),
        ("int4[]", array(&[1, 0, 23, 1, 1, max])),
        ("int4[]", array(&[1, 0, 23, 1, 1, -2])),
        ("int4[]", array(&[1, 2, 23, 1, 1, 4, 5])),
        ("int4[]", array(&[1, 0, 20, 1, 1, 8, 0, 5])),
        ("int4[]", array(&[1, 0, 23, 1, 1, 4, 5, 0])),
        ("numeric", vec![0xFF, 0xFF, 0, 0, 0, 0, 0, 0]),
        ("numeric", vec![0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]),
        ("numeric", vec![0, 0, 0, 0, 0x12, 0x34, 0, 0]),
        ("numeric", vec![0, 0, 0, 0, 0, 0, 0x40, 0]),
        ("inet", vec![2, 33, 0, 4, 1, 2, 3, 4]),
        ("inet", vec![2, 32, 0, 16, 1, 2, 3, 4]),
        ("inet", vec![4, 32, 0, 4, 1, 2, 3, 4]),
        ("cidr", vec![2, 8, 1, 4, 10, 0, 0, 1]),
        ("date", 0x7FFF_FFFE_i32.to_be_bytes().to_vec()),
        ("time", (-1_i64).to_be_bytes().to_vec()),
        ("timestamp", (i64::MAX - 1).to_be_bytes().to_vec()),
        ("jsonb", b"\x02{}".to_vec()),
        ("jsonb", Vec::new()),
        ("bool", Vec::new()),
    ] {
        let found = take(None, Format::Binary, &bytes, &ty(name), Purpose::Store, false, &settings);
        assert!(found.is_err(), "{name} {bytes:02x?}: {found:?}");
    }
}

#[test]
fn a_value_cut_at_any_byte_is_an_error_or_another_value() {
    let settings = Settings::default();
    for [name, _, literal, text, _] in rows::<5>(INPUT).step_by(3) {
        let ty = ty(name);
        let Ok(canonical) = store(&unescape(literal), &ty, &settings) else { continue };
        let sent = written(&canonical, &ty, Format::Binary, &settings);
        let varies = matches!(ty.family(), Family::Text | Family::Bytes | Family::Json | Family::Jsonb);
        for end in 0..sent.len() {
            let cut = take(None, Format::Binary, &sent[..end], &ty, Purpose::Store, false, &settings);
            assert!(varies || cut.is_err(), "{name} {text} cut at {end}");
            // The server misses bytes; in an array, those of an element in other words.
            if !varies && !name.contains('[') {
                assert_eq!(cut, Err("08P01".to_owned()), "{name} {text} cut at {end}");
            }
        }
        for end in 0..canonical.len() {
            for format in [Format::Text, Format::Binary] {
                let cut = write(&canonical[..end], &ty, format, &settings, &mut Vec::new());
                assert!(varies || cut.is_err(), "{name} {text} cut at {end}");
            }
        }
        let literal = unescape(literal);
        for (end, _) in literal.char_indices() {
            let _ = store(literal.split_at(end).0, &ty, &settings);
        }
    }
}

#[test]
fn random_bytes_are_errors_or_values() {
    let settings = settings("TimeZone=Europe/Berlin");
    let types = [
        "bool",
        "int4",
        "float8",
        "numeric(9,3)",
        "text",
        "char(3)",
        "bytea",
        "date",
        "time",
        "timestamp",
        "timestamptz(2)",
        "interval",
        "uuid",
        "inet",
        "cidr",
        "macaddr",
        "json",
        "jsonb",
        "int2[]",
        "text[]",
        "jsonb[]",
        "varchar(2)[]",
    ]
    .map(ty);
    // A generator of its own, so that a failure repeats.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    const PRINTABLE: &[u8] = b"0123456789-+:./ TZeE{}[]\",\\=nulNaNinfjan";
    for round in 0..60_000 {
        let ty = &types[round % types.len()];
        let length = usize::try_from(random() % 40).unwrap();
        let bytes: Vec<u8> = (0..length)
            .map(|_| match round % 3 {
                0 => random().to_be_bytes()[0],
                1 => [0, 0, 0, 1, 4, 23][usize::try_from(random() % 6).unwrap()],
                _ => PRINTABLE[usize::try_from(random()).unwrap() % PRINTABLE.len()],
            })
            .collect();
        for format in [Format::Text, Format::Binary] {
            if let Ok(canonical) = take(None, format, &bytes, ty, Purpose::Store, false, &settings) {
                written(&canonical, ty, Format::Text, &settings);
                written(&canonical, ty, Format::Binary, &settings);
            }
            let _ = write(&bytes, ty, format, &settings, &mut Vec::new());
        }
    }
}
