use super::harness::*;
use crate::wire::Side;

/// CopyInResponse or CopyOutResponse.
fn begin(tag: u8, format: u8, columns: u8) -> Vec<u8> {
    let mut body = vec![format, 0, columns];
    body.extend([0, format].repeat(usize::from(columns)));
    frame(tag, &body)
}

/// The data of all CopyData among the frames that a side gets, and the other frames.
fn copied(bytes: &[u8], side: Side) -> (Vec<u8>, String) {
    let (mut data, mut others) = (Vec::new(), String::new());
    for (tag, body) in frames(bytes, side) {
        if tag == b'd' {
            data.extend_from_slice(body);
        } else {
            others.push(tag.into());
        }
    }
    (data, others)
}

/// Envelopes in hexadecimal become `<sealed>`.
fn masked(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\\xe5");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        assert!(part.len() - rest.len() > 40, "{text}");
        out += "<sealed>";
        out += rest;
    }
    out
}

/// Begins a COPY FROM STDIN.
fn copy_in(p: &mut Peers, sql: &str, format: u8, columns: u8) {
    p.client(&query(sql));
    p.sent();
    p.server(&begin(b'G', format, columns));
    p.told();
}

fn sent(p: &mut Peers) -> (String, String) {
    let (data, others) = copied(&p.sent_bytes(), Side::Client);
    (masked(&data), others)
}

/// The server's error for a COPY that its client has failed.
fn failed(p: &mut Peers, code: &str) -> Vec<String> {
    p.server(&[error(code, &[]), ready('I')].concat());
    p.told()
}

#[test]
fn a_copy_without_a_column_list_gets_one() {
    transcript(|p| {
        p.client(&query("copy users from stdin"));
        assert_eq!(p.sent(), ["Query copy public.users (id, email, name, note) from stdin"]);
    });
}

#[test]
fn values_of_text_are_sealed_as_they_stream() {
    transcript(|p| {
        copy_in(p, "copy users (id, email, note) from stdin", 0, 3);
        let rows = b"1\ta@b\tnote\n2\t\\N\t\\N\n3\t\tx\\ty\n4\tc\\nd\t\n";
        for piece in [&rows[..13], &rows[13..], b"5\t"] {
            p.client(&frame(b'd', piece));
        }
        p.client(&[frame(b'd', b"e\tz"), bare(b'c')].concat());
        let wanted =
            "1\t\\<sealed>\tnote\n2\t\\N\t\\N\n3\t\\<sealed>\tx\\ty\n4\t\\<sealed>\t\n5\t\\<sealed>\tz";
        assert_eq!(sent(p), (wanted.to_owned(), "c".to_owned()));
        p.server(&[complete("COPY 5"), ready('I')].concat());
        assert_eq!(p.told(), ["CommandComplete COPY 5", "Ready I"]);
    });
}

#[test]
fn values_of_csv_are_sealed_as_they_stream() {
    transcript(|p| {
        copy_in(p, "copy users (email, note) from stdin (format csv, header)", 0, 2);
        let rows = b"email,\"no\nte\"\r\n\"a\"\"\r\nb\",x\r\n,y\r\n\"\",\r\n";
        p.client(&[frame(b'd', rows), bare(b'c')].concat());
        // The header may be a row of somebody who forgot that; lines in a value are kept for the server to count.
        let wanted = "\r\n\"<sealed>\r\",x\r\n,y\r\n\"<sealed>\",\r\n";
        assert_eq!(sent(p), (wanted.to_owned(), "c".to_owned()));
    });
}

#[test]
fn values_of_binary_are_sealed_as_they_stream() {
    transcript(|p| {
        copy_in(p, "copy users (email, note) from stdin binary", 1, 2);
        let head = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
        let rows = b"\0\x02\0\0\0\x03a@b\0\0\0\x01x\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
        p.client(&[frame(b'd', &[&head[..], rows].concat()), bare(b'c')].concat());
        let (data, others) = copied(&p.sent_bytes(), Side::Client);
        assert!(data.starts_with(&[&head[..], b"\0\x02\0\0\0"].concat()));
        let envelope = usize::from(data[24]);
        assert_eq!((data[25], &data[25 + envelope..]), (0xe5, &rows[9..]));
        assert_eq!(others, "c");
    });
}

#[test]
fn rows_without_sealed_columns_go_on_as_they_come() {
    transcript(|p| {
        copy_in(p, "copy users (id, note) from stdin", 0, 2);
        let data = [frame(b'd', b"1\tbr"), frame(b'd', b"oken\n"), bare(b'c')].concat();
        p.client(&data);
        assert_eq!(p.sent_bytes(), data);
    });
}

#[test]
fn several_copies_in_one_text_have_each_their_own_columns() {
    transcript(|p| {
        p.client(&query("copy users (note, email) from stdin; copy users (email) from stdin; select 1"));
        p.sent();
        for (columns, row, wanted) in [(2, "x\ty\n", "x\t\\<sealed>\n"), (1, "z\n", "\\<sealed>\n")] {
            p.server(&begin(b'G', 0, columns));
            p.client(&[frame(b'd', row.as_bytes()), bare(b'c')].concat());
            assert_eq!(sent(p), (wanted.to_owned(), "c".to_owned()));
            p.server(&complete("COPY 1"));
        }
    });
}

#[test]
fn a_value_that_cannot_be_sealed_fails_the_copy_with_its_line() {
    transcript(|p| {
        copy_in(p, "copy users (id, email) from stdin", 0, 2);
        p.client(&frame(b'd', b"1\ta\n2\tcanary\\xff\n3\tb\n"));
        let (data, others) = sent(p);
        assert_eq!((data.as_str(), others.as_str()), ("1\t\\<sealed>\n", "f"));
        // What the client still has on its way is nobody's.
        p.client(&[frame(b'd', b"4\tcanary\n"), bare(b'c')].concat());
        assert_eq!(p.sent_bytes(), b"");
        let told = failed(p, "57014");
        assert!(told[0].starts_with("ERROR 22021"), "{told:?}");
        assert!(told[0].ends_with("context: COPY users, line 2: \"2\tcanary\\xff\""), "{told:?}");
        assert_eq!(told[1], "Ready I");
        assert_eq!(p.sent_bytes(), b"");
        p.client(&query("select v from plain"));
        assert_eq!(p.sent(), ["Query select v from plain"]);
    });
}

#[test]
fn an_error_of_the_server_comes_before_ours() {
    transcript(|p| {
        copy_in(p, "copy users (id, email) from stdin", 0, 2);
        p.client(&frame(b'd', b"x\ta\n2\tb\\xff\n"));
        assert_eq!(sent(p).1, "f");
        assert_eq!(failed(p, "22P02"), ["ERROR 22P02 server says no", "Ready I"]);
    });
}

#[test]
fn what_stands_before_a_wrong_value_in_its_row_is_the_servers_to_judge() {
    for (code, wanted) in [("22P04", "ERROR 22021"), ("57014", "ERROR 22021"), ("22P02", "ERROR 22P02")] {
        transcript(|p| {
            copy_in(p, "copy users (note, email, id) from stdin binary", 1, 3);
            let head = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
            let row = b"\0\x03\0\0\0\x01x\0\0\0\x07canary\xff\0\0\0\x04\0\0\0\x01";
            p.client(&frame(b'd', &[&head[..], row].concat()));
            let (data, others) = copied(&p.sent_bytes(), Side::Client);
            // No field has a length of -2.
            let cut = [&head[..], b"\0\x03\0\0\0\x01x\xff\xff\xff\xfe"].concat();
            assert_eq!((data, others.as_str()), (cut, "f"));
            assert!(failed(p, code)[0].starts_with(wanted), "{code}");
        });
    }
}

#[test]
fn by_the_extended_protocol_a_failed_copy_ends_at_the_next_sync() {
    transcript(|p| {
        let copy = [parse("", "copy users (email) from stdin", &[]), bind("", "", &[]), execute("", 0)];
        p.client(&[&copy.concat()[..], &bare(b'S')].concat());
        p.server(&[bare(b'1'), bare(b'2'), begin(b'G', 0, 1)].concat());
        p.sent();
        p.client(&[frame(b'd', b"\\xff\n"), frame(b'd', b"canary\n"), bare(b'c'), bare(b'S')].concat());
        let got = p.sent();
        assert_eq!(got[0], "f refused by pgseal\0");
        p.server(&error("57014", &[]));
        assert_eq!(p.sent(), ["Sync"]);
        p.server(&ready('I'));
        let told = p.told();
        assert!(told[3].starts_with("ERROR 22021"), "{told:?}");
        assert_eq!(told[4..], ["Ready I"]);
        assert!(got.iter().all(|line| !line.contains("canary")), "{got:?}");
    });
}

#[test]
fn data_that_is_not_in_its_format_is_refused_before_the_server_logs_it() {
    for (sql, columns, data, message) in [
        (
            "copy users (id, email) from stdin",
            2,
            "1\tcanary\tcanary\n",
            "extra data after last expected column",
        ),
        ("copy users (email) from stdin csv", 1, "\"canary", "unterminated CSV quoted field"),
        (
            "copy users (email) from stdin csv",
            1,
            "canary\ncan\rary",
            "unquoted carriage return found in data",
        ),
        ("copy users (email) from stdin binary", 1, "canary", "COPY file signature not recognized"),
        (
            "copy users (email) from stdin (format csv, header match)",
            1,
            "canary\n",
            "column name mismatch in header line field 1: got \"canary\", expected \"email\"",
        ),
        (
            "copy users (email) from stdin (format csv, header match)",
            1,
            "a,b\n",
            "wrong number of fields in header line: got 2, expected 1",
        ),
    ] {
        transcript(|p| {
            copy_in(p, sql, u8::from(sql.contains("binary")), columns);
            p.client(&[frame(b'd', data.as_bytes()), bare(b'c')].concat());
            let (data, others) = sent(p);
            assert!(!data.contains("canary") && others == "f", "{sql}: {data} {others}");
            let told = failed(p, "57014");
            assert!(told[0].starts_with(&format!("ERROR 22P04 {message}")), "{told:?}");
            assert_eq!(told[0].contains("context: COPY users, line "), !sql.contains("binary"), "{told:?}");
        });
    }
}

#[test]
fn behind_the_end_marker_nothing_is_sent() {
    transcript(|p| {
        copy_in(p, "copy users (email) from stdin", 0, 1);
        // A CopyDone has no body.
        let done = frame(b'c', b"canary");
        p.client(&[frame(b'd', b"a\n\\.\ncanary\n"), frame(b'd', b"canary\n"), done].concat());
        assert_eq!(sent(p), ("\\<sealed>\n\\.\n".to_owned(), "c".to_owned()));
    });
}

#[test]
fn the_reason_of_a_client_that_fails_its_copy_is_not_shown_to_the_server() {
    transcript(|p| {
        copy_in(p, "copy users (email) from stdin", 0, 1);
        p.client(&[frame(b'd', b"a\nhalf a row"), frame(b'f', b"canary\0")].concat());
        assert_eq!(sent(p), ("\\<sealed>\n".to_owned(), "f".to_owned()));
        let told = failed(p, "57014");
        assert_eq!(
            told,
            ["ERROR 57014 COPY from stdin failed: canary context: COPY users, line 2", "Ready I"]
        );
    });
}

#[test]
fn values_are_opened_as_they_stream() {
    for (sql, format) in [
        ("copy users (id, email, note) to stdout", 0),
        ("copy users (id, email, note) to stdout (format csv, header, force_quote (id))", 0),
        ("copy (select id, email, note from users) to stdout", 0),
        ("copy users (id, email, note) to stdout binary", 1),
    ] {
        transcript(|p| {
            p.client(&query(sql));
            p.sent();
            let sealed = p.sealed("email", "a,\t\"b");
            let (rows, wanted): (Vec<Vec<u8>>, Vec<Vec<u8>>) = match (format, sql.contains("csv")) {
                (1, _) => {
                    let value =
                        |bytes: &[u8]| [&[0, 0, 0, u8::try_from(bytes.len()).unwrap()], bytes].concat();
                    let row = |email: &[u8]| {
                        [&b"\0\x03"[..], &value(b"\0\0\0\x01"), &value(email), b"\xff\xff\xff\xff"].concat()
                    };
                    let head = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
                    let whole =
                        |email: &[u8]| vec![[head.clone(), row(email)].concat(), b"\xff\xff".to_vec()];
                    (whole(&sealed), whole(b"a,\t\"b"))
                }
                (_, true) => (
                    vec![
                        b"id,email,note\n".to_vec(),
                        format!("\"1\",{},x\n", hex(&sealed)).into_bytes(),
                        b"\"2\",,\n".to_vec(),
                    ],
                    vec![
                        b"id,email,note\n".to_vec(),
                        b"\"1\",\"a,\t\"\"b\",x\n".to_vec(),
                        b"\"2\",,\n".to_vec(),
                    ],
                ),
                _ => (
                    vec![format!("1\t\\{}\tx\n", hex(&sealed)).into_bytes(), b"2\t\\N\t\\N\n".to_vec()],
                    vec![b"1\ta,\\t\"b\tx\n".to_vec(), b"2\t\\N\t\\N\n".to_vec()],
                ),
            };
            p.server(&begin(b'H', format, 3));
            for row in rows {
                p.server(&frame(b'd', &row));
            }
            p.server(&[bare(b'c'), complete("COPY 2"), ready('I')].concat());
            let told = p.told_bytes();
            let given: Vec<_> =
                frames(&told, Side::Server).iter().filter(|f| f.0 == b'd').map(|f| f.1.to_vec()).collect();
            assert_eq!(given, wanted, "{sql}");
            assert_eq!(copied(&told, Side::Server).1, "HcCZ");
        });
    }
}

#[test]
fn a_value_that_cannot_be_opened_ends_a_copy_with_an_error() {
    transcript(|p| {
        p.client(&query("copy users (email) to stdout"));
        let good = p.sealed("email", "a@b");
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        p.server(&begin(b'H', 0, 1));
        for sealed in [&good, &bad, &good] {
            p.server(&frame(b'd', format!("\\{}\n", hex(sealed)).as_bytes()));
        }
        p.server(&[bare(b'c'), complete("COPY 3"), ready('I')].concat());
        let told = p.told();
        assert_eq!(told[1], "d a@b\n");
        assert!(told[2].starts_with("ERROR XX001"), "{told:?}");
        assert_eq!(told[3..], ["Ready I"]);
    });
}

#[test]
fn a_copy_that_does_not_fit_the_analysis_is_not_carried_out() {
    transcript(|p| {
        copy_in(p, "copy users (id, email) from stdin", 0, 3);
        assert_eq!(sent(p).1, "f");
        assert!(failed(p, "57014")[0].starts_with("ERROR XX000"));
        p.client(&query("copy users (id, email) to stdout"));
        p.server(
            &[begin(b'H', 1, 2), frame(b'd', b"x"), bare(b'c'), complete("COPY 1"), ready('I')].concat(),
        );
        let told = p.told();
        assert!(told[0].starts_with("ERROR XX000"), "{told:?}");
        assert_eq!(told[1..], ["Ready I"]);
    });
}

#[test]
fn rows_in_the_context_of_an_error_are_opened_or_left_out() {
    transcript(|p| {
        copy_in(p, "copy users (id, email) from stdin", 0, 2);
        let sealed = hex(&p.sealed("email", "a@b"));
        let context = format!("COPY users, line 1: \"1\t\\{sealed}\t\\{}...\"", &sealed[..20]);
        p.server(&[error("23502", &[(b'W', &context)]), ready('I')].concat());
        assert_eq!(
            p.told()[0],
            "ERROR 23502 server says no context: COPY users, line 1: \"1\ta@b\t(sealed)\""
        );
    });
}
