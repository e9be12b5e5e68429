//! The network of a sandbox: its loopback interface, and no other.

use std::io;
use std::num::NonZeroI32;

use holdline_model::wire::{CLIENT_V6_PREFIX, CLIENT_V6_PREFIX_LEN};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

use super::error::{SandboxError, Step};
use super::process::errno_of;

/// `LOOPBACK_IFINDEX` of the kernel: the first interface of every network namespace.
const LOOPBACK: u32 = 1;
/// `RT_TABLE_LOCAL`: routes to the machine itself.
const TABLE_LOCAL: u8 = 255;

/// Brings up the loopback interface, and with it 127.0.0.0/8 and ::1; then makes the prefix of IPv6
/// clients local. Returns whether that last could be had: not where the kernel lacks IPv6.
pub(super) fn bring_up() -> Result<bool, SandboxError> {
    request(RouteNetlinkMessage::SetLink(loopback_up()), 0)
        .map_err(|errno| SandboxError::refused(Step::Loopback, errno))?;
    match request(RouteNetlinkMessage::NewRoute(client_route()), NLM_F_CREATE | NLM_F_EXCL) {
        Ok(()) => Ok(true),
        // No IPv6 in the kernel, or it is disabled on the interface.
        Err(Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP | Errno::EACCES | Errno::ENODEV) => Ok(false),
        Err(errno) => Err(SandboxError::refused(Step::Route, errno)),
    }
}

fn loopback_up() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = LOOPBACK;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

/// `ip -6 route add local PREFIX dev lo`.
fn client_route() -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: AddressFamily::Inet6,
        destination_prefix_length: CLIENT_V6_PREFIX_LEN,
        table: TABLE_LOCAL,
        protocol: RouteProtocol::Boot,
        scope: RouteScope::Host,
        kind: RouteType::Local,
        ..RouteHeader::default()
    };
    message.attributes = vec![
        RouteAttribute::Destination(RouteAddress::Inet6(CLIENT_V6_PREFIX)),
        RouteAttribute::Oif(LOOPBACK),
    ];
    message
}

/// Asks the kernel for a change and waits until it is made: rtnetlink(7).
fn request(message: RouteNetlinkMessage, flags: u16) -> Result<(), Errno> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    let answer = exchange(&bytes).map_err(|error| errno_of(&error))?;
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(|_| Errno::EPROTO)?.payload {
        NetlinkPayload::Error(error) => {
            error.code.map_or(Ok(()), |code: NonZeroI32| Err(Errno::from_raw(-code.get())))
        }
        _ => Err(Errno::EPROTO),
    }
}

fn exchange(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(bytes, 0)?;
    Ok(socket.recv_from_full()?.0)
}
