//! The bodies of messages: what can be read can be written, and is then the same.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pgseal::wire::backend;
use pgseal::wire::frame::HEAD;
use pgseal::wire::frontend::{Bind, Execute, Parse, Target};

fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = data.split_first() else { return };
    let mut out = BytesMut::new();
    let written = |out: &BytesMut| assert_eq!(&out[HEAD..], body);
    match kind % 9 {
        0 => {
            if let Ok(parse) = Parse::read(body) {
                parse.write(&mut out);
                written(&out);
            }
        }
        1 => {
            let _ = Bind::peek_names(body);
            if let Ok(bind) = Bind::read(body) {
                let values = bind.values.iter().copied();
                Bind::write(&mut out, bind.portal, bind.statement, &bind.formats, values, &bind.result_formats);
                written(&out);
            }
        }
        2 => {
            if let Ok(execute) = Execute::read(body) {
                execute.write(&mut out);
                written(&out);
            }
        }
        3 => {
            if let Ok(target) = Target::read(body) {
                target.write(&mut out, b'D');
                written(&out);
            }
        }
        4 => {
            if let Ok(fields) = backend::row_description(body) {
                backend::write_row_description(&mut out, &fields);
                written(&out);
            }
        }
        5 => {
            if let Ok(types) = backend::parameter_description(body) {
                backend::write_parameter_description(&mut out, &types);
                written(&out);
            }
        }
        6 => {
            if let Ok(fields) = backend::notice_fields(body) {
                backend::write_notice(&mut out, b'E', fields.into_iter());
            }
        }
        7 => {
            let _ = backend::data_row(body);
        }
        _ => {
            let _ = backend::parameter_status(body);
        }
    }
});
