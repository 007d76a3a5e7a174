//! Parses any bytes as a message body: `cargo +nightly fuzz run event`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(body) = std::str::from_utf8(bytes) {
        let _ = usher::event::parse(body);
    }
});
