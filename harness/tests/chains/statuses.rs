//! Proxies in front of small services: what holdline counts of each status is what the proxy itself wrote.

use libtest_mimic::{Failed, Trial};

use crate::told::{run, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("a-backend-that-is-gone", "balanced", a_backend_that_is_gone),
        test("a-limit-for-each-address", "limited", a_limit_for_each_address),
        test("addresses-below-the-limit", "limited", addresses_below_the_limit),
    ]
}

/// Every second request is sent to the backend that is gone.
fn a_backend_that_is_gone() -> Result<(), Failed> {
    let told = run("backend-gone", "balanced")?;
    let failed = told.same_failures()?;
    // One may have been with the backend as it was killed: it is a 502, and turns the order round. Where the machine is
    // busy, some come after the fault that were due before it, and the other backend answers late who came before.
    let came = told.logged_as_they_came();
    let after = came.iter().skip_while(|status| **status == 200).count() as u64;
    if failed == 0 || failed.abs_diff(after / 2) > 2 {
        return Err(format!("{failed} of the {after} from the first of them on failed, not half").into());
    }
    Ok(())
}

fn a_limit_for_each_address() -> Result<(), Failed> {
    let told = run("one-office", "limited")?;
    match (told.trial.client_addresses, told.same_failures()?) {
        (1, 1..) => Ok(()),
        (addresses, failed) => Err(format!("{failed} were turned away, of {addresses} addresses").into()),
    }
}

fn addresses_below_the_limit() -> Result<(), Failed> {
    let told = run("many-offices", "limited")?;
    match told.same_failures()? {
        0 => Ok(()),
        failed => Err(format!("{failed} were turned away, each alone at its address").into()),
    }
}
