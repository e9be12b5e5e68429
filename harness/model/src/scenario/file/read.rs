//! How values that are written in more than one way are read.

use super::{
    AtFile, ConnectionFile, ConnectionTableFile, ConnectionWord, ControlFile, ControlTableFile, ExpectFile,
    FaultRef, MomentFile, SysctlFile, TimeoutFile, TimeoutsFile, UserFile,
};
use crate::file::{Never, OneOf, read_one_of, unknown_word};

read_one_of!(
    TimeoutFile,
    OneOf::<Self, TimeoutsFile>::new("a time, or a table of connect, first-byte and total")
        .text(|text| text.parse().map(Self::Total))
        .table(Self::Each)
);

read_one_of!(
    ConnectionFile,
    OneOf::<Self, Box<ConnectionTableFile>>::new(CONNECTION_EXPECTED).text(connection).table(Self::Table)
);
read_one_of!(
    AtFile,
    OneOf::<Self, Box<MomentFile>>::new("a time, or a table of attempt, fraction, after and delay, or call")
        .text(|text| text.parse().map(Self::Time))
        .table(Self::Moment)
);
read_one_of!(
    FaultRef,
    OneOf::<Self, Never>::new("the name of an earlier fault, or its index from 0")
        .text(|text| Ok(Self::Name(text.to_owned())))
        .number(Self::Index)
);
read_one_of!(
    ControlFile,
    OneOf::<Self, ControlTableFile>::new("a control verb, or a table of verb and workers")
        .text(|text| text.parse().map(Self::Verb).map_err(|word| unknown_word(&word)))
        .table(Self::Table)
);
read_one_of!(
    UserFile,
    OneOf::<Self, Never>::new("the name of a user, or its id")
        .text(|text| Ok(Self::Name(text.to_owned())))
        .number(Self::Id)
);
read_one_of!(
    SysctlFile,
    OneOf::<Self, Never>::new("a number or a string")
        .text(|text| Ok(Self::Text(text.to_owned())))
        .number(Self::Number)
);
read_one_of!(
    ExpectFile,
    OneOf::<Self, Never>::new("a number, or a string such as \"< 250ms\"; names with a dot stand in quotes")
        .text(|text| Ok(Self::Text(text.to_owned())))
        .number(Self::Number)
);

const CONNECTION_EXPECTED: &str = "\"one-shot\", or a table of requests, pipeline, gap, send-pause, read-pause, body, half-close, pool and every";

fn connection(text: &str) -> Result<ConnectionFile, String> {
    match text {
        "one-shot" => Ok(ConnectionFile::Word(ConnectionWord::OneShot)),
        other => Err(format!("there is no connection `{other}`, expected {CONNECTION_EXPECTED}")),
    }
}
