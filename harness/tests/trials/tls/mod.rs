//! What holdline says of services that speak TLS, with certificates that the tests make.

mod authority;
mod carried;
mod client;
mod files;
mod planted;

/// Makes a certificate one that was over years ago.
fn expired(parameters: &mut rcgen::CertificateParams) {
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
}
