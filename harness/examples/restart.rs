//! Whether a restart loses anybody. In a repository of one's own this is a `#[test]`, and names the service's own
//! `supervisor.toml`.

use holdline::testing::{Error, Trial};

pub(crate) fn main() -> Result<(), Error> {
    Trial::of("restart").on("rolling").run()?.assert_nothing_lost();
    Ok(())
}
