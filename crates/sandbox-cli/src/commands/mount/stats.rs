//! `--stats`: what was asked for.

use sandbox::serve::Counted;

use crate::output::tell;

pub(super) fn print(counted: &[Counted]) {
    tell(format_args!(
        "{:<18} {:>10} {:>8} {:>10} {:>14}",
        "operation", "requests", "errors", "mean µs", "bytes"
    ));
    for one in counted {
        // Requests are never 0 here; a tenth of a microsecond is fine enough.
        let tenths = one.nanoseconds / one.requests.max(1) / 100;
        tell(format_args!(
            "{:<18} {:>10} {:>8} {:>8}.{} {:>14}",
            one.opcode.name(),
            one.requests,
            one.errors,
            tenths / 10,
            tenths % 10,
            one.bytes
        ));
    }
}
