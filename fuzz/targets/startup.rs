//! Packets before a session, and what is said while one is let in.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pgseal::scram::Verifier;
use pgseal::wire::startup::{self, Packet};
use pgseal::wire::sasl;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(length)) = startup::peek(data)
        && let Some(packet) = data.get(..length)
        && let Ok(Packet::Startup(read)) = startup::read(packet)
    {
        let mut written = BytesMut::new();
        read.write_negotiated(&mut written);
        // What is passed on can be read, asks for nothing more, and has the same user.
        let Ok(Packet::Startup(again)) = startup::read(&written) else { panic!("{written:?}") };
        assert!(!again.needs_negotiation());
        assert_eq!(read.parameter("user"), again.parameter("user"));
        assert_eq!(read.parameter("database"), again.parameter("database"));
    }
    let _ = startup::read_negotiate(data);
    if let Ok(names) = sasl::read_mechanisms(data) {
        let mut written = BytesMut::new();
        sasl::write_mechanisms(&mut written, &names);
    }
    let _ = sasl::read_initial_response(data);
    let _ = sasl::could_have_bound(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Verifier::parse(text);
    }
});
